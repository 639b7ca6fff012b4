//! From a thread state to frames in the ring buffer: the text of the stages, which [`crate::chains`] makes programs.

pub(crate) mod define_code;
mod seen;
pub(crate) mod start_native;
mod tables;
pub(crate) mod walk_native;
pub(crate) mod walk_python;

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use profiler_common::contract::modes::native_mode;
use profiler_common::contract::programs::Stage;
use profiler_common::contract::reasons::{Outcome, StackStatus};
use profiler_common::contract::records::{
    BLOCK_LAST, BLOCK_NATIVE, FRAMES_PER_BLOCK, RawFrame, SAMPLE_HEADER_BYTES, SampleBlock,
};

use crate::chains::Chain;
use crate::globals::{NATIVE, RING_EIGHTH};
use crate::log;
use crate::maps::{SAMPLES, output, unread_bytes};
use crate::memory::bounded;
use crate::working::{Run, Sample};

/// Sends the filled part of a block. Without waking user space, unless the ring fills up: a wake-up costs fifteen times the
/// copy, and user space polls.
#[inline(always)]
pub(crate) fn emit_block(block: &mut SampleBlock) -> Outcome {
    let frames = bounded(u32::from(block.frame_count), FRAMES_PER_BLOCK as u32);
    let bytes = SAMPLE_HEADER_BYTES as u64 + u64::from(frames) * size_of::<RawFrame>() as u64;
    if output(&SAMPLES, block, bytes, wake_up(bytes)) {
        Outcome::Delivered
    } else {
        Outcome::RingFull
    }
}

/// Whether a record of so many bytes wakes user space: when with it another eighth of the ring beyond the half is full.
#[inline(always)]
fn wake_up(bytes: u64) -> u32 {
    let before = unread_bytes(&SAMPLES);
    let eighths = eighths(before.wrapping_add(bytes));
    if eighths >= 4 && eighths != self::eighths(before) {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    }
}

/// How many eighths of the ring of samples so many bytes are.
#[inline(always)]
fn eighths(bytes: u64) -> u64 {
    bytes >> (RING_EIGHTH.load() & 31)
}

/// Sends the block, and ends the sample or starts its next block. `None` when the next stage counts the outcome.
#[inline(always)]
pub(crate) fn finish_block<C: Chain>(run: &mut Run<C>, context: &C::Context) -> Option<Outcome> {
    let Some(Sample { block, .. }) = run.sample() else {
        return Some(Outcome::NoScratch);
    };
    let outcome = emit_block(block);
    if matches!(outcome, Outcome::RingFull) {
        return Some(outcome);
    }
    if block.flags & BLOCK_LAST != 0 {
        return continue_native(run, context, outcome);
    }
    block.index += 1;
    C::tail_call(context, Stage::WalkPython);
    log::tail_call(block.tgid, Stage::WalkPython.slot(), block.index.into());
    // The chain is as long as the kernel allows: close the sample so that what was sent is not lost.
    block.frame_count = 0;
    block.void = 0;
    block.entries = 0;
    block.status = StackStatus::Truncated.code() as u8;
    block.flags |= BLOCK_LAST;
    let outcome = emit_block(block);
    if !matches!(outcome, Outcome::RingFull) && block.flags & BLOCK_NATIVE != 0 {
        start_native::refuse(run);
    }
    Some(outcome)
}

/// Goes on with the native frames, if they are asked for. `None` when the next stage counts the outcome.
#[inline(always)]
pub(crate) fn continue_native<C: Chain>(
    run: &mut Run<C>,
    context: &C::Context,
    outcome: Outcome,
) -> Option<Outcome> {
    if NATIVE.load() != native_mode::NONE && matches!(outcome, Outcome::Delivered) {
        C::tail_call(context, Stage::StartNative);
        log::tail_call(0, Stage::StartNative.slot(), 0);
        start_native::refuse(run);
    }
    Some(outcome)
}
