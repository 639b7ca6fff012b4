//! The stages as raw-tracepoint programs.

use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::{PerCpuArray, ProgramArray};
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::contract::losses::LossWriter;
use profiler_common::contract::programs::{ProgramType, Stage, is_same};
use profiler_common::contract::records::{CodeDefinition, KernelStack, NativeBlock, SampleBlock};
use profiler_common::walker::native::NativeScratch;
use profiler_common::walker::python::Scratch;

use crate::chains::Chain;
use crate::chains::instance::chain;
use crate::registers::Interrupted;
use crate::stages;

chain! {
    /// Started by raw tracepoints.
    RawTracepointChain: raw_tracepoint(RawTracePointContext) -> i32;
    type: RawTracepoint, losses: RawTracepoint;
    maps: RAW_SCRATCH, RAW_BLOCK, RAW_DEFINITION, RAW_NATIVE_SCRATCH, RAW_NATIVE_BLOCK, RAW_KERNEL_STACK, RAW_STAGES;
    programs: raw_walk_python, raw_define_code, raw_start_native, raw_walk_native;
    functions: raw_walk_python_stretch, raw_define_frame, raw_unwind_stretch;
    interrupted: |_| Interrupted::Kernel;
}
