//! What to record, and how a recording can end.

use std::time::Duration;

use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::Reporting;

use super::error::SessionError;
use super::signals::StopSignal;
use crate::pipeline::Pipeline;
use crate::processes::filter::Filter;
use crate::processes::tracker::Target;

/// What the user wants to see of native code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeFrames {
    /// The kernel's frames only.
    Kernel,
    /// Not the interpreter's own machinery.
    Relevant,
    /// Everything.
    All,
}

/// How long names are waited for that have to be read first.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For those of an interval, while the recording goes on.
    pub of_part: Duration,
    /// At the end: the largest debug information takes seconds.
    pub at_end: Duration,
}

impl Patience {
    /// For whoever wants to see something now.
    #[must_use]
    pub fn of_display() -> Self {
        Self {
            of_part: Duration::from_secs(3),
            at_end: Duration::from_secs(2),
        }
    }
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            of_part: Duration::from_secs(10),
            at_end: Duration::from_secs(120),
        }
    }
}

/// What to record.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose samples.
    pub target: Target,
    /// Which of the target's processes.
    pub filter: Filter,
    /// What is sampled; at least one.
    pub sources: Vec<Source>,
    /// Samples per second and CPU, for sources that measure time.
    pub rate_hz: u32,
    /// Events per sample, for sources that count.
    pub period: u64,
    /// `None` means until Ctrl-C.
    pub duration: Option<Duration>,
    /// How often an interval ends; `None` means only at the end of the recording.
    pub every: Option<Duration>,
    /// How long symbols are waited for.
    pub patience: Patience,
    /// Only samples of threads that hold the GIL.
    pub gil_only: bool,
    /// Only waits for the GIL, each with who held it: CPU time and time off the CPU are sampled, and nothing else of them is
    /// kept.
    pub gil_waits: bool,
    /// Of time off the CPU: only what lasts so long.
    pub threshold: Option<Duration>,
    /// Keep the order of samples (for formats that show time).
    pub timeline: bool,
    /// Native and kernel frames too, and which.
    pub native: Option<NativeFrames>,
    /// Look up the names that threads have in Python.
    pub thread_names: bool,
    /// Processes that can be profiled at the same time; further ones are refused.
    pub max_interpreters: u32,
    /// Becomes `Recording::title`.
    pub title: String,
}

impl Settings {
    /// [`Self::max_interpreters`] where nobody says otherwise.
    pub const INTERPRETERS: u32 = 16_384;

    /// Which times off the CPU the kernel half reports.
    pub(super) fn reporting(&self) -> Reporting {
        let least = self.threshold.map(|time| u64::try_from(time.as_nanos()));
        match least {
            Some(least_ns) => Reporting::from(least_ns.unwrap_or(u64::MAX)),
            None if self.gil_waits => Reporting::GIL,
            None => Reporting::ALL,
        }
    }

    /// A pipeline that takes in what these ask for.
    pub(super) fn fitted(&self, pipeline: Pipeline) -> Pipeline {
        if self.sources.contains(&Source::OffCpu) {
            pipeline.off_cpu(self.reporting(), self.gil_waits)
        } else {
            pipeline
        }
    }

    /// Whether stacks of blocked threads are read from outside. They say nothing of whoever holds the GIL.
    pub(super) fn reads_stacks(&self) -> bool {
        self.sources.contains(&Source::OffCpu) && !self.gil_only
    }
}

/// Why a recording ended.
#[derive(Debug)]
pub enum StopReason {
    /// The time was up.
    Duration,
    /// Ctrl-C, SIGTERM or SIGHUP.
    Signal(StopSignal),
    /// All processes asked for have ended.
    ProcessExited,
    /// The kernel half delivers nothing any more. What it had delivered is in the recording.
    Failed(SessionError),
}
