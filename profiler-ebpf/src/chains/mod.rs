//! The stages that continue a sample, once for each type of program: tail calls keep to one type, and a program of one
//! type may be interrupted by one of another, so each has working memory of its own. The text of the stages is in
//! [`crate::stages`].

mod instance;
mod perf_event;
mod raw_tracepoint;

pub(crate) use perf_event::PerfEventChain;
pub(crate) use raw_tracepoint::RawTracepointChain;

use aya_ebpf::EbpfContext;
use aya_ebpf::maps::{PerCpuArray, ProgramArray};
use profiler_common::contract::losses::{Loss, LossWriter, loss_account};
use profiler_common::contract::programs::Stage;
use profiler_common::contract::records::{CodeDefinition, KernelStack, NativeBlock, SampleBlock};
use profiler_common::walker::native::NativeScratch;
use profiler_common::walker::python::Scratch;

use crate::maps::{LOSSES, count};
use crate::registers::Interrupted;

/// One instance of the stages.
pub(crate) trait Chain {
    /// What the kernel hands to its programs.
    type Context: EbpfContext;

    /// Which counters are its own.
    const LOSSES: LossWriter;

    /// Working memory of the walk on this CPU.
    fn scratch() -> &'static PerCpuArray<Scratch>;
    /// The block being filled on this CPU.
    fn block() -> &'static PerCpuArray<SampleBlock>;
    /// The definition being filled on this CPU.
    fn definition() -> &'static PerCpuArray<CodeDefinition>;
    /// Working memory of the native unwinder on this CPU.
    fn native_scratch() -> &'static PerCpuArray<NativeScratch>;
    /// The native block being filled on this CPU.
    fn native_block() -> &'static PerCpuArray<NativeBlock>;
    /// The kernel stack being filled on this CPU.
    fn kernel_stack() -> &'static PerCpuArray<KernelStack>;
    /// Stage -> program.
    fn stages() -> &'static ProgramArray;

    /// [`crate::stages::walk_python::stretch`] as a global function.
    fn walk_python_stretch(layout: u32, first: u32) -> u32;
    /// [`crate::stages::define_code::frame`] as a global function.
    fn define_frame(layout: u32, index: u32) -> u32;
    /// [`crate::stages::walk_native::stretch`] as a global function.
    fn unwind_stretch(first: u32) -> u32;

    /// Where the event found the thread.
    fn interrupted(context: &Self::Context) -> Interrupted;

    /// Continues with another program; returns only when the kernel refuses.
    #[inline(always)]
    fn tail_call(context: &Self::Context, stage: Stage) {
        crate::kernel::tail_call(Self::stages(), context, stage.slot());
    }

    /// Counts a record that could not be sent.
    #[inline(always)]
    fn count_loss(loss: Loss) {
        count(&LOSSES, loss_account(Self::LOSSES, loss));
    }
}
