//! What a file format is.

use std::io::Write;

use super::compression::Compression;
use super::error::OutputError;
use super::style::RenderOptions;
use crate::profile::Recording;

/// A file format. Its name and its extensions are in the table of formats.
pub trait Output: Sync {
    /// What it is, for `--help`.
    fn about(&self) -> &'static str;

    /// What is said to have been written, if not `NAME data`.
    fn noun(&self) -> Option<&'static str> {
        None
    }

    /// A sentence on how people look at a file of it, which is called `FILE` in it; `None` where everybody knows.
    fn opens_with(&self) -> Option<&'static str> {
        None
    }

    /// Whether it reads [`Recording::timeline`], which costs a recording disk space.
    fn wants_timeline(&self) -> bool {
        false
    }

    /// Whether it has nothing to show without the time line.
    fn needs_timeline(&self) -> bool {
        self.wants_timeline()
    }

    /// How a file is compressed if its name does not say so; `extension` is that of its name, if it is one of the format's.
    fn own_compression(&self, extension: Option<&str>) -> Compression {
        let _ = extension;
        Compression::None
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
