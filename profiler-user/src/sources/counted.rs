//! Events that the kernel counts: every one of them, or every `period`-th, is a sample of the thread that caused it.

use profiler_common::contract::sources::Source;

use super::cpu_events::CpuEvents;
use super::sampling::{EventSource, Rate, Sampling};
use crate::kernel::{Kernel, LoadError, SoftwareEvent};

/// First use of a page, whatever it took.
pub(super) const PAGE_FAULTS: EventSource = EventSource {
    source: Source::PageFaults,
    about: "First use of a page of memory, whether or not it was read from disk",
    missed: "caused enough page faults",
    start: |source, kernel, rate| start(SoftwareEvent::PageFaults, source, kernel, rate),
};

/// First use of a page that was in memory.
pub(super) const MINOR_FAULTS: EventSource = EventSource {
    source: Source::MinorFaults,
    about: "First use of a page of memory that needed no disk",
    missed: "caused enough minor page faults",
    start: |source, kernel, rate| start(SoftwareEvent::MinorFaults, source, kernel, rate),
};

/// First use of a page that had to be read.
pub(super) const MAJOR_FAULTS: EventSource = EventSource {
    source: Source::MajorFaults,
    about: "First use of a page of memory that was read from disk",
    missed: "caused enough major page faults",
    start: |source, kernel, rate| start(SoftwareEvent::MajorFaults, source, kernel, rate),
};

/// A thread leaves its CPU.
pub(super) const CONTEXT_SWITCHES: EventSource = EventSource {
    source: Source::ContextSwitches,
    about: "A thread leaves its CPU: it waits, or another one's turn has come",
    missed: "gave up the CPU often enough",
    start: |source, kernel, rate| start(SoftwareEvent::ContextSwitches, source, kernel, rate),
};

#[derive(Debug)]
struct Counted {
    source: Source,
    period: u64,
    events: CpuEvents,
}

fn start(
    event: SoftwareEvent,
    source: Source,
    kernel: &mut Kernel,
    rate: Rate,
) -> Result<Box<dyn Sampling>, LoadError> {
    let mut events = CpuEvents::new(event, kernel.program_fd(source)?)?;
    events.follow_hotplug(|_| rate.period);
    events.any()?;
    Ok(Box::new(Counted {
        source,
        period: rate.period,
        events,
    }))
}

impl Sampling for Counted {
    fn source(&self) -> Source {
        self.source
    }

    fn events(&self) -> Option<&CpuEvents> {
        Some(&self.events)
    }

    fn events_mut(&mut self) -> Option<&mut CpuEvents> {
        Some(&mut self.events)
    }

    fn follow_hotplug(&mut self, _kernel: &mut Kernel) {
        let period = self.period;
        self.events.follow_hotplug(|_| period);
    }

    fn period(&self) -> Option<u64> {
        Some(self.period)
    }
}
