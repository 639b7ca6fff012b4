//! One event on each CPU.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use crate::kernel::{LoadError, PerfError, PerfEvent, SoftwareEvent};

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

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Removes all.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }
}

/// CPUs that are online; 0 when that is not known.
pub(super) fn online() -> usize {
    aya::util::online_cpus().map_or(0, |cpus| cpus.len())
}

/// One event on each online CPU, all of which start the same program.
#[derive(Debug)]
pub struct CpuEvents {
    event: SoftwareEvent,
    program: OwnedFd,
    pub(super) events: BTreeMap<u32, PerfEvent>,
    /// CPUs that take no event, and why.
    refused: BTreeMap<u32, PerfError>,
    /// Counts of events on CPUs that have gone offline since.
    counted: u64,
}

impl CpuEvents {
    pub(super) fn new(event: SoftwareEvent, program: BorrowedFd<'_>) -> Result<Self, LoadError> {
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
    pub(super) fn follow_hotplug(&mut self, mut period: impl FnMut(u32) -> u64) {
        let online = match aya::util::online_cpus() {
            Ok(online) => online,
            // Without a free descriptor, say. Those that have an event keep it.
            Err((_, source)) if !self.events.is_empty() => {
                log::debug!("the online CPUs are not known now: {source}");
                return;
            }
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
    pub(super) fn any(&mut self) -> Result<(), LoadError> {
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
    use super::CpuSet;

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
