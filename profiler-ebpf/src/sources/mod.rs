//! Where samples come from: one program per event source, in files of what differs; here is what does not. Runs on the
//! sampled thread's CPU, in its context, and starts the walk.

mod off_cpu;
mod on_cpu;
mod software;

use profiler_common::contract::benchmark::Timed;
use profiler_common::contract::layout::Layout;
use profiler_common::contract::modes::native_mode;
use profiler_common::contract::process::{PROCESS_PYTHON, ProcessId, ThreadLookup};
use profiler_common::contract::programs::Stage;
use profiler_common::contract::reasons::{Outcome, StackStatus};
use profiler_common::contract::records::{
    BLOCK_AT_GIL, BLOCK_COLLECTING, BLOCK_COMPILED, BLOCK_LAST, BLOCK_NATIVE, SampleBlock, record_kind,
};
use profiler_common::contract::sources::Source;
use profiler_common::walker::python::{Scratch, gil, is_at_gil, locate};

use crate::chains::Chain;
use crate::globals::{NATIVE, REPORT_UNKNOWN, TASK_THREAD_POINTER, WATCH_THREADS};
use crate::kernel::{cpu, current_comm, current_ids, current_task};
use crate::maps::LAYOUTS;
use crate::memory::{CurrentTask, kernel_field};
use crate::process_life::unknown::report_unknown;
use crate::processes::{incarnation, process};
use crate::registers::SystemCall;
use crate::stages::{continue_native, emit_block};
use crate::working::Run;
use crate::{accounts, benchmark, log};

/// One event.
pub(crate) struct Occurrence {
    /// Of what.
    pub(crate) source: Source,
    /// When.
    pub(crate) time_ns: u64,
    /// What it stands for, in the unit of the source.
    pub(crate) weight: u64,
    /// Of time off the CPU.
    pub(crate) departure: Departure,
}

/// How a thread leaves its CPU.
pub(crate) struct Departure {
    /// Number of its spell.
    pub(crate) spell: u32,
    /// What it is in.
    pub(crate) call: SystemCall,
}

impl Departure {
    /// It does not.
    pub(crate) const NONE: Self = Self {
        spell: 0,
        call: SystemCall::UNKNOWN,
    };
}

/// Takes a sample of the current thread, if its process is profiled.
#[inline(always)]
pub(crate) fn sample<C: Chain>(context: &C::Context, occurrence: &Occurrence) {
    accounts::open(occurrence.source);
    if let Some(outcome) = begin::<C>(&mut Run::begin(), context, occurrence) {
        if !matches!(outcome, Outcome::Idle | Outcome::NotProfiled | Outcome::Delivered) {
            let (tgid, tid) = current_ids();
            log::sample(tgid, tid, outcome.code());
        }
        accounts::close(occurrence.source.code(), outcome, occurrence.weight);
    }
}

/// `None` when the next stage will count the outcome.
#[inline(always)]
fn begin<C: Chain>(run: &mut Run<C>, context: &C::Context, occurrence: &Occurrence) -> Option<Outcome> {
    let started_ns = benchmark::begin();
    let (tgid, tid) = current_ids();
    if tgid == 0 {
        return Some(Outcome::Idle);
    }
    let Some(current) = incarnation(tgid) else {
        if REPORT_UNKNOWN.load() != 0 {
            report_unknown::<C>(tgid);
        }
        return Some(Outcome::NotProfiled);
    };
    if current.tgid != tgid {
        return Some(Outcome::EntryReused);
    }
    let id = ProcessId::new(tgid, current.incarnation);
    let Some(element) = process(&id) else {
        return Some(Outcome::NotProfiled);
    };
    if element.flags() & PROCESS_PYTHON == 0 {
        return Some(Outcome::NotProfiled);
    }
    let Some(sample) = run.sample() else {
        return Some(Outcome::NoScratch);
    };
    element.copy(&mut sample.process);
    let Some(layout) = LAYOUTS.get(sample.process.layout) else {
        return Some(Outcome::NoLayout);
    };
    let scratch = &mut sample.scratch;
    scratch.started_ns = started_ns;
    let thread_pointer = kernel_field(current_task(), TASK_THREAD_POINTER.load(), 0u64);
    let locate_ns = benchmark::begin();
    let status = locate(
        &CurrentTask,
        &sample.process.lookup,
        layout,
        thread_pointer,
        scratch,
    );
    benchmark::end(Timed::Locate, locate_ns);
    // What was copied and used is this process's, all of it: later stages use the copy.
    if !element.is_still(&id) {
        return Some(Outcome::EntryReused);
    }
    fill(&mut sample.block, scratch, id, tid, occurrence);
    if WATCH_THREADS.load() != 0 && matches!(status, StackStatus::Complete | StackStatus::NoFrames) {
        note_gil(&mut sample.block, &sample.process.lookup, layout, scratch);
    }
    if matches!(status, StackStatus::Complete) {
        C::tail_call(context, Stage::WalkPython);
        return Some(Outcome::NoTailCall);
    }
    log::python(tgid, tid, status.code(), 0, thread_pointer);
    sample.block.status = status.code() as u8;
    sample.block.flags |= BLOCK_LAST;
    let outcome = emit_block(&mut sample.block);
    continue_native(run, context, outcome)
}

/// What is known of a sample before its frames.
#[inline(always)]
fn fill(block: &mut SampleBlock, scratch: &Scratch, id: ProcessId, tid: u32, occurrence: &Occurrence) {
    block.kind = record_kind::SAMPLE;
    block.index = 0;
    block.flags = 0;
    if scratch.collecting == 1 {
        block.flags |= BLOCK_COLLECTING;
    }
    if scratch.compiled == 1 {
        block.flags |= BLOCK_COMPILED;
    }
    if NATIVE.load() != native_mode::NONE {
        block.flags |= BLOCK_NATIVE;
    }
    block.frame_count = 0;
    block.void = 0;
    block.entries = 0;
    block.tgid = id.tgid;
    block.tid = tid;
    block.incarnation = id.incarnation;
    block.time_ns = occurrence.time_ns;
    block.thread_state = scratch.thread_state.0;
    block.source = occurrence.source.code();
    block.weight = occurrence.weight;
    block.spell = occurrence.departure.spell;
    block.system_call = occurrence.departure.call.number;
    block.argument = occurrence.departure.call.argument;
    block.gil_lock = 0;
    block.cpu = cpu();
    block.gil = scratch.gil as u8;
    current_comm(&mut block.comm);
}

/// Notes which GIL it is about, for those who wait for the GIL and those who hold it meanwhile.
#[inline(always)]
fn note_gil(block: &mut SampleBlock, lookup: &ThreadLookup, layout: &Layout, scratch: &Scratch) {
    let gil = gil(&CurrentTask, lookup, layout, scratch);
    block.gil_lock = gil.0;
    if block.source == Source::OffCpu.code() && is_at_gil(&CurrentTask, lookup, gil, block.argument) {
        block.flags |= BLOCK_AT_GIL;
    }
}
