//! The tables of one file: block by block, on demand.
//!
//! Used by the worker ([`super::worker`]), by the fuzz target and by tests. Needs no process and knows none. Whatever the
//! file holds, a block costs bounded time and memory.

use std::ops::Range;

use gimli::{FrameDescriptionEntry, UnwindContext, UnwindSection};
use profiler_common::contract::unwind::{MAX_BLOCK_ROWS, Row};

use super::frame_pointers;
use super::gaps::{Gaps, Undescribed};
use super::image::{Bytes, Image, TableError};
use super::index::{Entry, Index, Slice};
use super::rows::{NO_RULE, Rules};

/// Rows evaluated for one block, at most.
const MAX_EVALUATED: usize = 1 << 18;
/// Bytes of text read before a block, to begin to decode at the first byte of an instruction.
pub(super) const TEXT_BEFORE: u64 = 4096;

/// A stretch of text that is unwound by one rule. It may begin before the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    /// Static address of its first byte.
    pub(super) start: u64,
    /// Static address behind its last byte.
    pub(super) end: u64,
    /// The rule, starting at 0.
    pub(super) row: Row,
}

/// One block, ready for the kernel half.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompiledBlock {
    /// By offset; the first begins at 0. At most [`MAX_BLOCK_ROWS`].
    pub rows: Vec<Row>,
    /// `BLOCK_FRAME_POINTERS` holds.
    pub frame_pointers: bool,
    /// There were more rows than a block can have; what follows the last but one has no rule.
    pub is_cut: bool,
}

/// A file and its call frame information.
#[derive(Debug)]
pub struct FileTables {
    image: Image,
    index: Option<Index>,
    context: UnwindContext<usize>,
    undescribed: Undescribed,
}

impl FileTables {
    /// Takes a file. Without `.eh_frame_hdr` its whole call frame information is read.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn open(bytes: Bytes) -> Result<Self, TableError> {
        let image = Image::open(bytes)?;
        let index = Index::new(&image)?;
        Ok(Self {
            image,
            index,
            context: UnwindContext::new(),
            undescribed: Undescribed::default(),
        })
    }

    /// The file's headers.
    #[must_use]
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Compiles a block, counted from the file's first one.
    ///
    /// # Errors
    /// [`TableError`]; code without a rule is none.
    pub fn block(&mut self, block: u32) -> Result<CompiledBlock, TableError> {
        let range = self.image.block_range(block).ok_or(TableError::Malformed)?;
        let described = self.described(&range)?;
        let text = Text::read(&self.image, &range)?;
        let next = match &mut self.index {
            Some(index) => index.next_start(&self.image, range.end)?,
            None => None,
        };
        let mut gaps = Gaps {
            image: &self.image,
            range: range.clone(),
            text: &text,
            undescribed: &mut self.undescribed,
            pieces: Vec::with_capacity(described.len() + 16),
        };
        gaps.fill(described, next)?;
        let pieces = gaps.pieces;
        let mut compiled = rows(&pieces, &range);
        compiled.frame_pointers = frame_pointers::at_every_call(self.image.machine, &pieces, &range, &text);
        Ok(compiled)
    }

    /// What the file describes, in order and without overlaps: the first of two that overlap counts.
    fn described(&mut self, range: &Range<u64>) -> Result<Vec<Piece>, TableError> {
        let mut pieces = Pieces {
            range: range.clone(),
            found: Vec::new(),
            evaluated: 0,
        };
        let Some(index) = &mut self.index else {
            return Ok(pieces.found);
        };
        for at in index.entries(&self.image, range)? {
            match index.entry(&self.image, at)? {
                Some(Entry::Eh(section, entry, bases)) => {
                    pieces.evaluate(&self.image, &section, &entry, &bases, &mut self.context);
                }
                Some(Entry::Debug(section, entry, bases)) => {
                    pieces.evaluate(&self.image, &section, &entry, &bases, &mut self.context);
                }
                None => {}
            }
            if pieces.evaluated >= MAX_EVALUATED {
                return Err(TableError::TooLarge);
            }
        }
        Ok(pieces.found)
    }
}

