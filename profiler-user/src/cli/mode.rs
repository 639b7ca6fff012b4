//! Value of `--mode`: which time is recorded.

use profiler_common::contract::sources::Source;

/// Which time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Mode {
    /// Time on the CPU
    Cpu,
    /// All time
    Wall,
    /// Time off the CPU
    OffCpu,
}

impl Mode {
    /// What is sampled for it.
    pub(super) fn sources(self) -> Vec<Source> {
        match self {
            Self::Cpu => vec![Source::OnCpu],
            Self::Wall => vec![Source::OnCpu, Source::OffCpu],
            Self::OffCpu => vec![Source::OffCpu],
        }
    }
}
