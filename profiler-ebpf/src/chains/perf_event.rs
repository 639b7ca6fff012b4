//! The stages as perf-event programs.

use aya_ebpf::macros::{map, perf_event};
use aya_ebpf::maps::{PerCpuArray, ProgramArray};
use aya_ebpf::programs::PerfEventContext;
use profiler_common::contract::losses::LossWriter;
use profiler_common::contract::programs::{ProgramType, Stage, is_same};
use profiler_common::contract::records::{CodeDefinition, KernelStack, NativeBlock, SampleBlock};
use profiler_common::walker::native::NativeScratch;
use profiler_common::walker::python::Scratch;

use crate::chains::Chain;
use crate::chains::instance::chain;
use crate::registers::{self, Interrupted};
use crate::stages;

chain! {
    /// Started by perf events.
    PerfEventChain: perf_event(PerfEventContext) -> u32;
    type: PerfEvent, losses: PerfEvent;
    maps: SCRATCH, BLOCK, DEFINITION, NATIVE_SCRATCH, NATIVE_BLOCK, KERNEL_STACK, STAGES;
    programs: walk_python, define_code, start_native, walk_native;
    functions: walk_python_stretch, define_frame, unwind_stretch;
    interrupted: registers::interrupted;
}
