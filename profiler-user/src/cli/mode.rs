//! Values of `--mode`: which time is recorded.

use profiler_common::contract::sources::Source;

/// Which time, for `top`.
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

/// The same for `record`, which has one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum RecordMode {
    /// Time on the CPU
    Cpu,
    /// All time
    Wall,
    /// Time off the CPU
    OffCpu,
    /// Waits for the GIL, each with who held it
    Gil,
}

impl RecordMode {
    /// What is sampled for it.
    pub(super) fn sources(self) -> Vec<Source> {
        match self {
            Self::Cpu => Mode::Cpu.sources(),
            // Who holds the GIL is on a CPU most of the time.
            Self::Wall | Self::Gil => Mode::Wall.sources(),
            Self::OffCpu => Mode::OffCpu.sources(),
        }
    }
}
