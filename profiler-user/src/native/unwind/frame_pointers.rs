//! Whether callers in a block can be unwound by frame pointers, judged by the code.
//!
//! Used by [`super::file`]. A caller is looked up at its call instruction, so that is all that matters: code that is not
//! covered by the frame-pointer rule (the first instructions of functions, the last ones, leaf functions) must not call.
//! Only such code is decoded. x86-64 only: on aarch64 a frame pointer does not say whether the return address is above it.

use std::ops::Range;

use iced_x86::{Decoder, DecoderOptions, Instruction, Mnemonic};
use profiler_common::contract::unwind::Row;

use super::piece::{BlockText, Piece, Processor};

/// The share of text without the rule from which on a look is not worth it: code without frame pointers.
const MAX_SHARE_PERCENT: u64 = 60;

/// Whether every call in the block is made under [`Row::FRAME_POINTER`].
pub(super) fn at_every_call(
    processor: Processor,
    pieces: &[Piece],
    range: &Range<u64>,
    text: &BlockText,
) -> bool {
    if processor != Processor::X86_64 {
        return false;
    }
    let others = || {
        pieces
            .iter()
            .filter(|piece| piece.row != Row::FRAME_POINTER && piece.end > range.start)
    };
    let first = range.start.max(text.start);
    let seen = text.end().saturating_sub(first);
    let bytes: u64 = others()
        .map(|piece| piece.end.min(text.end()).saturating_sub(piece.start.max(first)))
        .sum();
    if seen == 0 || bytes * 100 > seen * MAX_SHARE_PERCENT {
        return false;
    }
    others().all(|piece| !calls(piece, range, text))
}

/// Whether code of this piece calls, as far as the block goes; also when it cannot be decoded.
fn calls(piece: &Piece, range: &Range<u64>, text: &BlockText) -> bool {
    let start = if text.is_whole {
        piece.start.max(text.start)
    } else {
        piece.start
    };
    let end = piece.end.min(text.end());
    if start >= end {
        return false;
    }
    // The last instruction may reach beyond the piece, not beyond the text.
    let Some(bytes) = text.get(start..text.end()) else {
        return true;
    };
    let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    while decoder.can_decode() && decoder.ip() < end {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            // Cut off by the end of the block: the next one looks at it.
            return decoder.ip() < text.end() || text.end() != range.end;
        }
        let is_caller = instruction.mnemonic() == Mnemonic::Call;
        if is_caller && instruction.next_ip() > range.start {
            return true;
        }
    }
    false
}
