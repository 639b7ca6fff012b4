//! Why a recording is empty, and what to do about it.

use std::time::Duration;

use profiler_common::contract::sources::Source;

use super::failure::Failure;
use super::measures::Waits;
use super::words::{with_flag, with_option, without_flag, without_option};
use super::{accounts, invocation, preflight};
use crate::processes::filter::Filter;
use crate::processes::halt::Halt;
use crate::session::Summary;
use crate::sources::EventSource;

/// CPU time that counts as some: the kernel tells it in steps of 10 ms.
const SOME_CPU: Duration = Duration::from_millis(20);
/// Samples that are due in a recording that is long enough and fast enough.
const ENOUGH: f64 = 100.0;

/// Says it. `rate_hz` is the rate that was asked for.
pub(super) fn explain(filter: &Filter, summary: &Summary, rate_hz: u32, waits: Waits) -> Failure {
    if let Some(failure) = no_waits(summary, waits) {
        return failure;
    }
    let without_gil: u64 = summary.sources.iter().map(|source| source.without_gil).sum();
    if without_gil > 0 {
        let words = without_flag(&invocation::arguments(), 'g', "--gil");
        return Failure::new(format_args!(
            "no samples: no thread held the GIL at any of the {without_gil} moments at which one ran"
        ))
        .hint(invocation::with_words(words));
    }
    let source = summary.sources.first();
    let row = source.and_then(|source| EventSource::of(source.source));
    let nothing = row.map_or("was sampled", |row| row.missed);
    if summary.unrecorded_children > 0 {
        return Failure::new(format_args!(
            "no samples: no process that is recorded {nothing} meanwhile, but {}",
            accounts::children(summary.unrecorded_children)
        ))
        .hint(preflight::with_subprocesses());
    }
    let halted = halted(&summary.halted);
    if let Some((text, remedy)) = &halted
        && summary.halted.len() >= summary.processes
    {
        return with_hint(Failure::new(format_args!("no samples: {text}")), remedy.as_ref());
    }
    let is_of_time = source.is_some_and(|source| source.source == Source::OnCpu);
    if is_of_time && summary.unsampled_cpu >= SOME_CPU {
        return too_slow(summary, rate_hz);
    }
    let others = halted.map_or(String::new(), |(text, _)| format!("; {text}"));
    if !filter.is_empty() {
        return Failure::new(format_args!(
            "no samples: no Python process that fits {filter} {nothing} meanwhile{others}"
        ))
        .hint(format_args!(
            "{}   # lists what it fits now; without it, everything",
            invocation::with_rights(&format!("ps {filter}"))
        ));
    }
    let failure = Failure::new(format_args!(
        "no samples: no Python process that is recorded {nothing} meanwhile{others}"
    ));
    if is_of_time && summary.processes > 0 {
        return failure.hint(format_args!(
            "{}   # -i: time that it waits, too; `pyebpf dump` shows where it is now",
            invocation::with_words(with_flag(&invocation::arguments(), "-i"))
        ));
    }
    failure.hint(format_args!(
        "{}   # lists the interpreters that run here, and which are supported",
        invocation::with_rights("doctor")
    ))
}

/// Why there are none although threads were off their CPUs.
fn no_waits(summary: &Summary, waits: Waits) -> Option<Failure> {
    let times = summary
        .sources
        .iter()
        .map(|source| source.blocked + source.waiting);
    if times.sum::<Duration>().is_zero() {
        return None;
    }
    let words = invocation::arguments();
    match waits {
        Waits { only_gil: true, .. } => Some(
            Failure::new("no samples: no thread waited for the GIL meanwhile").hint(format_args!(
                "{}   # what threads wait for instead",
                invocation::with_words(with_flag(&without_option(&words, "--mode"), "--mode=wall"))
            )),
        ),
        Waits {
            threshold: Some(threshold),
            ..
        } => Some(
            Failure::new(format_args!(
                "no samples: no thread was off its CPU for {threshold:?} or longer meanwhile"
            ))
            .hint(format_args!(
                "{}   # or a shorter --threshold",
                invocation::with_words(without_option(&words, "--threshold"))
            )),
        ),
        Waits { .. } => None,
    }
}

/// Which processes could not run, and what lets the first of them go on.
fn halted(halted: &[(u32, Halt)]) -> Option<(String, Option<String>)> {
    let ((pid, halt), others) = halted.split_first()?;
    let more = match others.len() {
        0 => String::new(),
        1 => ", and another process cannot run either".to_owned(),
        count => format!(", and {count} more processes cannot run either"),
    };
    let text = format!("process {pid} {}{more}", halt.text());
    Some((text, preflight::remedy(*pid, halt)))
}

fn with_hint(failure: Failure, hint: Option<&String>) -> Failure {
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// It ran, but no sample fell into that time.
fn too_slow(summary: &Summary, rate_hz: u32) -> Failure {
    let used = summary.unsampled_cpu.as_secs_f64();
    let wanted = (ENOUGH / used).ceil().clamp(f64::from(rate_hz) + 1.0, 20_000.0) as u32;
    let words = with_option(&invocation::arguments(), ("-r", "--rate"), &wanted.to_string());
    Failure::new(format_args!(
        "no samples: {used:.2} s of CPU time were used, but none of {rate_hz} samples a second fell into them"
    ))
    .hint(format_args!(
        "{}   # or record for longer",
        invocation::with_words(words)
    ))
}
