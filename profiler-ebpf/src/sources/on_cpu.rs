//! The perf-event program: runs on the sampled thread's CPU, in its context, and starts the walk.

use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use profiler_common::contract::benchmark::Timed;
use profiler_common::contract::process::PROCESS_PYTHON;
use profiler_common::contract::reasons::{Outcome, StackStatus};
use profiler_common::contract::records::{
    BLOCK_COLLECTING, BLOCK_COMPILED, BLOCK_LAST, BLOCK_NATIVE, record_kind,
};
use profiler_common::walker::python::locate;

use crate::benchmark;
use crate::globals::{NATIVE, REPORT_UNKNOWN, TASK_THREAD_POINTER};
use crate::kernel::{cpu, current_comm, current_ids, current_task, now_ns};
use crate::maps::{BLOCK, INTERRUPTS, LAYOUTS, OUTCOMES, SCRATCH, Stage, count, process, slot, tail_call};
use crate::memory::{CurrentTask, kernel_field};
use crate::process_life::unknown::report_unknown;
use crate::stages::emit_block;
use crate::stages::walk_python::continue_native;

/// One interrupt.
#[perf_event]
pub(crate) fn sample_on_cpu(context: PerfEventContext) -> u32 {
    count(&INTERRUPTS, 0);
    if let Some(outcome) = sample(&context) {
        count(&OUTCOMES, u32::from(outcome.code()));
    }
    0
}

/// `None` when the next stage will count the outcome.
#[inline(always)]
fn sample(context: &PerfEventContext) -> Option<Outcome> {
    let started_ns = benchmark::begin();
    let (tgid, tid) = current_ids();
    if tgid == 0 {
        return Some(Outcome::Idle);
    }
    let Some(process) = process(tgid) else {
        if REPORT_UNKNOWN.load() != 0 {
            report_unknown(tgid);
        }
        return Some(Outcome::NotProfiled);
    };
    if process.flags & PROCESS_PYTHON == 0 {
        return Some(Outcome::NotProfiled);
    }
    let Some(layout) = LAYOUTS.get(process.layout) else {
        return Some(Outcome::NoLayout);
    };
    let (Some(scratch), Some(block)) = (slot(&SCRATCH, 0), slot(&BLOCK, 0)) else {
        return Some(Outcome::NoScratch);
    };
    scratch.started_ns = started_ns;
    let thread_pointer = kernel_field(current_task(), TASK_THREAD_POINTER.load(), 0u64);
    let locate_ns = benchmark::begin();
    let status = locate(&CurrentTask, &process.lookup, layout, thread_pointer, scratch);
    benchmark::end(Timed::Locate, locate_ns);

    block.kind = record_kind::SAMPLE;
    block.index = 0;
    block.flags = 0;
    if scratch.collecting == 1 {
        block.flags |= BLOCK_COLLECTING;
    }
    if scratch.compiled == 1 {
        block.flags |= BLOCK_COMPILED;
    }
    if NATIVE.load() != 0 {
        block.flags |= BLOCK_NATIVE;
    }
    block.frame_count = 0;
    block.void = 0;
    block.entries = 0;
    block.tgid = tgid;
    block.tid = tid;
    block.incarnation = process.incarnation;
    block.time_ns = now_ns();
    block.thread_state = scratch.thread_state.0;
    block.cpu = cpu();
    block.gil = scratch.gil as u8;
    current_comm(&mut block.comm);

    if matches!(status, StackStatus::Complete) {
        tail_call(context, Stage::Walk);
        return Some(Outcome::NoTailCall);
    }
    block.status = status.code() as u8;
    block.flags |= BLOCK_LAST;
    let outcome = emit_block(block);
    continue_native(context, block, outcome)
}
