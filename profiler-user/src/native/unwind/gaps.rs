//! Text between what the call frame information describes: padding, hand-written code, code of libraries that are built
//! without it.
//!
//! Used by [`super::file`]. Padding belongs to what is before it, so that it costs no row. The few pieces of code that
//! every unwinder has to know are known by their instructions: where a signal handler returns to, and where threads begin.

use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions};
use memchr::memmem;
use profiler_common::contract::unwind::Row;

use super::code::{self, MAX_CODE_BYTES};
use super::error::TableError;
use super::piece::{BlockText, Piece, Processor};
use super::rows::{END, NO_RULE, signal};
use crate::elf::ElfFile;

/// Padding between two functions, at most.
const MAX_PADDING: u64 = 256;
/// Bytes of undescribed code followed in one file, at most: what is followed once is remembered for the next block only.
const MAX_FOLLOWED_BYTES: u64 = 64 << 20;
/// Bytes of `_start`, at most; musl's has 22 on x86-64.
const START_BYTES: u64 = 64;

/// `mov $__NR_rt_sigreturn, %rax; syscall` (musl's `__restore_rt`; glibc's has call frame information).
const RETURN_FROM_SIGNAL_X86_64: &[u8] = &[0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
/// `mov x8, #__NR_rt_sigreturn; svc #0` (the vDSO's `__kernel_rt_sigreturn`, which has none since 5.8).
const RETURN_FROM_SIGNAL_AARCH64: &[u8] = &[0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4];
/// `call *%r9; mov %eax, %edi; xor %eax, %eax; mov $__NR_exit, %al; syscall`: what the thread that musl's `__clone` makes
/// begins with.
const THREAD_START_X86_64: &[u8] = &[0x41, 0xff, 0xd1, 0x89, 0xc7, 0x31, 0xc0, 0xb0, 0x3c, 0x0f, 0x05];
/// `blr x1; mov x8, #__NR_exit; svc #0`: the same on aarch64.
const THREAD_START_AARCH64: &[u8] = &[0x20, 0x00, 0x3f, 0xd6, 0xa8, 0x0b, 0x80, 0xd2, 0x01, 0, 0, 0xd4];

/// What was found out about the last long stretch: neighbouring blocks ask for the same.
#[derive(Debug, Default)]
pub(super) struct Undescribed {
    range: Range<u64>,
    pieces: Vec<Piece>,
    /// Bytes of code followed so far.
    followed: u64,
    /// First instructions of functions, from the file's symbols; read once.
    symbols: Option<Vec<u64>>,
}

impl Undescribed {
    /// The rules of code in `range`, which nothing describes.
    fn rules(
        &mut self,
        file: &ElfFile,
        processor: Processor,
        range: &Range<u64>,
    ) -> Result<&[Piece], TableError> {
        if self.range != *range {
            self.range = range.clone();
            self.pieces.clear();
            let bytes = range.end - range.start;
            let is_affordable = bytes <= MAX_CODE_BYTES && self.followed + bytes <= MAX_FOLLOWED_BYTES;
            if processor == Processor::X86_64 && is_affordable {
                self.followed += bytes;
                let code = file.loaded(range.start, usize::try_from(bytes).unwrap_or(0))?;
                let symbols = self.symbols.get_or_insert_with(|| file.functions());
                let from = symbols.partition_point(|&symbol| symbol < range.start);
                let inside = symbols[from..].iter().copied();
                self.pieces = code::rules(range.start, &code, inside.take_while(|at| range.contains(at)));
            }
        }
        Ok(&self.pieces)
    }
}

/// Fills one block.
pub(super) struct Gaps<'a> {
    pub(super) file: &'a ElfFile,
    pub(super) processor: Processor,
    pub(super) range: Range<u64>,
    pub(super) text: &'a BlockText,
    pub(super) undescribed: &'a mut Undescribed,
    pub(super) pieces: Vec<Piece>,
}

