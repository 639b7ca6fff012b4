//! Where the bytes of an executed file are found again.
//!
//! Used by [`super::files`], which remembers it, and by [`super::compiler`], which has it read from there. A file at rest is not
//! kept open.

use std::fs::File;
use std::sync::Arc;

use crate::native::memory_file::file_of_bytes;
use crate::proc::file::{FileError, MappedFile, Stamp};
use crate::proc::maps::Maps;

/// Where a file's bytes are found.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A process maps it.
    Mapped {
        pid: u32,
        /// Its line of `/proc/PID/maps`.
        line: Arc<[u8]>,
        stamp: Stamp,
    },
    /// Read already.
    Memory(Arc<[u8]>),
}

/// Why a file was not found where it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lost {
    /// Not by this way; another process may map the file too.
    Unreachable,
    /// What is there is not a file any more.
    NotRegular,
}

impl Origin {
    /// The file, open.
    pub(super) fn open(&self) -> Result<File, Lost> {
        match self {
            Self::Memory(bytes) => file_of_bytes(bytes).map_err(|_| Lost::Unreachable),
            Self::Mapped { pid, line, stamp } => {
                let maps = Maps::from_text(line.to_vec());
                let mapping = maps.iter().next().ok_or(Lost::Unreachable)?;
                let file = MappedFile::find(*pid, &mapping).map_err(|error| match error {
                    FileError::NotRegular => Lost::NotRegular,
                    _ => Lost::Unreachable,
                })?;
                // Written to since: not what the process's other pages were read from.
                if !file.stamp().has_content_of(stamp) {
                    return Err(Lost::Unreachable);
                }
                file.open().map_err(|_| Lost::Unreachable)
            }
        }
    }
}
