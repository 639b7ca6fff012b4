//! What a recording delivered, lost and cost.

use std::time::Duration;

use profiler_common::contract::losses::Loss;
use profiler_common::contract::reasons::{Outcome, StackStatus};
use profiler_common::contract::sources::Source;

use crate::native::symbol::NativeUnresolved;
use crate::native::unwind::Statistics;
use crate::pipeline::{GilShares, NativeCounts, NotAsked, UnnamedFrames};
use crate::priority::Priority;
use crate::processes::halt::Halt;
use crate::processes::tracker::RefusedProcess;
use crate::profile::aggregate::Overflow;

/// What a recording delivered, lost and cost.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Whole samples that arrived.
    pub samples: u64,
    /// Those samples by how complete their stack is.
    pub by_status: Vec<(StackStatus, u64)>,
    /// The accounts of each source.
    pub sources: Vec<SourceSummary>,
    /// Records other than samples that were lost.
    pub losses: Vec<(Loss, u64)>,
    /// Records that could not be decoded.
    pub undecodable: u64,
    /// Frames without a name.
    pub unnamed: UnnamedFrames,
    /// What was not asked about, because its process had asked too much already.
    pub not_asked: NotAsked,
    /// Samples that are counted, but not under their own name.
    pub overflow: Overflow,
    /// Time during which samples were taken.
    pub duration: Duration,
    /// Time that all CPUs together were busy during that time.
    pub busy: Duration,
    /// CPU time of pyebpf itself during that time.
    pub own_cpu: Duration,
    /// Whether the event loop had priority over other work.
    pub priority: Priority,
    /// Events of processes that the kernel did not report, because its program was at another one on that CPU.
    pub skipped_events: u64,
    /// Interpreters that were not profiled.
    pub refusals: Vec<RefusedProcess>,
    /// Children that ran Python and were not recorded, because nobody asked for children.
    pub unrecorded_children: u64,
    /// Processes that were there at the end.
    pub processes: usize,
    /// Those of them that could not run, if nothing was sampled.
    pub halted: Vec<(u32, Halt)>,
    /// CPU time that the processes still there at the end used meanwhile, if nothing was sampled.
    pub unsampled_cpu: Duration,
    /// Native frames, where they were recorded.
    pub native: Option<NativeSummary>,
    /// How long threads waited for the GIL, where time off the CPU was recorded.
    pub gil: GilShares,
}

/// The accounts of one source. Each interrupt ends in exactly one outcome.
#[derive(Clone, Debug)]
pub struct SourceSummary {
    /// Which one.
    pub source: Source,
    /// Interrupts taken.
    pub interrupts: u64,
    /// Interrupts by outcome.
    pub outcomes: Vec<(Outcome, u64)>,
    /// What they stand for, in the unit of the source, by outcome.
    pub weights: Vec<(Outcome, u64)>,
    /// Time of all CPUs that no period explains and that is charged to nobody: the CPU was idle (then it takes no
    /// interrupts on many machines), the machine slept, or the hypervisor had taken the CPU away. Nanoseconds; 0 for
    /// sources that count.
    pub gap_ns: u64,
    /// Delivered samples that are not in the recording, because only threads that hold the GIL were wanted.
    pub without_gil: u64,
    /// Interrupts that the kernel skipped, because another program was running on the CPU; known for sources that count, and
    /// for time off the CPU.
    pub skipped: u64,
    /// Of time off the CPU: how long threads were blocked in all, exactly, in the spells that ended. Zero for others.
    pub blocked: Duration,
    /// The same: how long they waited for a CPU.
    pub waiting: Duration,
    /// CPUs sampled at the end.
    pub cpus: usize,
    /// CPUs that took no event, and why.
    pub refused_cpus: Vec<(u32, String)>,
}

