//! A file's code in blocks of 64 KiB: what the tables of one file are counted by.
//!
//! Used by [`super::file`] on the worker thread, and by [`super::files`], which keeps it for each file that processes
//! execute. Holds no file open.

use std::ops::Range;

use profiler_common::contract::unwind::{BLOCK_BYTES, BLOCK_SHIFT};

use super::error::TableError;
use crate::elf::{ElfFile, Segment};

/// Blocks of one file, at most: 1 GiB of text.
const MAX_FILE_BLOCKS: u64 = 1 << 14;

/// Where a file's code is.
#[derive(Debug)]
pub struct TextBlocks {
    segments: Box<[Segment]>,
    text: Range<u64>,
}

impl TextBlocks {
    /// Of a file's headers.
    ///
    /// # Errors
    /// [`TableError`], when its code is where no program has it.
    pub fn of(file: &ElfFile) -> Result<Self, TableError> {
        Self::of_segments(file.segments())
    }

    /// Of what a file's headers were found to say.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub fn of_segments(segments: &[Segment]) -> Result<Self, TableError> {
        Ok(Self {
            text: text(segments)?,
            segments: segments.into(),
        })
    }

    /// What the first block begins with, as `Mapping::text_block`.
    #[must_use]
    pub fn text_block(&self) -> u32 {
        u32::try_from(self.text.start >> BLOCK_SHIFT).unwrap_or(u32::MAX)
    }

    /// Blocks.
    #[must_use]
    pub fn block_count(&self) -> u32 {
        if self.text.is_empty() {
            return 0;
        }
        let last = (self.text.end - 1) >> BLOCK_SHIFT;
        u32::try_from(last - (self.text.start >> BLOCK_SHIFT) + 1).unwrap_or(0)
    }

    /// Bytes from the first byte of code to the last.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.text.end - self.text.start
    }

    /// Static addresses of a block.
    pub(super) fn block_range(&self, block: u32) -> Option<Range<u64>> {
        if block >= self.block_count() {
            return None;
        }
        let start = ((self.text.start >> BLOCK_SHIFT) + u64::from(block)) << BLOCK_SHIFT;
        Some(start..start.checked_add(BLOCK_BYTES)?)
    }

    /// What to subtract from an address in a mapping of `offset` at `start` to get a static one.
    #[must_use]
    pub fn bias(&self, start: u64, offset: u64, bytes: u64) -> Option<u64> {
        let end = offset.checked_add(bytes)?;
        let covers = |segment: &&Segment| {
            segment.file_bytes > 0
                && segment.offset < end
                && segment.offset.saturating_add(segment.file_bytes) > offset
        };
        let mut candidates = self.segments.iter().filter(covers);
        let first = candidates.next()?;
        // Two segments can share a page of the file; the mapping is executable, so is its segment.
        let segment = if first.executable {
            first
        } else {
            candidates.find(|segment| segment.executable).unwrap_or(first)
        };
        let address = segment.address.wrapping_add(offset.wrapping_sub(segment.offset));
        Some(start.wrapping_sub(address))
    }
}

/// From the first byte of code to the last.
fn text(segments: &[Segment]) -> Result<Range<u64>, TableError> {
    let code = || {
        segments
            .iter()
            .filter(|segment| segment.executable && segment.file_bytes > 0)
    };
    let start = code().map(|segment| segment.address).min().unwrap_or(0);
    let mut end = 0;
    for segment in code() {
        let behind = segment.address.checked_add(segment.file_bytes);
        end = end.max(behind.ok_or(TableError::NotSupported)?);
    }
    let is_far = u32::try_from(end >> BLOCK_SHIFT).is_err();
    if is_far || (end >> BLOCK_SHIFT) - (start >> BLOCK_SHIFT) >= MAX_FILE_BLOCKS {
        return Err(TableError::TooLarge);
    }
    Ok(start..end)
}
