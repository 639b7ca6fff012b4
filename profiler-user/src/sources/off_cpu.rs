//! Time off the CPU: every thread that leaves its CPU and comes back. Nothing is drawn here and no CPU has an event of its
//! own: two programs watch all switches and all wake-ups of the host.

use std::time::{Duration, Instant};

use profiler_common::contract::sources::Source;

use super::cpu_events::CpuSet;
use super::sampling::{EventSource, Rate, Sampling, Wake};
use crate::kernel::{Kernel, LoadError, Watch};

/// The time that every thread spends off its CPU.
pub(super) const OFF_CPU: EventSource = EventSource {
    source: Source::OffCpu,
    about: "Time off the CPU: waiting for something, or for a CPU",
    missed: "left the CPU",
    start,
};

/// How much longer than going through all threads of the host takes the time between is, at least.
const SHARE: u32 = 50;

#[derive(Debug)]
struct OffCpu {
    _watch: Watch,
    /// Until when threads are not gone through again.
    rest_until: Instant,
}

fn start(_source: Source, kernel: &mut Kernel, _rate: Rate) -> Result<Box<dyn Sampling>, LoadError> {
    let started = Instant::now();
    let watch = kernel.watch_threads()?;
    Ok(Box::new(OffCpu {
        _watch: watch,
        rest_until: after_rest(started.elapsed()),
    }))
}

impl Sampling for OffCpu {
    fn source(&self) -> Source {
        Source::OffCpu
    }

    fn wake(&mut self, kernel: &mut Kernel, _sampled: &CpuSet, _wake: Wake) {
        let started = Instant::now();
        if started >= self.rest_until {
            kernel.find_entered_threads();
            self.rest_until = after_rest(started.elapsed());
        }
    }
}

fn after_rest(took: Duration) -> Instant {
    Instant::now() + took * SHARE
}
