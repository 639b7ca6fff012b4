//! What a file format is.

use std::io::{self, Write};

use super::style::RenderOptions;
use crate::profile::Recording;

/// A file format.
pub trait Output: Sync {
    /// As `--format` spells it.
    fn name(&self) -> &'static str;

    /// What it is, for `--help`.
    fn about(&self) -> &'static str;

    /// Other spellings `--format` takes.
    fn aliases(&self) -> &'static [&'static str] {
        &[]
    }

    /// Extension of a file named by default, without the dot.
    fn extension(&self) -> &'static str;

    /// More extensions that mean this format.
    fn other_extensions(&self) -> &'static [&'static str] {
        &[]
    }

    /// Whether it reads [`Recording::timeline`], which costs a recording disk space.
    fn wants_timeline(&self) -> bool {
        false
    }

    /// Whether it shows the names of threads without being told to.
    fn names_threads(&self) -> bool {
        false
    }

    /// Writes the whole file. `out` is buffered; the caller flushes it.
    ///
    /// # Errors
    /// See [`OutputError`].
    fn write(
        &self,
        recording: &mut Recording,
        options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError>;
}

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
    /// A flame graph has no picture for nothing; nothing was written.
    #[error("no samples: there is nothing to draw")]
    NoSamples,
    /// The format [`wants_timeline`](Output::wants_timeline), but the recording kept none.
    #[error("this recording did not keep its samples in the order of time, which the format needs")]
    NoTimeline,
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}
