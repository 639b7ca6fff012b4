//! From a thread state to frames in the ring buffer.

pub(crate) mod define_code;
pub(crate) mod native;
mod tables;
pub(crate) mod walk_python;

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use profiler_common::contract::reasons::Outcome;
use profiler_common::contract::records::{FRAMES_PER_BLOCK, RawFrame, SAMPLE_HEADER_BYTES, SampleBlock};

use crate::maps::{SAMPLES, output};
use crate::memory::bounded;

/// Sends the filled part of a block. Without waking user space: a wake-up costs fifteen times the copy, and user
/// space polls.
#[inline(always)]
pub(crate) fn emit_block(block: &mut SampleBlock) -> Outcome {
    let frames = bounded(u32::from(block.frame_count), FRAMES_PER_BLOCK as u32);
    let bytes = SAMPLE_HEADER_BYTES as u64 + u64::from(frames) * size_of::<RawFrame>() as u64;
    if output(&SAMPLES, block, bytes, BPF_RB_NO_WAKEUP) {
        Outcome::Delivered
    } else {
        Outcome::RingFull
    }
}
