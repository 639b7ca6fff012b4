//! What a source is: a row that can be started, and then is at work.

use std::time::Duration;

use profiler_common::contract::sources::Source;

use super::cpu_events::{CpuEvents, CpuSet, online};
use crate::kernel::{Kernel, LoadError};

/// Starts a source.
pub(super) type Start = fn(Source, &mut Kernel, Rate) -> Result<Box<dyn Sampling>, LoadError>;

/// One source, as `record --event` knows it.
#[derive(Clone, Copy, Debug)]
pub struct EventSource {
    /// Its code, name and unit.
    pub source: Source,
    /// What a sample means, for `--help`.
    pub about: &'static str,
    /// What a process did too rarely to be sampled, after `no process`.
    pub missed: &'static str,
    pub(super) start: Start,
}

/// How often samples are to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    /// Samples per second and CPU, for sources that measure time.
    pub hz: u32,
    /// Events per sample, for sources that count.
    pub period: u64,
}

impl EventSource {
    /// Starts its events on every online CPU.
    ///
    /// # Errors
    /// When no CPU takes one; one that refuses while others take theirs is in [`CpuEvents::refused`].
    pub fn start(&self, kernel: &mut Kernel, rate: Rate) -> Result<Box<dyn Sampling>, LoadError> {
        (self.start)(self.source, kernel, rate)
    }
}

/// A source at work. Dropping it ends its events.
pub trait Sampling: std::fmt::Debug + Send {
    /// What it samples.
    fn source(&self) -> Source;

    /// Its events, where every CPU has one of its own.
    fn events(&self) -> Option<&CpuEvents> {
        None
    }

    /// The same.
    fn events_mut(&mut self) -> Option<&mut CpuEvents> {
        None
    }

    /// CPUs that are sampled.
    fn cpus(&self) -> usize {
        self.events().map_or_else(online, CpuEvents::cpus)
    }

    /// Opens events on CPUs that came online and closes those of CPUs that went.
    fn follow_hotplug(&mut self, _kernel: &mut Kernel) {}

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
