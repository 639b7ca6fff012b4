//! Time off the CPU: every thread that leaves its CPU and comes back. Nothing is drawn here and no CPU has an event of its
//! own: two programs watch all switches and all wake-ups of the host.

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

#[derive(Debug)]
struct OffCpu {
    _watch: Watch,
}

fn start(_source: Source, kernel: &mut Kernel, _rate: Rate) -> Result<Box<dyn Sampling>, LoadError> {
    Ok(Box::new(OffCpu {
        _watch: kernel.watch_threads()?,
    }))
}

impl Sampling for OffCpu {
    fn source(&self) -> Source {
        Source::OffCpu
    }

    fn wake(&mut self, kernel: &mut Kernel, _sampled: &CpuSet, _wake: Wake) {
        kernel.find_entered_threads();
    }
}
