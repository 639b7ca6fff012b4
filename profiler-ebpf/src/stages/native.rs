//! Native and kernel frames of a sample, after its Python frames: `start_native` finds the user registers and takes the
//! kernel stack, `walk_native` unwinds one block of user frames per run and chains to itself.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use profiler_common::contract::benchmark::Timed;
use profiler_common::contract::reasons::{NativeStatus, Outcome};
use profiler_common::contract::records::{
    KERNEL_FRAMES, KERNEL_HEADER_BYTES, KernelStack, NATIVE_FRAMES_PER_BLOCK, NATIVE_HEADER_BYTES,
    NATIVE_IN_KERNEL, NATIVE_LAST, NativeBlock, NativeFrame, SampleBlock, record_kind,
};
use profiler_common::walker::native::{NATIVE_FRAMES_PER_STRETCH, begin_native_block, walk_native_stretch};

use crate::benchmark;
use crate::globals::NATIVE;
use crate::kernel::kernel_stack;
use crate::maps::{
    BLOCK, KERNEL_STACK, LOSSES, Loss, NATIVE_BLOCK, NATIVE_SCRATCH, OUTCOMES, SAMPLES, SCRATCH, Stage,
    count, output, process, slot, tail_call,
};
use crate::memory::{CurrentTask, bounded};
use crate::registers::{self, Host, Interrupted};
use crate::stages::tables::Tables;

/// [`NATIVE`] where user frames are not asked for.
const KERNEL_ONLY: u32 = 1;

/// Finds the registers to start from, and sends the kernel's part of the stack.
#[perf_event]
pub(crate) fn start_native(context: PerfEventContext) -> u32 {
    // The Python frames have been delivered, whatever becomes of these.
    count(&OUTCOMES, u32::from(Outcome::Delivered.code()));
    let (Some(sample), Some(scratch), Some(block), Some(stack)) = (
        slot(&BLOCK, 0),
        slot(&NATIVE_SCRATCH, 0),
        slot(&NATIVE_BLOCK, 0),
        slot(&KERNEL_STACK, 0),
    ) else {
        return 0;
    };
    begin(sample, block);
    let interrupted = registers::interrupted(&context);
    if NATIVE.load() == KERNEL_ONLY {
        if matches!(interrupted, Interrupted::Kernel) {
            block.flags |= NATIVE_IN_KERNEL;
            send_kernel_stack(&context, sample, stack);
        }
        end(block, NativeStatus::Complete);
        return 0;
    }
    let registers = match interrupted {
        Interrupted::User(registers) => Some(registers),
        Interrupted::Kernel => {
            block.flags |= NATIVE_IN_KERNEL;
            send_kernel_stack(&context, sample, stack);
            registers::saved()
        }
    };
    let (Some(registers), Some(process)) = (registers, process(sample.tgid)) else {
        end(block, NativeStatus::NoRegisters);
        return 0;
    };
    scratch.start(
        registers,
        process.space,
        process.first_mapping,
        process.mapping_count,
    );
    tail_call(&context, Stage::WalkNative);
    end(block, NativeStatus::NoTailCall);
    0
}

/// Unwinds one block of user frames.
#[perf_event]
pub(crate) fn walk_native(context: PerfEventContext) -> u32 {
    let (Some(scratch), Some(block)) = (slot(&NATIVE_SCRATCH, 0), slot(&NATIVE_BLOCK, 0)) else {
        return 0;
    };
    let started_ns = benchmark::begin();
    begin_native_block(scratch);
    let mut frames = 0;
    for _ in 0..NATIVE_FRAMES_PER_BLOCK / NATIVE_FRAMES_PER_STRETCH {
        if scratch.done != 0 {
            break;
        }
        frames = unwind_stretch(frames);
    }
    benchmark::end(Timed::WalkNative, started_ns);
    block.frame_count = frames as u16;
    block.interrupted = scratch.interrupted;
    block.status = scratch.status as u8;
    let done = scratch.done != 0;
    if done {
        block.flags |= NATIVE_LAST;
    }
    if !send(block) {
        return 0;
    }
    if !done {
        block.index = block.index.wrapping_add(1);
        tail_call(&context, Stage::WalkNative);
        end(block, NativeStatus::Truncated);
    }
    if let Some(python) = slot(&SCRATCH, 0) {
        benchmark::end(Timed::Sample, python.started_ns);
    }
    0
}

/// The next frames of this CPU's block, from `first` on; returns where they end. A global function, like
/// `walk_python_stretch`.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn unwind_stretch(first: u32) -> u32 {
    let (Some(scratch), Some(block)) = (slot(&NATIVE_SCRATCH, 0), slot(&NATIVE_BLOCK, 0)) else {
        return 0;
    };
    walk_native_stretch::<Host, _, _>(&CurrentTask, &Tables, scratch, &mut block.frames, first as usize)
        as u32
}

/// A block without frames.
#[inline(always)]
fn begin(sample: &SampleBlock, block: &mut NativeBlock) {
    block.kind = record_kind::NATIVE;
    block.frame_count = 0;
    block.index = 0;
    block.flags = 0;
    block.cpu = sample.cpu;
    block.time_ns = sample.time_ns;
    block.interrupted = 0;
}

/// Closes a stack that cannot be walked any further.
#[inline(always)]
pub(crate) fn end(block: &mut NativeBlock, status: NativeStatus) {
    block.frame_count = 0;
    block.status = status.code() as u8;
    block.flags |= NATIVE_LAST;
    send(block);
}

/// Closes the native part of a sample before it began.
#[inline(always)]
pub(crate) fn refuse(sample: &SampleBlock) {
    if let Some(block) = slot(&NATIVE_BLOCK, 0) {
        begin(sample, block);
        end(block, NativeStatus::NoTailCall);
    }
}

/// Sends the filled part of a block; `false` when the ring is full. Wakes user space only where it has something to load:
/// the next sample then finds it.
#[inline(always)]
fn send(block: &mut NativeBlock) -> bool {
    let status = u16::from(block.status);
    let is_wanting = status == NativeStatus::NoTable.code() || status == NativeStatus::NoMapping.code();
    let flags = if is_wanting && block.flags & NATIVE_LAST != 0 {
        0
    } else {
        BPF_RB_NO_WAKEUP
    };
    let frames = bounded(u32::from(block.frame_count), NATIVE_FRAMES_PER_BLOCK as u32);
    let bytes = NATIVE_HEADER_BYTES as u64 + u64::from(frames) * size_of::<NativeFrame>() as u64;
    let sent = output(&SAMPLES, block, bytes, flags);
    if !sent {
        count(&LOSSES, Loss::Native as u32);
    }
    sent
}

#[inline(always)]
fn send_kernel_stack(context: &PerfEventContext, sample: &SampleBlock, stack: &mut KernelStack) {
    stack.kind = record_kind::KERNEL;
    stack.cpu = sample.cpu;
    stack.time_ns = sample.time_ns;
    let frames = bounded(kernel_stack(context, &mut stack.frames), KERNEL_FRAMES as u32);
    stack.frame_count = frames as u16;
    let bytes = KERNEL_HEADER_BYTES as u64 + u64::from(frames) * 8;
    if !output(&SAMPLES, stack, bytes, BPF_RB_NO_WAKEUP) {
        count(&LOSSES, Loss::Native as u32);
    }
}
