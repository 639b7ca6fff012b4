//! The end report of a recording, on stderr: what was delivered, lost, refused, and what it cost.

use profiler_common::contract::reasons::{NativeStatus, Outcome, StackStatus};
use profiler_common::contract::sources::Source;

use super::gil_shares::lines as gil_lines;
use super::left_behind;
use super::terminal::{counted, status};
use crate::language::python::code::store::Unresolved;
use crate::native::unwind::Statistics;
use crate::priority::Priority;
use crate::processes::tracker::RefusedProcess;
use crate::session::{NativeSummary, SourceSummary, Summary};

/// Why samples may be lost on a crowded host, for the end report and `doctor`.
pub(super) const PRIORITY_REFUSED: &str = "pyebpf may not go before other programs (that takes CAP_SYS_NICE or a higher \
     RLIMIT_NICE): on a crowded host it reads samples too late, and those that find no room are lost and counted";

/// Prints it.
pub(super) fn print(summary: &Summary) {
    for line in lines(summary) {
        status(&line);
    }
    if summary.dropped() > 0 && summary.priority == Priority::Ordinary {
        status(PRIORITY_REFUSED);
    }
    left_behind::mention();
    if !summary.adds_up() {
        log::warn!("the accounting does not add up: {summary:?}");
    }
}

/// The accounts, a line each.
pub(super) fn lines(summary: &Summary) -> Vec<String> {
    let mut lines: Vec<String> = summary.sources.iter().map(accounting).collect();
    lines.extend(gil_lines(summary));
    lines.push(cost(summary));
    if let Some(native) = &summary.native
        && let Some(tables) = &native.tables
    {
        lines.push(merged(native, tables));
    }
    for (what, count) in shortcomings(summary) {
        lines.push(format!("  {}", shortcoming(&what, count)));
    }
    if let Some(time) = summary.not_sampled() {
        lines.push(format!(
            "  {:.3} s of CPU time not sampled: the machine was suspended, the hypervisor had taken the CPU away, or the kernel was busy with another BPF program",
            time.as_secs_f64()
        ));
    }
    lines.extend(summary.sources.iter().flat_map(gaps));
    for refusal in &summary.refusals {
        lines.push(format!("not recorded: {} ({})", refusal.text, processes(refusal)));
    }
    if summary.unrecorded_children > 0 {
        lines.push(format!(
            "not recorded: {}: add -s (--subprocesses)",
            children(summary.unrecorded_children)
        ));
    }
    lines
}

/// Whom a refusal is about.
pub(super) fn processes(refusal: &RefusedProcess) -> String {
    match refusal.others {
        0 => format!("process {}", refusal.pid),
        1 => format!("process {} and another", refusal.pid),
        others => format!("process {} and {others} others", refusal.pid),
    }
}

/// `its child processes ran Python (3)`.
pub(super) fn children(count: u64) -> String {
    match count {
        1 => "a child process ran Python (1)".to_owned(),
        _ => format!("its child processes ran Python ({count})"),
    }
}

/// `kept + left out + idle + not profiled + dropped = interrupts`.
fn accounting(source: &SourceSummary) -> String {
    if source.source == Source::OffCpu {
        return accounting_off_cpu(source);
    }
    let event = match source.source {
        Source::OnCpu => String::new(),
        counted => format!("{}: ", counted.name()),
    };
    let without_gil = match source.without_gil {
        0 => String::new(),
        count => format!(" + {count} without the GIL"),
    };
    format!(
        "{event}{} interrupts = {} samples{without_gil} + {} other processes + {} idle + {} dropped",
        source.interrupts,
        source.kept(),
        source.of(Outcome::NotProfiled),
        source.of(Outcome::Idle),
        source.dropped()
    )
}

/// `delivered + thinned + not profiled + dropped = times that a thread left its CPU`.
fn accounting_off_cpu(source: &SourceSummary) -> String {
    format!(
        "{}: {} times off the CPU = {} samples + {} left out (others stand for them) + {} other processes + {} dropped; \
         {:.3} s blocked, {:.3} s waiting for a CPU",
        source.source.name(),
        source.interrupts,
        source.of(Outcome::Delivered),
        source.of(Outcome::Thinned),
        source.of(Outcome::NotProfiled),
        source.dropped(),
        source.blocked.as_secs_f64(),
        source.waiting.as_secs_f64()
    )
}

/// Events and CPUs that are in no sample.
fn gaps(source: &SourceSummary) -> Vec<String> {
    let skipped = (source.skipped > 0).then(|| {
        format!(
            "  {} {} not sampled: the kernel was busy with another sample on that CPU",
            source.skipped,
            source.source.name()
        )
    });
    let refused = source.refused_cpus.iter();
    let refused = refused.map(|(cpu, reason)| format!("  CPU {cpu} not sampled: {reason}"));
    skipped.into_iter().chain(refused).collect()
}

