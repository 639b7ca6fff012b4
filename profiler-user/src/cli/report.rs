//! The end report of a recording, on stderr: what was delivered, lost, refused, and what it cost.

use profiler_common::contract::reasons::{NativeStatus, Outcome, StackStatus};

use super::terminal::status;
use crate::language::python::code::store::Unresolved;
use crate::session::{NativeSummary, Summary};

/// Prints it.
pub(super) fn print(summary: &Summary) {
    status(&accounting(summary));
    status(&cost(summary));
    if let Some(native) = summary.native.as_ref().filter(|native| !native.is_kernel_only) {
        status(&merged(native));
    }
    for (what, count) in shortcomings(summary) {
        status(&format!("  {count} {what}"));
    }
    for refusal in &summary.refusals {
        status(&format!(
            "not recorded: {} (process {})",
            refusal.text, refusal.pid
        ));
    }
    if !summary.adds_up() {
        log::warn!("the accounting does not add up: {summary:?}");
    }
}

/// `delivered + idle + not profiled + dropped = interrupts`.
fn accounting(summary: &Summary) -> String {
    let of = |wanted: Outcome| {
        summary
            .outcomes
            .iter()
            .filter(|(outcome, _)| *outcome == wanted)
            .map(|(_, count)| count)
            .sum::<u64>()
    };
    format!(
        "{} interrupts = {} samples + {} other processes + {} idle + {} dropped",
        summary.interrupts,
        of(Outcome::Delivered),
        of(Outcome::NotProfiled),
        of(Outcome::Idle),
        summary.dropped()
    )
}

fn cost(summary: &Summary) -> String {
    let seconds = summary.duration.as_secs_f64();
    let share = if seconds > 0.0 {
        summary.own_cpu.as_secs_f64() / seconds * 100.0
    } else {
        0.0
    };
    let cpus = summary.cpus;
    let sampling = match summary.achieved_rate_hz() {
        Some(rate_hz) => format!("{rate_hz:.1} samples/s on each of {cpus} CPUs for {seconds:.1} s"),
        None => format!("{cpus} CPUs, idle nearly all of {seconds:.1} s"),
    };
    format!(
        "{sampling}; own CPU time {:.3} s ({share:.2} % of one core)",
        summary.own_cpu.as_secs_f64()
    )
}

/// How Python and native frames fit together.
fn merged(native: &NativeSummary) -> String {
    let counts = &native.counts;
    format!(
        "native frames: {} samples merged, {} cut off, {} Python only, {} not fitting; {:.1} MiB of unwind tables",
        counts.exact,
        counts.truncated,
        counts.python_only,
        counts.unmatched,
        native.tables.row_bytes as f64 / f64::from(1 << 20)
    )
}

/// Everything that is not as it should be, with its count.
fn shortcomings(summary: &Summary) -> Vec<(String, u64)> {
    let mut lines: Vec<(String, u64)> = Vec::new();
    for (outcome, count) in &summary.outcomes {
        if !matches!(outcome, Outcome::Delivered | Outcome::Idle | Outcome::NotProfiled) {
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
        "records that could not be decoded".to_owned(),
        summary.undecodable,
    ));
    lines.push((
        "samples: too many different stacks to keep this one".to_owned(),
        summary.too_many_stacks,
    ));
    if let Some(native) = &summary.native {
        let by_status = NativeStatus::ALL.iter().zip(native.counts.by_status);
        let cut = by_status.filter(|(status, _)| **status != NativeStatus::Complete);
        lines
            .extend(cut.map(|(status, count)| (format!("samples, native frames: {}", status.text()), count)));
        let unnamed = native.unnamed.iter();
        lines.extend(unnamed.map(|(reason, count)| (format!("native addresses: {}", reason.text()), *count)));
    }
    let frames = |(reason, count): (Unresolved, u64)| (format!("frames: {}", reason.text()), count);
    lines.extend(summary.unnamed.iter().map(frames));
    lines.retain(|(_, count)| *count > 0);
    lines
}
