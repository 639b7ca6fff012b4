//! What the kernel half counts: events by what became of them, records lost, its own run times.

use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::{MapData, PerCpuArray};
use aya::programs::Program;
use profiler_common::contract::benchmark::{BUCKETS, Timed, Walks};
use profiler_common::contract::losses::{Loss, LossWriter, loss_account};
use profiler_common::contract::programs::{SWITCH, Tracepoint, WAKE};
use profiler_common::contract::reasons::Outcome;
use profiler_common::contract::sources::{Source, account, gap_account};

use super::load::Kernel;

/// Tracepoints that are watched for a source.
const SOURCE_TRACEPOINTS: &[(Source, Tracepoint)] = &[(Source::OffCpu, SWITCH), (Source::OffCpu, WAKE)];

impl Kernel {
    /// Interrupts of a source taken so far: runs of its program.
    #[must_use]
    pub fn interrupts(&self, source: Source) -> u64 {
        sum(&self.accounts.interrupts, source.code().into())
    }

    /// Interrupts of a source by outcome, in the order of [`Outcome::ALL`]; they add up to [`Self::interrupts`].
    #[must_use]
    pub fn outcomes(&self, source: Source) -> Vec<(Outcome, u64)> {
        by_outcome(&self.accounts.outcomes, source)
    }

    /// What those interrupts weighed, in the unit of the source, in the order of [`Outcome::ALL`].
    #[must_use]
    pub fn weights(&self, source: Source) -> Vec<(Outcome, u64)> {
        by_outcome(&self.accounts.weights, source)
    }

    /// Time that passed between interrupts of a source and is charged to no program, nanoseconds: with
    /// [`Self::weights`] all the time from the first period set on each CPU to its last interrupt.
    #[must_use]
    pub fn gaps_ns(&self, source: Source) -> u64 {
        sum(&self.accounts.weights, gap_account(source.code()))
    }

    /// Records lost, in the order of [`Loss::ALL`].
    #[must_use]
    pub fn losses(&self) -> Vec<(Loss, u64)> {
        let of = |loss| {
            let writers = LossWriter::ALL.iter();
            writers
                .map(|writer| sum(&self.accounts.losses, loss_account(*writer, loss)))
                .sum::<u64>()
                + if loss == Loss::Thread {
                    self.threads.refused
                } else {
                    0
                }
        };
        Loss::ALL.iter().map(|loss| (*loss, of(*loss))).collect()
    }

    /// Runs of the programs of a source that the kernel skipped, because the program was running already on that CPU. Linux
    /// counts them since 5.12, and only those of raw tracepoints; 0 otherwise. For those of perf events see
    /// [`Self::interrupts`] and [`Self::gaps_ns`].
    #[must_use]
    pub fn skipped_runs(&self, source: Source) -> u64 {
        let of_source = SOURCE_TRACEPOINTS.iter().filter(|(of, _)| *of == source);
        self.skipped(|name| {
            of_source
                .clone()
                .any(|(_, tracepoint)| name == tracepoint.program)
        })
    }

    /// The same for the raw-tracepoint programs that belong to no source.
    #[must_use]
    pub fn skipped_tracepoint_runs(&self) -> u64 {
        self.skipped(|name| {
            SOURCE_TRACEPOINTS
                .iter()
                .all(|(_, tracepoint)| name != tracepoint.program)
        })
    }

    fn skipped(&self, is_meant: impl Fn(&str) -> bool) -> u64 {
        let programs = self.ebpf.programs();
        programs
            .filter(|(name, program)| matches!(program, Program::RawTracePoint(_)) && is_meant(name))
            .filter_map(|(_, program)| {
                let fd = program.fd().ok()?.as_fd().as_raw_fd();
                let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
                recursion_misses(&info)
            })
            .sum()
    }

    /// Run times that the programs measured of themselves, summed over CPUs: bucket `n` counts runs of `n` to `n + 1`
    /// times [`profiler_common::contract::benchmark::BUCKET_NS`] nanoseconds. All zero unless loaded with `measure_self`.
    #[must_use]
    pub fn self_time(&self, row: Timed) -> Vec<u64> {
        (0..BUCKETS)
            .map(|bucket| sum(&self.accounts.self_time, row as u32 * BUCKETS + bucket))
            .collect()
    }

    /// Blocks of Python frames that were walked this way. All zero unless loaded with `measure_self`.
    #[must_use]
    pub fn walks(&self, how: Walks) -> u64 {
        sum(&self.accounts.walks, how as u32)
    }
}

fn by_outcome(accounts: &PerCpuArray<MapData, u64>, source: Source) -> Vec<(Outcome, u64)> {
    Outcome::ALL
        .iter()
        .map(|outcome| (*outcome, sum(accounts, account(source.code(), *outcome))))
        .collect()
}

fn sum(counters: &PerCpuArray<MapData, u64>, index: u32) -> u64 {
    counters.get(&index, 0).map_or(0, |values| values.iter().sum())
}

/// The number in the `fdinfo` of a program (`bpf_prog_show_fdinfo`, `kernel/bpf/syscall.c`).
fn recursion_misses(info: &str) -> Option<u64> {
    let line = info
        .lines()
        .find_map(|line| line.strip_prefix("recursion_misses:"));
    line?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::recursion_misses;

    #[test]
    fn skipped_runs_are_read_where_the_kernel_counts_them() {
        let info = "pos:\t0\nflags:\t02000002\nprog_type:\t17\nrun_cnt:\t9\nrecursion_misses:\t3\nverified_insns:\t8\n";
        assert_eq!(recursion_misses(info), Some(3));
        assert_eq!(recursion_misses("pos:\t0\nrun_cnt:\t9\n"), None);
        assert_eq!(recursion_misses("recursion_misses:\tmany\n"), None);
    }
}
