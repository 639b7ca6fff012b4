//! Where the bytes of an executed file are found again.
//!
//! Used by [`super::files`], which remembers it, and by [`super::compiler`], which has it read from there. A file at rest is
//! not kept open.

use std::sync::Arc;
use std::time::Duration;

use crate::inspect::{FileWanted, Opener, Reach, SentFile};
use crate::native::memory_file::file_of_bytes;

/// Where a file's bytes are found.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A process maps it.
    Mapped(Arc<Reach>),
    /// Read already.
    Memory(Arc<[u8]>),
}

/// Why a file was not found where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Not by this way; another process may map the file too.
    Unreachable,
    /// It did not come in time.
    Late,
}

impl Origin {
    /// The file, open, on its way to whoever is to read it. Waits for it no longer than `patience`.
    pub(super) fn open(&self, opener: &Opener, patience: Duration) -> Result<SentFile, Lost> {
        match self {
            Self::Memory(bytes) => {
                let sent = file_of_bytes(bytes).and_then(|file| SentFile::of_own(&file));
                sent.map_err(|_| Lost::Unreachable)
            }
            Self::Mapped(reach) => {
                let opening = opener.open(FileWanted::Mapped((**reach).clone()));
                let outcome = opening.wait(patience).ok_or(Lost::Late)?;
                outcome.map_err(|_| Lost::Unreachable)
            }
        }
    }
}
