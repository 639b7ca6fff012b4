//! A stretch of code that is unwound by one rule, and the bytes it is judged by. What [`super::file`] puts together from the
//! call frame information, and [`super::gaps`] and [`super::frame_pointers`] from the code itself.

use std::ops::Range;

use profiler_common::contract::unwind::Row;

use super::error::TableError;
use crate::elf::{Architecture, ElfFile};

/// Bytes of text read before a block, to begin to decode at the first byte of an instruction.
const TEXT_BEFORE: u64 = 4096;

/// The processor whose registers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Processor {
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

impl Processor {
    /// The one that a file is for, if it is one of these.
    pub(super) fn of(file: &ElfFile) -> Option<Self> {
        match file.architecture() {
            Architecture::X86_64 => Some(Self::X86_64),
            Architecture::Aarch64 => Some(Self::Aarch64),
            Architecture::Other(_) => None,
        }
    }
}

/// A stretch of text that is unwound by one rule. It may begin before the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Static address of its first byte.
    pub(super) start: u64,
    /// Static address after its last byte.
    pub(super) end: u64,
    /// The rule, starting at 0.
    pub(super) row: Row,
}

/// A block's text, with some before it.
#[derive(Debug)]
pub(super) struct BlockText {
    /// Static address of the first byte.
    pub(super) start: u64,
    /// As far as the file goes.
    pub(super) bytes: Vec<u8>,
    /// There is no code before the first byte, so it is that of an instruction.
    pub(super) is_whole: bool,
}

impl BlockText {
    pub(super) fn read(file: &ElfFile, range: &Range<u64>) -> Result<Self, TableError> {
        for segment in file.segments().iter().filter(|segment| segment.executable) {
            let end = segment.address.saturating_add(segment.file_bytes).min(range.end);
            let start = segment.address.max(range.start.saturating_sub(TEXT_BEFORE));
            // More than one segment of code in a block: only the first is looked at.
            if start < end && end > range.start {
                let count = usize::try_from(end - start).unwrap_or(0);
                return Ok(Self {
                    start,
                    bytes: file.loaded(start, count)?,
                    is_whole: start == segment.address,
                });
            }
        }
        Ok(Self {
            start: range.start,
            bytes: Vec::new(),
            is_whole: true,
        })
    }

    /// The bytes of a range of static addresses; `None` when they are not all here.
    pub(super) fn get(&self, range: Range<u64>) -> Option<&[u8]> {
        let from = usize::try_from(range.start.checked_sub(self.start)?).ok()?;
        let to = usize::try_from(range.end.checked_sub(self.start)?).ok()?;
        self.bytes.get(from..to)
    }

    /// Static address after the last byte.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}