impl Gaps<'_> {
    /// Everything from the block's first byte to its last; `next` is where the file describes code again after it.
    pub(super) fn fill(&mut self, described: Vec<Piece>, next: Option<u64>) -> Result<(), TableError> {
        let segment = self.segment();
        let first = described.first().map_or(self.range.end, |first| first.start);
        // The entry before the block is among those described, if there is one.
        let mut at = if first > self.range.start {
            segment.start.min(first)
        } else {
            first
        };
        for piece in described {
            if piece.start > at {
                self.gap(at..piece.start)?;
            }
            at = piece.end;
            self.join(piece);
        }
        if at < self.range.end {
            let end = next.unwrap_or(segment.end).min(segment.end).max(self.range.end);
            self.gap(at..end)?;
        }
        Ok(())
    }

    /// The segment of code that the block's text is in.
    fn segment(&self) -> Range<u64> {
        let segments = self.file.segments().iter().filter(|segment| segment.executable);
        segments
            .map(|segment| segment.address..segment.address.saturating_add(segment.file_bytes))
            .find(|segment| segment.start < self.range.end && segment.end > self.range.start)
            .unwrap_or(self.range.clone())
    }

    fn join(&mut self, piece: Piece) {
        match self.pieces.last_mut() {
            Some(last) if last.row == piece.row && last.end == piece.start => last.end = piece.end,
            _ => self.pieces.push(piece),
        }
    }

    fn gap(&mut self, gap: Range<u64>) -> Result<(), TableError> {
        let seen = gap.start.max(self.text.start)..gap.end.min(self.range.end).min(self.text.end());
        let bytes = self.text.get(seen.clone()).unwrap_or_default();
        if let Some(last) = self.pieces.last_mut()
            && seen == gap
            && gap.end - gap.start <= MAX_PADDING
            && is_padding(self.processor, bytes)
        {
            last.end = gap.end;
            return Ok(());
        }
        let known = known(self.processor, self.file.entry(), &gap, seen.start, bytes);
        let followed = self.undescribed.rules(self.file, self.processor, &gap)?.to_vec();
        let mut at = gap.start;
        for piece in known {
            if piece.start >= at {
                self.follow(&followed, at..piece.start);
                at = piece.end;
                self.join(piece);
            }
        }
        self.follow(&followed, at..gap.end);
        Ok(())
    }

    /// Adds a part of the rules that were found, in order; there is no rule in between.
    fn follow(&mut self, followed: &[Piece], part: Range<u64>) {
        let mut at = part.start;
        let from = followed.partition_point(|piece| piece.end <= part.start);
        for piece in followed[from..].iter().take_while(|piece| piece.start < part.end) {
            let (start, end) = (piece.start.max(at), piece.end.min(part.end));
            for (start, end, row) in [(at, start, NO_RULE), (start, end, piece.row)] {
                if start < end {
                    self.join(Piece { start, end, row });
                }
            }
            at = end.max(at);
        }
        if at < part.end {
            self.join(Piece {
                start: at,
                end: part.end,
                row: NO_RULE,
            });
        }
    }
}

/// Known code in a gap, in order.
fn known(processor: Processor, entry: u64, gap: &Range<u64>, start: u64, bytes: &[u8]) -> Vec<Piece> {
    let (from_signal, thread_start) = match processor {
        Processor::X86_64 => (RETURN_FROM_SIGNAL_X86_64, THREAD_START_X86_64),
        Processor::Aarch64 => (RETURN_FROM_SIGNAL_AARCH64, THREAD_START_AARCH64),
    };
    let mut known: Vec<Piece> = Vec::new();
    let mut add = |at: u64, end: u64, row: Row| {
        known.push(Piece {
            start: at.max(gap.start),
            end: end.min(gap.end),
            row,
        });
    };
    if gap.contains(&entry) {
        add(entry, entry.saturating_add(START_BYTES), END);
    }
    for at in memmem::find_iter(bytes, from_signal) {
        let at = start.saturating_add(at as u64);
        // A handler seems to have been called by the byte before: a caller is looked up there.
        add(
            at.saturating_sub(1),
            at.saturating_add(from_signal.len() as u64),
            signal(processor),
        );
    }
    for at in memmem::find_iter(bytes, thread_start) {
        let at = start.saturating_add(at as u64);
        add(at, at.saturating_add(thread_start.len() as u64), END);
    }
    known.sort_unstable_by_key(|piece| piece.start);
    known
}

/// Whether this is what compilers put between functions.
fn is_padding(processor: Processor, bytes: &[u8]) -> bool {
    match processor {
        Processor::X86_64 => {
            if bytes.iter().all(|&byte| byte == 0xcc || byte == 0) {
                return true;
            }
            let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
            while decoder.can_decode() {
                if !code::is_padding(&decoder.decode()) {
                    return false;
                }
            }
            true
        }
        Processor::Aarch64 => bytes
            .chunks(4)
            .all(|word| word == [0x1f, 0x20, 0x03, 0xd5] || word.iter().all(|&byte| byte == 0)),
    }
}
