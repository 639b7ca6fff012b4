//! Where samples come from: one file per kind of event, one line in [`ALL`] per source.
//!
//! A source says which event starts its program on every CPU, and when. What its samples weigh, the kernel half says in
//! each record. Uses `kernel` to open events; the session wakes it.

mod counted;
mod cpu_events;
mod off_cpu;
mod on_cpu;
mod sampling;

use profiler_common::contract::sources::Source;

use crate::kernel::{Kernel, LoadError, SoftwareEvent};

pub use self::cpu_events::{CpuEvents, CpuSet};
pub use self::sampling::{EventSource, Rate, Sampling, Wake};

/// Every source. The first is the default.
pub const ALL: &[EventSource] = &[
    on_cpu::CPU,
    counted::PAGE_FAULTS,
    counted::MINOR_FAULTS,
    counted::MAJOR_FAULTS,
    counted::CONTEXT_SWITCHES,
    off_cpu::OFF_CPU,
];

impl EventSource {
    /// The rows of some sources.
    pub fn of_all(sources: &[Source]) -> impl Iterator<Item = &'static Self> {
        sources.iter().filter_map(|source| Self::of(*source))
    }

    /// The row of a source.
    #[must_use]
    pub fn of(source: Source) -> Option<&'static Self> {
        ALL.iter().find(|row| row.source == source)
    }
}

/// Starts the yardstick of benchmarks in place of the sampler of CPU time, at a fixed rate.
///
/// # Errors
/// As [`EventSource::start`].
pub fn start_floor(kernel: &mut Kernel, rate_hz: u32) -> Result<CpuEvents, LoadError> {
    let mut events = CpuEvents::new(SoftwareEvent::CpuClock, kernel.floor_fd()?)?;
    events.follow_hotplug(|_| 1_000_000_000 / u64::from(rate_hz.max(1)));
    events.any()?;
    Ok(events)
}

/// Starts sampling CPU time (benchmarks and tests, which have no session).
///
/// # Errors
/// As [`EventSource::start`].
pub fn start_cpu(kernel: &mut Kernel, rate_hz: u32) -> Result<Box<dyn Sampling>, LoadError> {
    on_cpu::CPU.start(
        kernel,
        Rate {
            hz: rate_hz,
            period: 1,
        },
    )
}

#[cfg(test)]
mod tests {
    use super::{ALL, EventSource};
    use profiler_common::contract::sources::Source;

    #[test]
    fn every_source_of_the_contract_has_a_row() {
        for source in Source::ALL {
            assert!(EventSource::of(*source).is_some(), "{source:?}");
        }
        assert_eq!(ALL.len(), Source::ALL.len());
        assert_eq!(ALL[0].source, Source::OnCpu);
    }
}
