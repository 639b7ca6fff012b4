//! Where samples come from: one file per kind of event, one line in [`ALL`] per source.
//!
//! A source says which event starts its program on every CPU, and when. What its samples weigh, the kernel half says in
//! each record. Uses `kernel` to open events; the session wakes it.

mod counted;
mod on_cpu;

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::time::Duration;

use profiler_common::contract::sources::Source;

use crate::kernel::{Kernel, LoadError, PerfError, PerfEvent, SoftwareEvent};

/// One source, as `record --event` knows it.
#[derive(Clone, Copy, Debug)]
pub struct EventSource {
    /// Its code, name and unit.
    pub source: Source,
    /// What a sample means, for `--help`.
    pub about: &'static str,
    start: Start,
}

type Start = fn(Source, &mut Kernel, Rate) -> Result<Box<dyn Sampling>, LoadError>;

/// Every source. The first is the default.
pub const ALL: &[EventSource] = &[
    on_cpu::CPU,
    counted::PAGE_FAULTS,
    counted::MINOR_FAULTS,
    counted::MAJOR_FAULTS,
    counted::CONTEXT_SWITCHES,
];

/// How often samples are to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Samples per second and CPU, for sources that measure time.
    pub hz: u32,
    /// Events per sample, for sources that count.
    pub period: u64,
}

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

    /// Starts its events on every online CPU.
    ///
    /// # Errors
    /// When no CPU takes one; one that refuses while others take theirs is in [`CpuEvents::refused`].
    pub fn start(&self, kernel: &mut Kernel, rate: Rate) -> Result<Box<dyn Sampling>, LoadError> {
        (self.start)(self.source, kernel, rate)
    }
}

/// Starts the yardstick of benchmarks in the place of the sampler of CPU time, at a fixed rate.
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

/// A source at work. Dropping it ends its events.
pub trait Sampling: std::fmt::Debug + Send {
    /// What it samples.
    fn source(&self) -> Source;

    /// Its events.
    fn events(&self) -> &CpuEvents;

    /// The same.
    fn events_mut(&mut self) -> &mut CpuEvents;

    /// Opens events on CPUs that came online and closes those of CPUs that went.
    fn follow_hotplug(&mut self, kernel: &mut Kernel);

    /// To be called at every wake-up: `sampled` are the CPUs on which a profiled process was sampled since the last one,
    /// `wake` says when and how. Sources whose period is fixed do nothing.
    fn wake(&mut self, _kernel: &mut Kernel, _sampled: &CpuSet, _wake: Wake) {}

    /// Events per interrupt, where every event is counted.
    fn period(&self) -> Option<u64> {
        None
    }
}

/// A wake-up of the session.
#[derive(Clone, Copy, Debug)]
pub struct Wake {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub now_ns: u64,
    /// Time until the next one.
    pub interval: Duration,
    /// It comes as long after the last one as that came after the one before: what was drawn then may be mirrored.
    pub is_second: bool,
}

/// Numbers of CPUs.
#[derive(Clone, Debug, Default)]
pub struct CpuSet(Vec<u64>);

impl CpuSet {
    /// CPUs beyond this number do not exist (`CONFIG_NR_CPUS` is at most 8,192).
    const MAX_CPUS: u32 = 1 << 14;

    /// Adds one.
    pub fn insert(&mut self, cpu: u32) {
        if cpu >= Self::MAX_CPUS {
            return;
        }
        let (word, bit) = (cpu as usize / 64, cpu % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    /// Whether it is there.
    #[must_use]
    pub fn contains(&self, cpu: u32) -> bool {
        let word = self.0.get(cpu as usize / 64);
        word.is_some_and(|word| word >> (cpu % 64) & 1 == 1)
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// One event on each online CPU, all of which start the same program.
#[derive(Debug)]
pub struct CpuEvents {
    event: SoftwareEvent,
    program: OwnedFd,
    events: BTreeMap<u32, PerfEvent>,
    /// CPUs that take no event, and why.
    refused: BTreeMap<u32, PerfError>,
    /// Counts of events on CPUs that have gone offline since.
    counted: u64,
}

impl CpuEvents {
    fn new(event: SoftwareEvent, program: BorrowedFd<'_>) -> Result<Self, LoadError> {
        let program = program
            .try_clone_to_owned()
            .map_err(|source| PerfError::Attach { cpu: 0, source })?;
        Ok(Self {
            event,
            program,
            events: BTreeMap::new(),
            refused: BTreeMap::new(),
            counted: 0,
        })
    }

    /// Opens events on CPUs that came online, with the period that `period` gives them, and closes those of CPUs that
    /// went. A CPU that refuses is tried again the next time.
    fn follow_hotplug(&mut self, mut period: impl FnMut(u32) -> u64) {
        let online = match aya::util::online_cpus() {
            Ok(online) => online,
            Err((_, source)) => {
                self.refused.insert(0, PerfError::Cpus(source));
                return;
            }
        };
        self.refused.clear();
        self.events.retain(|cpu, event| {
            let is_online = online.contains(cpu);
            if !is_online {
                self.counted += event.count().unwrap_or(0);
            }
            is_online
        });
        for cpu in online {
            if self.events.contains_key(&cpu) {
                continue;
            }
            match PerfEvent::start(self.event, cpu, period(cpu), self.program.as_fd()) {
                Ok(event) => {
                    self.events.insert(cpu, event);
                }
                Err(error) if error.is_cpu_gone() => {}
                Err(error) => {
                    self.refused.insert(cpu, error);
                }
            }
        }
    }

    /// Fails with a refusal when no CPU takes an event.
    fn any(&mut self) -> Result<(), LoadError> {
        match self.events.is_empty() {
            true => self.take_refusal().map_or(Ok(()), |error| Err(error.into())),
            false => Ok(()),
        }
    }

    /// Why one of the CPUs is not sampled.
    pub fn take_refusal(&mut self) -> Option<PerfError> {
        self.refused.pop_first().map(|(_, error)| error)
    }

    /// CPUs being sampled.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.events.len()
    }

    /// CPUs that are not, and why.
    pub fn refused(&self) -> impl Iterator<Item = (u32, &PerfError)> {
        self.refused.iter().map(|(cpu, error)| (*cpu, error))
    }

    /// What the events counted so far, on all CPUs.
    #[must_use]
    pub fn count(&self) -> u64 {
        let of_event = |event: &PerfEvent| event.count().unwrap_or(0);
        self.events.values().map(of_event).sum::<u64>() + self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::{ALL, CpuSet, EventSource};
    use profiler_common::contract::sources::Source;

    #[test]
    fn every_source_of_the_contract_has_a_row() {
        for source in Source::ALL {
            assert!(EventSource::of(*source).is_some(), "{source:?}");
        }
        assert_eq!(ALL.len(), Source::ALL.len());
        assert_eq!(ALL[0].source, Source::OnCpu);
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        let mut set = CpuSet::default();
        for cpu in [0, 63, 64, 8_191, u32::MAX] {
            assert!(!set.contains(cpu));
            set.insert(cpu);
            assert_eq!(set.contains(cpu), cpu != u32::MAX);
        }
        set.clear();
        assert!(!set.contains(63));
    }
}
