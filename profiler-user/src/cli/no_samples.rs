//! Why a recording is empty, and what to do about it.

use std::time::Duration;

use profiler_common::contract::sources::Source;

use super::failure::Failure;
use super::words::{with_option, without_flag};
use super::{invocation, preflight, report};
use crate::processes::filter::Filter;
use crate::processes::halt::Halt;
use crate::session::Summary;
use crate::sources::EventSource;

/// CPU time that counts as some: the kernel tells it in steps of 10 ms.
const SOME_CPU: Duration = Duration::from_millis(20);
/// Samples that are due in a recording that is long enough and fast enough.
const ENOUGH: f64 = 100.0;
/// Processes that are named, at most.
const MAX_NAMED: usize = 3;

/// Says it. `rate_hz` is the rate that was asked for.
pub(super) fn explain(filter: &Filter, summary: &Summary, rate_hz: u32) -> Failure {
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
            report::children(summary.unrecorded_children)
        ))
        .hint(preflight::with_subprocesses());
    }
    if let Some(failure) = halted(&summary.halted) {
        return failure;
    }
    let is_of_time = source.is_some_and(|source| source.source == Source::OnCpu);
    if is_of_time && summary.unsampled_cpu >= SOME_CPU {
        return too_slow(summary, rate_hz);
    }
    if !filter.is_empty() {
        return Failure::new(format_args!(
            "no samples: no Python process that fits {filter} {nothing} meanwhile"
        ))
        .hint(format_args!(
            "{}   # lists what it fits now; without it, everything",
            invocation::with_rights(&format!("ps {filter}"))
        ));
    }
    Failure::new(format_args!(
        "no samples: no Python process that is recorded {nothing} meanwhile"
    ))
    .hint(format_args!(
        "{}   # lists the interpreters that run here, and which are supported",
        invocation::with_rights("doctor")
    ))
}

/// What is recorded could not run.
fn halted(halted: &[(u32, Halt)]) -> Option<Failure> {
    let ((pid, halt), others) = halted.split_first()?;
    let more = match others {
        [] => String::new(),
        others => {
            let pids = others.iter().take(MAX_NAMED).map(|(pid, _)| pid.to_string());
            let pids = pids.collect::<Vec<_>>().join(", ");
            let dots = if others.len() > MAX_NAMED { ", ..." } else { "" };
            format!(" (so are processes {pids}{dots})")
        }
    };
    let failure = Failure::new(format_args!("no samples: process {pid} {}{more}", halt.text()));
    Some(match preflight::remedy(*pid, halt) {
        Some(remedy) => failure.hint(remedy),
        None => failure,
    })
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
