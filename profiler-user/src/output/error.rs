//! Why a recording was not written.

use std::io;

/// Why a profile could not be written. What was written by then is not a valid file.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The destination refused bytes: disk full, pipe closed.
    #[error("cannot write the profile: {0}")]
    Write(io::Error),
    /// The samples in the temporary folder could not be read or sorted.
    #[error("cannot sort the samples in the temporary folder: {0}")]
    Timeline(io::Error),
    /// One picture has one unit.
    #[error("this recording counts different things, which have no common sum")]
    MixedUnits,
    /// A flame graph needs something to draw; nothing was written.
    #[error("no samples: there is nothing to draw")]
    NoSamples,
    /// The format [wants the samples in the order of time](crate::output::Output::wants_timeline), but the recording kept none.
    #[error("this recording did not keep its samples in the order of time, which the format needs")]
    NoTimeline,
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}