/// How native frames fared.
#[derive(Clone, Debug)]
pub struct NativeSummary {
    /// Samples by how their native frames fitted.
    pub counts: NativeCounts,
    /// The unwind tables; `None` where only the kernel's frames were asked for.
    pub tables: Option<Statistics>,
    /// Looks at what a process executes that failed, although the process was there.
    pub failed_looks: u64,
    /// Tables and lists of mappings that the kernel half had no room for.
    pub refused_writes: u64,
    /// Different addresses without a name, by reason.
    pub unnamed: Vec<(NativeUnresolved, u64)>,
}

/// Busy time from which a rate can be told, ten steps of `/proc/stat`.
const MEASURABLE: Duration = Duration::from_millis(100);

impl SourceSummary {
    /// Interrupts with this outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        count(&self.outcomes, |of| of == outcome)
    }

    /// Delivered samples that are in the recording.
    #[must_use]
    pub fn kept(&self) -> u64 {
        self.of(Outcome::Delivered).saturating_sub(self.without_gil)
    }

    /// Interrupts that would have been samples but were lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        count(&self.outcomes, |outcome| {
            !matches!(
                outcome,
                Outcome::Delivered | Outcome::Idle | Outcome::NotProfiled | Outcome::Thinned
            )
        })
    }
}

impl Summary {
    /// The accounts of a source, if it was recorded.
    fn of_source(&self, source: Source) -> Option<&SourceSummary> {
        self.sources.iter().find(|accounts| accounts.source == source)
    }

    /// Samples of all sources that were lost.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.sources.iter().map(SourceSummary::dropped).sum()
    }

    /// Whether every interrupt ended in exactly one outcome, and every delivered sample arrived.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let all = |source: &SourceSummary| count(&source.outcomes, |_| true) == source.interrupts;
        let delivered: u64 = self
            .sources
            .iter()
            .map(|source| source.of(Outcome::Delivered))
            .sum();
        self.sources.iter().all(all) && delivered == self.samples
    }

    /// Time of all CPUs in which something ran that was not sampled: the gaps, less the time that CPUs were idle. `None`
    /// when that is less than the kernel's accounts of idle time can tell (ten steps of 10 ms for each CPU).
    #[must_use]
    pub fn not_sampled(&self) -> Option<Duration> {
        let source = self.of_source(Source::OnCpu)?;
        let cpus = u32::try_from(source.cpus).unwrap_or(u32::MAX);
        let idle = (self.duration * cpus).saturating_sub(self.busy);
        let seen_idle = Duration::from_nanos(count(&source.weights, |outcome| outcome == Outcome::Idle));
        let gaps = Duration::from_nanos(source.gap_ns);
        let not_sampled = gaps.saturating_sub(idle.saturating_sub(seen_idle));
        (not_sampled > MEASURABLE * cpus).then_some(not_sampled)
    }

    /// Samples whose stack is cut off or unreadable.
    #[must_use]
    pub fn errors(&self) -> u64 {
        count(&self.by_status, |status| {
            matches!(
                status,
                StackStatus::FrameFault
                    | StackStatus::Truncated
                    | StackStatus::StateFault
                    | StackStatus::ForeignThreadState
                    | StackStatus::TooManyThreads
            )
        })
    }

    /// CPUs sampled.
    #[must_use]
    pub fn cpus(&self) -> usize {
        self.sources.iter().map(|source| source.cpus).max().unwrap_or(0)
    }

    /// Samples of CPU time per second on a CPU that is busy; idle CPUs take fewer. `None` where CPU time was not sampled, or
    /// when the CPUs were idle nearly all the time: the kernel counts busy time in steps of 10 ms.
    #[must_use]
    pub fn achieved_rate_hz(&self) -> Option<f64> {
        let source = self.of_source(Source::OnCpu)?;
        let busy = source.interrupts.saturating_sub(source.of(Outcome::Idle));
        (self.busy >= MEASURABLE).then(|| busy as f64 / self.busy.as_secs_f64())
    }
}

/// The sum of the rows that are wanted.
fn count<T: Copy>(rows: &[(T, u64)], wanted: impl Fn(T) -> bool) -> u64 {
    let wanted = rows.iter().filter(|(row, _)| wanted(*row));
    wanted.map(|(_, count)| count).sum()
}
