//! What only the events of a session know of it.

use std::time::Duration;

use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::SpellTime;

use super::summary::SourceSummary;
use crate::kernel::Kernel;
use crate::sources::{CpuEvents, Sampling};

/// What only the events themselves know, taken before they are closed.
pub(super) struct Sampled(Vec<(Source, Events)>);

struct Events {
    /// Interrupts that were due, for sources that count.
    due: Option<u64>,
    cpus: usize,
    refused: Vec<(u32, String)>,
}

impl Sampled {
    pub(super) fn of(sampling: &[Box<dyn Sampling>]) -> Self {
        let of = |sampling: &dyn Sampling| {
            let events = sampling.events();
            let refused = events.into_iter().flat_map(CpuEvents::refused);
            let due = |period| Some(events?.count().checked_div(period).unwrap_or(0));
            let events = Events {
                due: sampling.period().and_then(due),
                cpus: sampling.cpus(),
                refused: refused.map(|(cpu, error)| (cpu, error.to_string())).collect(),
            };
            (sampling.source(), events)
        };
        Self(sampling.iter().map(|sampling| of(&**sampling)).collect())
    }

    /// The accounts of every source.
    pub(super) fn accounts(self, kernel: &Kernel) -> Vec<SourceSummary> {
        let sources = self.0.into_iter();
        sources
            .map(|(source, events)| accounts(kernel, source, events))
            .collect()
    }
}

fn accounts(kernel: &Kernel, source: Source, events: Events) -> SourceSummary {
    let interrupts = kernel.interrupts(source);
    let spell_time = |time| match source {
        Source::OffCpu => Duration::from_nanos(kernel.spell_time_ns(time)),
        _ => Duration::ZERO,
    };
    SourceSummary {
        source,
        interrupts,
        outcomes: kernel.outcomes(source),
        weights: kernel.weights(source),
        gap_ns: kernel.gaps_ns(source),
        without_gil: 0,
        skipped: match events.due {
            Some(due) => due.saturating_sub(interrupts),
            None => kernel.skipped_runs(source),
        },
        blocked: spell_time(SpellTime::Blocked),
        waiting: spell_time(SpellTime::Waiting),
        cpus: events.cpus,
        refused_cpus: events.refused,
    }
}
