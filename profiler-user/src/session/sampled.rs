//! What only the events of a session know of it.

use profiler_common::contract::sources::Source;

use super::summary::SourceSummary;
use crate::kernel::Kernel;
use crate::sources::Sampling;

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
            let refused = events.refused().map(|(cpu, error)| (cpu, error.to_string()));
            let events = Events {
                due: sampling
                    .period()
                    .map(|period| events.count().checked_div(period).unwrap_or(0)),
                cpus: events.cpus(),
                refused: refused.collect(),
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
    SourceSummary {
        source,
        interrupts,
        outcomes: kernel.outcomes(source),
        weights: kernel.weights(source),
        gap_ns: kernel.gaps_ns(source),
        without_gil: 0,
        skipped: events.due.map_or(0, |due| due.saturating_sub(interrupts)),
        cpus: events.cpus,
        refused_cpus: events.refused,
    }
}
