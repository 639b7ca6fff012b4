//! How much of foreign files is read and kept. Everything that grows with what a file says asks here first.

use super::error::ReadError;

/// Bytes of a file as it lies on the disk.
pub(super) const MOST_FILE_BYTES: u64 = 512 << 20;
/// Bytes of a file when it is decompressed. They are read as a stream, twice.
pub(super) const MOST_CONTENT_BYTES: u64 = 8 << 30;
/// Bytes of one field of a pprof message, such as a sample or a text, and of one line of folded stacks.
pub(super) const MOST_FIELD_BYTES: u64 = 4 << 20;
/// Frames of a stack.
pub(super) const MOST_FRAMES: usize = 1 << 16;
/// Kinds of values that a sample has.
pub(super) const MOST_TYPES: usize = 64;
/// Bytes of memory for what is kept of all files together.
const MOST_KEPT_BYTES: u64 = 1 << 30;

/// What is left of the memory for one set of files.
#[derive(Debug)]
pub(super) struct Room {
    left: u64,
}

impl Default for Room {
    fn default() -> Self {
        Self {
            left: MOST_KEPT_BYTES,
        }
    }
}

impl Room {
    /// Takes room for `count` things of this size. To be called before they are kept.
    ///
    /// # Errors
    /// [`ReadError::TooMuchToKeep`].
    pub(super) fn take(&mut self, count: usize, size_bytes: usize) -> Result<(), ReadError> {
        let bytes = (count as u64).saturating_mul(size_bytes as u64);
        match self.left.checked_sub(bytes) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(ReadError::TooMuchToKeep {
                most_bytes: MOST_KEPT_BYTES,
            }),
        }
    }
}
