//! How long the kernel half takes, as histograms that it fills itself when `MEASURE_SELF` is set.

/// Nanoseconds in one bucket.
pub const BUCKET_NS: u64 = 32;
/// Buckets of one row; the last holds everything longer.
pub const BUCKETS: u32 = 1024;

/// What is timed; indexes the rows of the `SELF_TIME` map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Timed {
    /// Two readings of the clock: subtract it from the others.
    Clock = 0,
    /// From the first instruction of a sample to its last, without definitions.
    Sample = 1,
    /// Finding the thread state and copying the data stack.
    Locate = 2,
    /// Walking one block of frames: reading them, and the identity of their code.
    Walk = 3,
    /// One run of the definition program.
    Define = 4,
    /// The yardstick: one 80-byte read for each frame of the same stack, nothing else.
    Floor = 5,
    /// Unwinding one block of native frames.
    WalkNative = 6,
}

impl Timed {
    /// Every row.
    pub const ALL: &'static [Self] = &[
        Self::Clock,
        Self::Sample,
        Self::Locate,
        Self::Walk,
        Self::Define,
        Self::Floor,
        Self::WalkNative,
    ];
}

/// How blocks of Python frames were walked; indexes the `WALKS` map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Walks {
    /// The identity of a code object had to be read.
    Long = 0,
    /// All of them were known to be unchanged.
    Short = 1,
}

impl Walks {
    /// Every row.
    pub const ALL: &'static [Self] = &[Self::Long, Self::Short];
}