struct Pieces {
    range: Range<u64>,
    found: Vec<Piece>,
    evaluated: usize,
}

impl Pieces {
    /// Adds the rows of one entry; from the first that is malformed on there is no rule.
    fn evaluate<'a, S: UnwindSection<Slice<'a>>>(
        &mut self,
        image: &Image,
        section: &S,
        entry: &FrameDescriptionEntry<Slice<'a>>,
        bases: &gimli::BaseAddresses,
        context: &mut UnwindContext<usize>,
    ) {
        let (start, end) = (entry.initial_address(), entry.end_address());
        if start >= end {
            return;
        }
        let rules = Rules {
            machine: image.machine,
            section,
            encoding: entry.cie().encoding(),
            return_column: entry.cie().return_address_register(),
            is_signal: entry.is_signal_trampoline(),
        };
        if let Ok(mut table) = entry.rows(section, bases, context) {
            while let Ok(Some(row)) = table.next_row() {
                self.evaluated += 1;
                if row.start_address() >= self.range.end || self.evaluated >= MAX_EVALUATED {
                    break;
                }
                let encoded = rules.encode::<Slice<'a>>(row);
                self.push(row.start_address(), row.end_address().min(end), encoded);
            }
        }
        let done = self.found.last().map_or(start, |piece| piece.end);
        self.push(done.max(start), end, NO_RULE);
    }

    fn push(&mut self, start: u64, end: u64, row: Row) {
        let start = self.found.last().map_or(start, |piece| piece.end.max(start));
        if start >= end || start >= self.range.end {
            return;
        }
        match self.found.last_mut() {
            Some(last) if last.end == start && last.row == row => last.end = end,
            _ => self.found.push(Piece { start, end, row }),
        }
    }
}

/// A block's text, with some before it.
#[derive(Debug)]
pub(super) struct Text {
    /// Static address of the first byte.
    pub(super) start: u64,
    /// As far as the file goes.
    pub(super) bytes: Vec<u8>,
    /// There is no code before the first byte, so it is that of an instruction.
    pub(super) is_whole: bool,
}

impl Text {
    fn read(image: &Image, range: &Range<u64>) -> Result<Self, TableError> {
        for segment in image.segments.iter().filter(|segment| segment.executable) {
            let end = segment.address.saturating_add(segment.file_bytes).min(range.end);
            let start = segment.address.max(range.start.saturating_sub(TEXT_BEFORE));
            // More than one segment of code in a block: only the first is looked at.
            if start < end && end > range.start {
                let count = usize::try_from(end - start).unwrap_or(0);
                return Ok(Self {
                    start,
                    bytes: image.loaded(start, count)?,
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

    /// Static address behind the last byte.
    pub(super) fn end(&self) -> u64 {
        self.start.saturating_add(self.bytes.len() as u64)
    }
}

/// Cuts pieces to the block.
fn rows(pieces: &[Piece], range: &Range<u64>) -> CompiledBlock {
    let mut compiled = CompiledBlock::default();
    for piece in pieces {
        let start = piece.start.max(range.start);
        if piece.end <= range.start || start >= range.end {
            continue;
        }
        let row = piece
            .row
            .with_start(u16::try_from(start - range.start).unwrap_or(u16::MAX));
        let is_same = |last: &Row| last.with_start(0) == piece.row;
        if compiled.rows.last().is_some_and(is_same) {
            continue;
        }
        if compiled.rows.len() == MAX_BLOCK_ROWS - 1 {
            compiled.rows.push(NO_RULE.with_start(row.start()));
            compiled.is_cut = true;
            break;
        }
        compiled.rows.push(row);
    }
    if compiled.rows.first().is_none_or(|row| row.start() != 0) {
        compiled.rows.insert(0, NO_RULE);
    }
    compiled
}
