//! What a session tells whoever started it.

use std::time::Duration;

use super::settings::StopReason;
use super::summary::Summary;
use crate::profile::Recording;

/// What a session tells whoever started it.
pub trait Listener {
    /// How far it is.
    fn progress(&mut self, progress: Progress);

    /// An interval has ended and is complete, before the recording ends.
    fn part(&mut self, part: Recording);

    /// Whether [`Self::accounts`] is of use.
    fn wants_accounts(&self) -> bool {
        false
    }

    /// What was delivered and lost so far: an interval has ended just now.
    fn accounts(&mut self, _: Summary) {}
}

/// What a progress display wants to know.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Samples are being taken.
    Recording {
        /// Since the first possible sample.
        elapsed: Duration,
        /// Delivered samples.
        samples: u64,
        /// Processes profiled now.
        processes: usize,
    },
    /// The first Ctrl-C: the recorded command got it too, and is recorded until it ends.
    LeftToCommand,
    /// Sampling is over, and symbols are still being read.
    Naming {
        /// Addresses without a name yet.
        addresses: usize,
    },
}

/// A recording that has ended.
#[derive(Debug)]
pub struct Ended {
    /// What came since the last part, or all of it.
    pub last: Recording,
    /// What was delivered, lost and spent, parts included.
    pub summary: Summary,
    /// Why it ended.
    pub reason: StopReason,
}
