//! Where samples come from: one program per event source, in files of what differs; here is what does not. Runs on the
//! sampled thread's CPU, in its context, and starts the walk.

mod on_cpu;
mod software;

use profiler_common::contract::benchmark::Timed;
use profiler_common::contract::process::PROCESS_PYTHON;
use profiler_common::contract::programs::Stage;
use profiler_common::contract::reasons::{Outcome, StackStatus};
use profiler_common::contract::records::{
    BLOCK_COLLECTING, BLOCK_COMPILED, BLOCK_LAST, BLOCK_NATIVE, record_kind,
};
use profiler_common::contract::sources::Source;
use profiler_common::walker::python::locate;

use crate::chains::Chain;
use crate::globals::{NATIVE, REPORT_UNKNOWN, TASK_THREAD_POINTER};
use crate::kernel::{cpu, current_comm, current_ids, current_task};
use crate::maps::{LAYOUTS, process, slot};
use crate::memory::{CurrentTask, kernel_field};
use crate::process_life::unknown::report_unknown;
use crate::stages::{continue_native, emit_block};
use crate::{accounts, benchmark};

/// One event.
pub(crate) struct Occurrence {
    /// Of what.
    pub(crate) source: Source,
    /// When.
    pub(crate) time_ns: u64,
    /// What it stands for, in the unit of the source.
    pub(crate) weight: u64,
}

/// Takes a sample of the current thread, if its process is profiled.
#[inline(always)]
pub(crate) fn sample<C: Chain>(context: &C::Context, occurrence: &Occurrence) {
    accounts::open(occurrence.source);
    if let Some(outcome) = begin::<C>(context, occurrence) {
        accounts::close(occurrence.source.code(), outcome, occurrence.weight);
    }
}

/// `None` when the next stage will count the outcome.
#[inline(always)]
fn begin<C: Chain>(context: &C::Context, occurrence: &Occurrence) -> Option<Outcome> {
    let started_ns = benchmark::begin();
    let (tgid, tid) = current_ids();
    if tgid == 0 {
        return Some(Outcome::Idle);
    }
    let Some(process) = process(tgid) else {
        if REPORT_UNKNOWN.load() != 0 {
            report_unknown::<C>(tgid);
        }
        return Some(Outcome::NotProfiled);
    };
    if process.flags & PROCESS_PYTHON == 0 {
        return Some(Outcome::NotProfiled);
    }
    let Some(layout) = LAYOUTS.get(process.layout) else {
        return Some(Outcome::NoLayout);
    };
    let (Some(scratch), Some(block)) = (slot(C::scratch(), 0), slot(C::block(), 0)) else {
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
    block.time_ns = occurrence.time_ns;
    block.thread_state = scratch.thread_state.0;
    block.source = occurrence.source.code();
    block.weight = occurrence.weight;
    block.cpu = cpu();
    block.gil = scratch.gil as u8;
    current_comm(&mut block.comm);

    if matches!(status, StackStatus::Complete) {
        C::tail_call(context, Stage::WalkPython);
        return Some(Outcome::NoTailCall);
    }
    block.status = status.code() as u8;
    block.flags |= BLOCK_LAST;
    let outcome = emit_block(block);
    continue_native::<C>(context, block, outcome)
}
