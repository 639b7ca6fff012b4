//! What the kernel half is asked to do.

use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::Reporting;

use crate::table_maps::Capacity;

/// What the kernel half is asked to do.
#[derive(Clone, Debug)]
pub struct Options {
    /// What samples are taken of; each of them once.
    pub sources: Vec<SampledSource>,
    /// Report processes that nobody has described, and every exec.
    pub all_processes: bool,
    /// Report known processes that move to another cgroup.
    pub watch_cgroups: bool,
    /// Report known processes that change their name.
    pub watch_names: bool,
    /// Bytes of the sample ring; a power of two, at least a page.
    pub sample_ring_bytes: u32,
    /// Processes that can be known at the same time.
    pub max_processes: u32,
    /// Processes that can be profiled at the same time.
    pub max_interpreters: u32,
    /// Threads whose time off the CPU can be watched at the same time.
    pub max_threads: u32,
    /// Which of the times are reported that they spend there.
    pub reporting: Reporting,
    /// Whether programs time themselves (benchmarks).
    pub measure_self: bool,
    /// Frames besides those of Python.
    pub native: Native,
}

impl Options {
    /// Whether samples are taken of a source.
    pub(super) fn has(&self, source: Source) -> bool {
        self.sources.iter().any(|sampled| sampled.source == source)
    }
}

/// A source, and how often.
#[derive(Clone, Copy, Debug)]
pub struct SampledSource {
    /// Which.
    pub source: Source,
    /// Events that one sample stands for; without effect where time is measured.
    pub period: u64,
}

/// Which frames are taken besides those of Python.
#[derive(Clone, Copy, Debug)]
pub enum Native {
    /// None.
    None,
    /// The kernel's.
    Kernel,
    /// Native ones too, with this much room for unwind tables.
    User(Capacity),
}

/// Where native frames are not taken.
pub(super) const NO_TABLES: Capacity = Capacity {
    mappings: 1,
    blocks: 1,
    row_pages: 1,
};
