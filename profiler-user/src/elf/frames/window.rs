//! The last stretch of a section that was read: neighbours are asked for one after the other.

use crate::elf::error::ElfError;
use crate::elf::file::ElfFile;

/// Bytes read at once of what is read in order.
const WINDOW_BYTES: usize = 64 << 10;
/// Bytes read at once after a jump.
const JUMP_BYTES: usize = 4 << 10;

/// A position in a section: a static address in `.eh_frame`, a byte of the file in `.debug_frame`.
pub type Position = u64;

/// What was read last.
#[derive(Debug)]
pub(super) struct Window {
    /// Whether positions are bytes of the file, and not static addresses.
    is_by_offset: bool,
    start: Position,
    bytes: Vec<u8>,
}

impl Window {
    pub(super) fn new(is_by_offset: bool) -> Self {
        Self {
            is_by_offset,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// `count` bytes at the position, fewer where the file or segment ends.
    pub(super) fn get(&mut self, file: &ElfFile, at: Position, count: usize) -> Result<&[u8], ElfError> {
        let distance = at
            .checked_sub(self.start)
            .and_then(|distance| usize::try_from(distance).ok());
        let held = distance.and_then(|from| {
            let to = from.checked_add(count)?;
            (to <= self.bytes.len()).then_some(from..to)
        });
        let range = match held {
            Some(range) => range,
            None => {
                // Entries of parts of functions that were moved away are all over the section: little is read of each.
                let is_next = distance.is_some_and(|distance| distance <= self.bytes.len());
                let wanted = count.max(if is_next { WINDOW_BYTES } else { JUMP_BYTES });
                self.start = at;
                let read = if self.is_by_offset {
                    file.reader().read_up_to(at, wanted, &mut self.bytes)
                } else {
                    file.read_loaded(at, wanted, &mut self.bytes)
                };
                // What was not read is not to be taken for what is there.
                read.inspect_err(|_| self.bytes.clear())?;
                0..count.min(self.bytes.len())
            }
        };
        Ok(&self.bytes[range])
    }
}

/// The first four bytes.
pub(super) fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))
}
