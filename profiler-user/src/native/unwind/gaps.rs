//! Text between what the call frame information describes: padding, hand-written code, code of libraries that are built
//! without it.
//!
//! Used by [`super::file`]. Padding belongs to what is before it, so that it costs no row. The few pieces of code that
//! every unwinder has to know are known by their instructions: where a signal handler returns to, and where threads begin.

use std::ops::Range;

use iced_x86::{Code, Decoder, DecoderOptions};
use memchr::memmem;
use profiler_common::unwind::Row;

use super::file::{Piece, Text};
use super::image::{Image, Machine};
use super::rows::{END, NO_RULE, signal};

/// Padding between two functions, at most.
const MAX_PADDING: u64 = 256;
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

/// Everything from the block's first byte to its last.
pub(super) fn fill(image: &Image, described: Vec<Piece>, range: &Range<u64>, text: &Text) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::with_capacity(described.len() + 16);
    let mut at = described
        .first()
        .map_or(range.start, |first| first.start.min(range.start));
    for piece in described {
        if piece.start > at {
            gap(image, at..piece.start, range, text, &mut pieces);
        }
        at = piece.end;
        join(&mut pieces, piece);
    }
    if at < range.end {
        gap(image, at..range.end, range, text, &mut pieces);
    }
    pieces
}

fn join(pieces: &mut Vec<Piece>, piece: Piece) {
    match pieces.last_mut() {
        Some(last) if last.row == piece.row && last.end == piece.start => last.end = piece.end,
        _ => pieces.push(piece),
    }
}

fn gap(image: &Image, gap: Range<u64>, range: &Range<u64>, text: &Text, pieces: &mut Vec<Piece>) {
    let seen = gap.start.max(text.start)..gap.end.min(range.end).min(text.end());
    let bytes = text.get(seen.clone()).unwrap_or_default();
    if let Some(last) = pieces.last_mut()
        && seen == gap
        && gap.end - gap.start <= MAX_PADDING
        && is_padding(image.machine, bytes)
    {
        last.end = gap.end;
        return;
    }
    let mut at = gap.start;
    for known in known(image, &gap, seen.start, bytes) {
        if known.start < at {
            continue;
        }
        let before = Piece {
            start: at,
            end: known.start,
            row: NO_RULE,
        };
        at = known.end;
        if before.start < before.end {
            join(pieces, before);
        }
        join(pieces, known);
    }
    if at < gap.end {
        let rest = Piece {
            start: at,
            end: gap.end,
            row: NO_RULE,
        };
        join(pieces, rest);
    }
}

/// Known code in a gap, in order.
fn known(image: &Image, gap: &Range<u64>, start: u64, bytes: &[u8]) -> Vec<Piece> {
    let (from_signal, thread_start) = match image.machine {
        Machine::X86_64 => (RETURN_FROM_SIGNAL_X86_64, THREAD_START_X86_64),
        Machine::Aarch64 => (RETURN_FROM_SIGNAL_AARCH64, THREAD_START_AARCH64),
    };
    let mut known: Vec<Piece> = Vec::new();
    let mut add = |at: u64, end: u64, row: Row| {
        known.push(Piece {
            start: at.max(gap.start),
            end: end.min(gap.end),
            row,
        });
    };
    if gap.contains(&image.entry) {
        add(image.entry, image.entry.saturating_add(START_BYTES), END);
    }
    for at in memmem::find_iter(bytes, from_signal) {
        let at = start.saturating_add(at as u64);
        // A handler seems to have been called by the byte before: a caller is looked up there.
        add(
            at.saturating_sub(1),
            at.saturating_add(from_signal.len() as u64),
            signal(image.machine),
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
fn is_padding(machine: Machine, bytes: &[u8]) -> bool {
    match machine {
        Machine::X86_64 => {
            if bytes.iter().all(|&byte| byte == 0xcc || byte == 0) {
                return true;
            }
            let mut decoder = Decoder::new(64, bytes, DecoderOptions::NONE);
            while decoder.can_decode() {
                let code = decoder.decode().code();
                if !matches!(
                    code,
                    Code::Nopw
                        | Code::Nopd
                        | Code::Nopq
                        | Code::Nop_rm16
                        | Code::Nop_rm32
                        | Code::Nop_rm64
                        | Code::Int3
                ) && !is_exchange(code)
                {
                    return false;
                }
            }
            true
        }
        Machine::Aarch64 => bytes
            .chunks(4)
            .all(|word| word == [0x1f, 0x20, 0x03, 0xd5] || word.iter().all(|&byte| byte == 0)),
    }
}

/// `xchg %ax, %ax`: a `nop` of two bytes.
fn is_exchange(code: Code) -> bool {
    matches!(code, Code::Xchg_r16_AX)
}
