//! What a recording delivered, lost and cost.

use std::time::Duration;

use profiler_common::contract::losses::Loss;
use profiler_common::contract::reasons::{Outcome, StackStatus};
use profiler_common::contract::sources::Source;

use crate::kernel::Kernel;
use crate::native::symbol::NativeUnresolved;
use crate::native::unwind::Statistics;
use crate::pipeline::native::NativeCounts;
use crate::pipeline::symbolizer::{Symbolizer, UnnamedFrames};
use crate::processes::tracker::RefusedProcess;
use crate::profile::aggregate::Aggregator;
use crate::wire::assembly::Assembly;

/// See the module.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Whole samples that arrived.
    pub samples: u64,
    /// Those samples by how complete their stack is.
    pub by_status: Vec<(StackStatus, u64)>,
    /// Interrupts taken.
    pub interrupts: u64,
    /// Interrupts by outcome.
    pub outcomes: Vec<(Outcome, u64)>,
    /// Records other than samples that were lost.
    pub losses: Vec<(Loss, u64)>,
    /// Records that could not be decoded.
    pub undecodable: u64,
    /// Frames without a name.
    pub unnamed: UnnamedFrames,
    /// Samples whose stack was left out to bound memory.
    pub too_many_stacks: u64,
    /// Sampled CPUs.
    pub cpus: usize,
    /// Time during which samples were taken.
    pub duration: Duration,
    /// Time that all CPUs together were busy meanwhile.
    pub busy: Duration,
    /// CPU time of pyebpf itself during that time.
    pub own_cpu: Duration,
    /// Interpreters that were not profiled.
    pub refusals: Vec<RefusedProcess>,
    /// Native frames, where they were recorded.
    pub native: Option<NativeSummary>,
}

/// What became of native frames.
#[derive(Clone, Debug)]
pub struct NativeSummary {
    /// Only the kernel's frames were asked for.
    pub is_kernel_only: bool,
    /// How the stacks fared.
    pub counts: NativeCounts,
    /// The unwind tables.
    pub tables: Statistics,
    /// Different addresses without a name, by reason.
    pub unnamed: Vec<(NativeUnresolved, u64)>,
}

/// Busy time from which a rate can be told, ten steps of `/proc/stat`.
const MEASURABLE: Duration = Duration::from_millis(100);

impl Summary {
    pub(crate) fn collect(
        kernel: &Kernel,
        assembly: &Assembly,
        aggregator: &Aggregator,
        symbolizer: &Symbolizer,
    ) -> Self {
        Self {
            samples: assembly.samples(),
            by_status: assembly.by_status(),
            interrupts: kernel.interrupts(Source::OnCpu),
            outcomes: kernel.outcomes(Source::OnCpu),
            losses: kernel.losses(),
            undecodable: 0,
            unnamed: symbolizer.unnamed(),
            too_many_stacks: aggregator.overflowed(),
            cpus: 0,
            duration: Duration::ZERO,
            busy: Duration::ZERO,
            own_cpu: Duration::ZERO,
            refusals: Vec::new(),
            native: None,
        }
    }

    /// Interrupts that would have been samples but were lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.outcomes
            .iter()
            .filter(|(outcome, _)| {
                !matches!(outcome, Outcome::Delivered | Outcome::Idle | Outcome::NotProfiled)
            })
            .map(|(_, count)| count)
            .sum()
    }

    /// Whether every interrupt ended in exactly one outcome, and every delivered sample arrived.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let outcomes: u64 = self.outcomes.iter().map(|(_, count)| count).sum();
        let delivered: u64 = self
            .outcomes
            .iter()
            .filter(|(outcome, _)| *outcome == Outcome::Delivered)
            .map(|(_, count)| count)
            .sum();
        outcomes == self.interrupts && delivered == self.samples
    }

    /// Samples whose stack is cut off or unreadable.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.by_status
            .iter()
            .filter(|(status, _)| {
                matches!(
                    status,
                    StackStatus::FrameFault
                        | StackStatus::Truncated
                        | StackStatus::StateFault
                        | StackStatus::ForeignThreadState
                        | StackStatus::TooManyThreads
                )
            })
            .map(|(_, count)| count)
            .sum()
    }

    /// Interrupts per second on a CPU that is busy; idle CPUs take fewer. `None` when the CPUs were idle nearly all the
    /// time: the kernel counts busy time in steps of 10 ms.
    #[must_use]
    pub fn achieved_rate_hz(&self) -> Option<f64> {
        let idle: u64 = self
            .outcomes
            .iter()
            .filter(|(outcome, _)| *outcome == Outcome::Idle)
            .map(|(_, count)| count)
            .sum();
        (self.busy >= MEASURABLE)
            .then(|| self.interrupts.saturating_sub(idle) as f64 / self.busy.as_secs_f64())
    }
}