fn cost(summary: &Summary) -> String {
    let seconds = summary.duration.as_secs_f64();
    let share = if seconds > 0.0 {
        summary.own_cpu.as_secs_f64() / seconds * 100.0
    } else {
        0.0
    };
    let cpus = summary.cpus();
    let is_time = summary
        .sources
        .iter()
        .any(|source| source.source == Source::OnCpu);
    let sampling = match summary.achieved_rate_hz() {
        Some(rate_hz) => format!("{rate_hz:.1} samples/s on each of {cpus} CPUs for {seconds:.1} s"),
        // In less time nobody can tell: the kernel counts busy time in steps.
        None if is_time && seconds >= 1.0 => format!("{cpus} CPUs, idle nearly all of {seconds:.1} s"),
        None => format!("{cpus} CPUs for {seconds:.1} s"),
    };
    format!(
        "{sampling}; own CPU time {:.3} s ({share:.2} % of one core)",
        summary.own_cpu.as_secs_f64()
    )
}

/// How Python and native frames fit together.
fn merged(native: &NativeSummary, tables: &Statistics) -> String {
    let counts = &native.counts;
    format!(
        "native frames: {} samples merged, {} cut off, {} Python only, {} not fitting; {:.1} MiB of unwind tables",
        counts.exact,
        counts.truncated,
        counts.python_only,
        counts.unmatched,
        tables.row_bytes as f64 / f64::from(1 << 20)
    )
}

/// `3 frames: ...`, `1 frame: ...`.
fn shortcoming(what: &str, count: u64) -> String {
    let end = what
        .find(|letter: char| !letter.is_alphabetic())
        .unwrap_or(what.len());
    let (several, rest) = what.split_at(end);
    let one = match several {
        "processes" => "process",
        _ => several.strip_suffix('s').unwrap_or(several),
    };
    format!("{}{rest}", counted(count, one, several))
}

/// Everything that is not as it should be, with its count. Begins with a word in the plural.
fn shortcomings(summary: &Summary) -> Vec<(String, u64)> {
    let mut lines: Vec<(String, u64)> = Vec::new();
    for (outcome, count) in summary.sources.iter().flat_map(|source| &source.outcomes) {
        if !matches!(
            outcome,
            Outcome::Delivered | Outcome::Idle | Outcome::NotProfiled | Outcome::Thinned
        ) {
            lines.push((format!("samples dropped: {}", outcome.text()), *count));
        }
    }
    for (stack, count) in &summary.by_status {
        if *stack != StackStatus::Complete {
            lines.push((format!("samples: {}", stack.text()), *count));
        }
    }
    lines.extend(
        summary
            .losses
            .iter()
            .map(|(loss, count)| (loss.text().to_owned(), *count)),
    );
    lines.push((
        "events of processes skipped by the kernel, which was at another one".to_owned(),
        summary.skipped_events,
    ));
    lines.push((
        "records that could not be decoded".to_owned(),
        summary.undecodable,
    ));
    let (overflow, not_asked) = (summary.overflow, summary.not_asked);
    for (what, count) in [
        (
            "functions shown as far as they were captured: too many of one process to look at",
            not_asked.definitions,
        ),
        (
            "frames: the file is shortened by its name alone, too many of one process to look for",
            not_asked.paths,
        ),
        (
            "samples: too many different stacks to keep this one",
            overflow.stacks,
        ),
        (
            "samples: too many threads to keep this one apart",
            overflow.threads,
        ),
        (
            "frames: too many different ones to keep this one",
            overflow.frames,
        ),
        (
            "frames: the name or file is longer than 1,000 bytes and is cut",
            overflow.cut,
        ),
        (
            "samples missing from the order of time: the temporary folder was full",
            overflow.timeline,
        ),
        (
            "names of threads: too many to keep this one, the kernel's name stands for it",
            overflow.thread_names,
        ),
    ] {
        lines.push((what.to_owned(), count));
    }
    if let Some(native) = &summary.native {
        let by_status = NativeStatus::ALL.iter().zip(native.counts.by_status);
        let cut = by_status.filter(|(status, _)| **status != NativeStatus::Complete);
        lines
            .extend(cut.map(|(status, count)| (format!("samples, native frames: {}", status.text()), count)));
        lines.push((
            "unwind tables or lists of mappings without room in the kernel".to_owned(),
            native.refused_writes,
        ));
        lines.push((
            "processes, native frames: what they execute could not be looked at".to_owned(),
            native.failed_looks,
        ));
        let unnamed = native.unnamed.iter();
        lines.extend(unnamed.map(|(reason, count)| (format!("native addresses: {}", reason.text()), *count)));
    }
    let frames = |(reason, count): (Unresolved, u64)| (format!("frames: {}", reason.text()), count);
    lines.extend(summary.unnamed.iter().map(frames));
    lines.retain(|(_, count)| *count > 0);
    lines
}

#[cfg(test)]
mod tests {
    use super::shortcoming;

    #[test]
    fn one_of_a_thing_is_in_the_singular() {
        let what = "samples, native frames: no rule";
        assert_eq!(shortcoming(what, 1), "1 sample, native frames: no rule");
        assert_eq!(shortcoming(what, 2), "2 samples, native frames: no rule");
        assert_eq!(
            shortcoming("processes, native frames: x", 1),
            "1 process, native frames: x"
        );
        assert_eq!(shortcoming("names of threads: x", 1), "1 name of threads: x");
    }
}
