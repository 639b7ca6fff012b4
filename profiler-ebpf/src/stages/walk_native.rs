//! One block of native frames per run; chains to itself for deeper stacks.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use profiler_common::contract::benchmark::Timed;
use profiler_common::contract::losses::Loss;
use profiler_common::contract::programs::Stage;
use profiler_common::contract::reasons::NativeStatus;
use profiler_common::contract::records::{
    NATIVE_FRAMES_PER_BLOCK, NATIVE_HEADER_BYTES, NATIVE_LAST, NativeBlock, NativeFrame,
};
use profiler_common::walker::native::{NATIVE_FRAMES_PER_STRETCH, begin_native_block, walk_native_stretch};

use crate::benchmark;
use crate::chains::Chain;
use crate::kernel::current_ids;
use crate::log;
use crate::maps::{SAMPLES, output};
use crate::memory::{CurrentTask, bounded};
use crate::registers::Host;
use crate::stages::tables::Tables;
use crate::working::{Native, Run};

/// Unwinds one block of user frames.
#[inline(always)]
pub(crate) fn run<C: Chain>(run: &mut Run<C>, context: &C::Context) {
    let started_ns = benchmark::begin();
    let Some(Native { scratch, .. }) = run.native() else {
        return;
    };
    begin_native_block(scratch);
    let mut frames = 0;
    for _ in 0..NATIVE_FRAMES_PER_BLOCK / NATIVE_FRAMES_PER_STRETCH {
        let before = frames;
        frames = run.unwind_stretch(before);
        if frames != before.wrapping_add(NATIVE_FRAMES_PER_STRETCH as u32) {
            break;
        }
    }
    benchmark::end(Timed::WalkNative, started_ns);
    let Some(Native { scratch, block, .. }) = run.native() else {
        return;
    };
    block.frame_count = frames as u16;
    block.interrupted = scratch.interrupted;
    block.status = scratch.status as u16;
    let done = scratch.done != 0;
    if done {
        block.flags |= NATIVE_LAST;
        if block.status != NativeStatus::Complete.code() {
            let (tgid, _) = current_ids();
            log::native(tgid, block.status, scratch.registers.pc, scratch.registers.sp);
        }
    }
    if !send::<C>(block) {
        return;
    }
    if !done {
        block.index = block.index.wrapping_add(1);
        C::tail_call(context, Stage::WalkNative);
        end::<C>(block, NativeStatus::Truncated);
    }
    if let Some(sample) = run.sample() {
        benchmark::end(Timed::Sample, sample.scratch.started_ns);
    }
}

/// The next frames of this CPU's block, from `first` on; returns where they end.
#[inline(always)]
pub(crate) fn stretch<C: Chain>(run: &mut Run<C>, first: u32) -> u32 {
    let Some(Native { scratch, block, .. }) = run.native() else {
        return 0;
    };
    let frames = &mut block.frames;
    walk_native_stretch::<Host, _, _>(&CurrentTask, &Tables, scratch, frames, first as usize) as u32
}

/// Closes a stack that cannot be walked any further.
#[inline(always)]
pub(crate) fn end<C: Chain>(block: &mut NativeBlock, status: NativeStatus) {
    block.frame_count = 0;
    block.status = status.code();
    block.flags |= NATIVE_LAST;
    send::<C>(block);
}

/// Sends the filled part of a block; `false` when the ring is full. Wakes user space only where it has something to load:
/// the next sample then finds it.
#[inline(always)]
fn send<C: Chain>(block: &mut NativeBlock) -> bool {
    let is_wanting =
        block.status == NativeStatus::NoTable.code() || block.status == NativeStatus::NoMapping.code();
    let flags = if is_wanting && block.flags & NATIVE_LAST != 0 {
        0
    } else {
        BPF_RB_NO_WAKEUP
    };
    let frames = bounded(u32::from(block.frame_count), NATIVE_FRAMES_PER_BLOCK as u32);
    let bytes = NATIVE_HEADER_BYTES as u64 + u64::from(frames) * size_of::<NativeFrame>() as u64;
    let sent = output(&SAMPLES, block, bytes, flags);
    if !sent {
        C::count_loss(Loss::Native);
    }
    sent
}
