//! Reads one file after the other.

use std::io::{self, Read};
use std::path::Path;

use super::builder::Builder;
use super::content::{Content, Kind};
use super::error::ReadError;
use super::loaded::Loaded;
use super::{folded, pprof};
use crate::profile::timeline::Timeline;

/// Reads files into one [`Loaded`].
#[derive(Debug)]
pub struct Reader {
    builder: Builder,
}

impl Reader {
    /// For the folded samples only.
    #[must_use]
    pub fn new() -> Self {
        Self {
            builder: Builder::new(None),
        }
    }

    /// For the time of each sample too, if all files have it. It is kept in a temporary file.
    ///
    /// # Errors
    /// When the temporary folder is not writable.
    pub fn with_times() -> io::Result<Self> {
        Ok(Self {
            builder: Builder::new(Some(Timeline::new()?)),
        })
    }

    /// Adds the file at `path`; `-` is stdin.
    ///
    /// # Errors
    /// See [`ReadError`]. What was added of the file by then stays.
    pub fn add_file(&mut self, path: &Path) -> Result<(), ReadError> {
        self.add_content(&Content::of_file(path)?)
    }

    /// Adds what can be read.
    ///
    /// # Errors
    /// As [`Self::add_file`].
    pub fn add(&mut self, input: impl Read) -> Result<(), ReadError> {
        self.add_content(&Content::of(input)?)
    }

    fn add_content(&mut self, content: &Content) -> Result<(), ReadError> {
        match content.kind()? {
            Kind::Pprof => pprof::read(content, &mut self.builder),
            Kind::Folded => folded::read(content, &mut self.builder),
        }
    }

    /// All files together; `None` if there was none.
    #[must_use]
    pub fn finish(self) -> Option<Loaded> {
        self.builder.finish()
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}
