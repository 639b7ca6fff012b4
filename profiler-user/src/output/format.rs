//! What a file format is.

use std::io::Write;

use super::error::OutputError;
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
