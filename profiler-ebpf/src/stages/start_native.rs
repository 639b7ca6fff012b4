//! Before the native frames of a sample, after its Python frames: finds the user registers and takes the kernel stack.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use profiler_common::contract::losses::Loss;
use profiler_common::contract::modes::native_mode;
use profiler_common::contract::process::ProcessEntry;
use profiler_common::contract::programs::Stage;
use profiler_common::contract::reasons::{NativeStatus, Outcome};
use profiler_common::contract::records::{
    KERNEL_FRAMES, KERNEL_HEADER_BYTES, KernelStack, NATIVE_IN_KERNEL, NativeBlock, SampleBlock, record_kind,
};

use crate::accounts;
use crate::chains::Chain;
use crate::globals::NATIVE;
use crate::kernel::kernel_stack;
use crate::maps::{SAMPLES, output};
use crate::memory::bounded;
use crate::registers::{self, Interrupted};
use crate::stages::walk_native::end;
use crate::working::Run;

/// Finds the registers to start from, and sends the kernel's part of the stack.
#[inline(always)]
pub(crate) fn run<C: Chain>(run: &mut Run<C>, context: &C::Context) {
    let Some((sample, native)) = run.sample_and_native() else {
        return;
    };
    // The Python frames have been delivered, whatever becomes of these.
    accounts::close_sample(&sample.block, Outcome::Delivered);
    begin(&sample.block, &mut native.block);
    let interrupted = C::interrupted(context);
    if matches!(interrupted, Interrupted::Kernel) {
        native.block.flags |= NATIVE_IN_KERNEL;
        send_kernel_stack::<C>(context, &sample.block, &mut native.kernel);
    }
    if NATIVE.load() == native_mode::KERNEL {
        end::<C>(&mut native.block, NativeStatus::Complete);
        return;
    }
    let registers = match interrupted {
        Interrupted::User(registers) => Some(registers),
        Interrupted::Kernel => registers::saved(),
    };
    let Some(registers) = registers else {
        end::<C>(&mut native.block, NativeStatus::NoRegisters);
        return;
    };
    let ProcessEntry {
        space,
        first_mapping,
        mapping_count,
        ..
    } = sample.process;
    native
        .scratch
        .start(registers, space, first_mapping, mapping_count);
    C::tail_call(context, Stage::WalkNative);
    end::<C>(&mut native.block, NativeStatus::NoTailCall);
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

/// Closes the native part of a sample before it began.
#[inline(always)]
pub(crate) fn refuse<C: Chain>(run: &mut Run<C>) {
    if let Some((sample, native)) = run.sample_and_native() {
        begin(&sample.block, &mut native.block);
        end::<C>(&mut native.block, NativeStatus::NoTailCall);
    }
}

#[inline(always)]
fn send_kernel_stack<C: Chain>(context: &C::Context, sample: &SampleBlock, stack: &mut KernelStack) {
    stack.kind = record_kind::KERNEL;
    stack.cpu = sample.cpu;
    stack.time_ns = sample.time_ns;
    let frames = bounded(kernel_stack(context, &mut stack.frames), KERNEL_FRAMES as u32);
    stack.frame_count = frames as u16;
    let bytes = KERNEL_HEADER_BYTES as u64 + u64::from(frames) * 8;
    if !output(&SAMPLES, stack, bytes, BPF_RB_NO_WAKEUP) {
        C::count_loss(Loss::Native);
    }
}
