//! What the kernel says of the run time of BPF programs.

use std::fs;
use std::time::Duration;

use pyebpf::kernel::Kernel;

/// `kernel.bpf_stats_enabled`, restored when dropped.
pub(super) struct BpfStats {
    before: Option<String>,
}

const BPF_STATS: &str = "/proc/sys/kernel/bpf_stats_enabled";

impl BpfStats {
    pub(super) fn enable() -> Self {
        let before = fs::read_to_string(BPF_STATS).ok();
        if let Err(error) = fs::write(BPF_STATS, "1") {
            eprintln!("bpf_stats cannot be enabled: {error}");
        }
        Self { before }
    }

    /// Run time and runs of the sampler; what it chains to is included.
    pub(super) fn read(kernel: &Kernel) -> (Duration, u64) {
        Self::of_program(kernel, "sample_on_cpu")
    }

    /// Run time and runs of a program; what it chains to is included.
    pub(super) fn of_program(kernel: &Kernel, name: &str) -> (Duration, u64) {
        let costs = kernel.program_costs();
        costs
            .iter()
            .find(|cost| cost.name == name)
            .map_or_else(Default::default, |c| (c.run_time, c.runs))
    }

    /// Mean nanoseconds of one run.
    pub(super) fn per_run(before: (Duration, u64), after: (Duration, u64)) -> f64 {
        let runs = after.1.saturating_sub(before.1);
        if runs == 0 {
            0.0
        } else {
            after.0.saturating_sub(before.0).as_secs_f64() * 1e9 / runs as f64
        }
    }
}

impl Drop for BpfStats {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            // Nothing more can be done about a failure.
            let _ = fs::write(BPF_STATS, before);
        }
    }
}
