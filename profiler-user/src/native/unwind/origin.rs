//! Where the bytes of an executed file are found again.
//!
//! Used by [`super::files`], which remembers it, and by [`super::compiler`], which has it read from there. A file at rest is
//! not kept open.

use std::hash::Hash;
use std::sync::Arc;

use crate::inspect::{Arrival, FileWanted, Openings, Reach, SentFile};
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
    /// Not yet.
    Late,
}

impl Origin {
    /// The file of this number, open, on its way to whoever is to read it.
    pub(super) fn open<N: Copy + Eq + Hash>(
        &self,
        number: N,
        openings: &mut Openings<N>,
    ) -> Result<SentFile, Lost> {
        match self {
            Self::Memory(bytes) => {
                let sent = file_of_bytes(bytes).and_then(|file| SentFile::of_own(&file));
                sent.map_err(|_| Lost::Unreachable)
            }
            Self::Mapped(reach) => match openings.get(number, || FileWanted::Mapped((**reach).clone())) {
                Arrival::Here(file) => Ok(file),
                Arrival::Late => Err(Lost::Late),
                Arrival::Failed(error) => {
                    log::debug!("a file for unwind tables: {error}");
                    Err(Lost::Unreachable)
                }
            },
        }
    }
}
