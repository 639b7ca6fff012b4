//! The tables of one file: block by block, on demand.
//!
//! Used by the worker ([`super::worker`]), by the fuzz target and by tests. Needs no process and knows none. Whatever the
//! file holds, a block costs bounded time and memory.

use std::ops::Range;

use gimli::{FrameDescriptionEntry, UnwindContext, UnwindSection};
use profiler_common::contract::unwind::{MAX_BLOCK_ROWS, Row};

use super::error::TableError;
use super::frame_pointers;
use super::gaps::{Gaps, Undescribed};
use super::piece::{BlockText, Piece, Processor};
use super::rows::{NO_RULE, Rules};
use super::text_blocks::TextBlocks;
use crate::elf::frames::{FrameEntry, FrameIndex, Slice};
use crate::elf::{ElfFile, FileBytes};

/// Bytes of call frame information gone through where there is no sorted table of it, at most.
const MAX_LISTED_BYTES: u64 = 256 << 20;
/// Bytes read to take a file, at most.
const OPEN_BUDGET_BYTES: u64 = MAX_LISTED_BYTES + (64 << 20);
/// Bytes read for one block, at most; real ones take some 100 KB.
const BLOCK_BUDGET_BYTES: u64 = 32 << 20;
/// Bytes of entries evaluated for one block, at most; real ones have some 10 KB.
const MAX_EVALUATED_BYTES: usize = 8 << 20;
/// Rows evaluated for one block, at most.
const MAX_EVALUATED: usize = 1 << 18;

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
    file: ElfFile,
    processor: Processor,
    text: TextBlocks,
    index: Option<FrameIndex>,
    context: UnwindContext<usize>,
    undescribed: Undescribed,
}

impl FileTables {
    /// Takes a file. Without `.eh_frame_hdr` its whole call frame information is read.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn open(bytes: impl Into<FileBytes>) -> Result<Self, TableError> {
        let file = ElfFile::open(bytes.into(), OPEN_BUDGET_BYTES)?;
        let processor = Processor::of(&file).filter(|_| file.is_64_bit());
        let processor = processor.ok_or(TableError::NotSupported)?;
        let text = TextBlocks::of(&file)?;
        let index = FrameIndex::new(&file, MAX_LISTED_BYTES)?;
        Ok(Self {
            file,
            processor,
            text,
            index,
            context: UnwindContext::new(),
            undescribed: Undescribed::default(),
        })
    }

    /// The blocks that it has.
    #[must_use]
    pub fn text(&self) -> &TextBlocks {
        &self.text
    }

    /// The processor that it is for.
    #[must_use]
    pub fn processor(&self) -> Processor {
        self.processor
    }

    /// Compiles a block, counted from the file's first one.
    ///
    /// # Errors
    /// [`TableError`]; code without a rule is not an error.
    pub fn block(&mut self, block: u32) -> Result<CompiledBlock, TableError> {
        let range = self.text.block_range(block).ok_or(TableError::NoBlock)?;
        self.file.reader().refill(BLOCK_BUDGET_BYTES);
        let described = self.described(&range)?;
        let text = BlockText::read(&self.file, &range)?;
        let next = match &mut self.index {
            Some(index) => index.next_start(&self.file, range.end)?,
            None => None,
        };
        let mut gaps = Gaps {
            file: &self.file,
            processor: self.processor,
            range: range.clone(),
            text: &text,
            undescribed: &mut self.undescribed,
            pieces: Vec::with_capacity(described.len() + 16),
        };
        gaps.fill(described, next)?;
        let pieces = gaps.pieces;
        let mut compiled = rows(&pieces, &range);
        compiled.frame_pointers = frame_pointers::at_every_call(self.processor, &pieces, &range, &text);
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
        let mut evaluated_bytes = 0;
        for at in index.entries(&self.file, range)? {
            let Some((entry, bytes)) = index.entry(&self.file, at)? else {
                continue;
            };
            evaluated_bytes += bytes;
            match entry {
                FrameEntry::Eh(section, entry, bases) => {
                    pieces.evaluate(self.processor, &section, &entry, &bases, &mut self.context);
                }
                FrameEntry::Debug(section, entry, bases) => {
                    pieces.evaluate(self.processor, &section, &entry, &bases, &mut self.context);
                }
            }
            if pieces.evaluated >= MAX_EVALUATED || evaluated_bytes >= MAX_EVALUATED_BYTES {
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
        processor: Processor,
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
            processor,
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
