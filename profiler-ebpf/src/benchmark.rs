//! Self-measurement. All of it disappears in the verifier unless `MEASURE_SELF` is set.

use aya_ebpf::macros::{perf_event, raw_tracepoint};
use aya_ebpf::programs::{PerfEventContext, RawTracePointContext};
use profiler_common::contract::benchmark::{BUCKET_NS, BUCKETS, Timed, Walks};
use profiler_common::contract::process::ProcessId;
use profiler_common::contract::programs::{FLOOR, RAW_SAMPLE, is_same};
use profiler_common::contract::records::FRAMES_PER_BLOCK;
use profiler_common::contract::sources::Source;
use profiler_common::memory::{Memory as _, RemoteAddr};
use profiler_common::walker::python::{FRAME_WORDS, WINDOW_WORDS, locate};

use crate::chains::{PerfEventChain, RawTracepointChain};
use crate::globals::{MEASURE_SELF, TASK_THREAD_POINTER};
use crate::kernel::{current_ids, current_task, now_ns};
use crate::maps::{LAYOUTS, SELF_TIME, WALKS, count};
use crate::memory::{CurrentTask, kernel_field};
use crate::processes::{incarnation, process};
use crate::sources::{Departure, Occurrence, sample};
use crate::working::{Run, Sample};

/// The time now, or 0 when nothing is measured.
#[inline(always)]
pub(crate) fn begin() -> u64 {
    if MEASURE_SELF.load() == 0 { 0 } else { now_ns() }
}

/// Enters the time since `started_ns` into a row.
#[inline(always)]
pub(crate) fn end(row: Timed, started_ns: u64) {
    if MEASURE_SELF.load() == 0 {
        return;
    }
    let bucket = now_ns().wrapping_sub(started_ns) / BUCKET_NS;
    let bucket = if bucket < u64::from(BUCKETS) {
        bucket as u32
    } else {
        BUCKETS - 1
    };
    count(&SELF_TIME, row as u32 * BUCKETS + bucket);
}

/// Counts a walked block, and whether no code object's identity was read for it.
#[inline(always)]
pub(crate) fn count_walk(identified: u32) {
    if MEASURE_SELF.load() == 0 {
        return;
    }
    let row = if identified == 0 {
        Walks::Short
    } else {
        Walks::Long
    };
    count(&WALKS, row as u32);
}

/// The yardstick for the walk: follows the same frames with one 80-byte read each. Loaded by benchmarks only.
#[perf_event]
pub(crate) fn walk_floor(_context: PerfEventContext) -> u32 {
    let mut run = Run::<PerfEventChain>::begin();
    let (tgid, _) = current_ids();
    let Some(current) = incarnation(tgid) else {
        return 0;
    };
    let Some(element) = process(&ProcessId::new(tgid, current.incarnation)) else {
        return 0;
    };
    let Some(Sample { process, scratch, .. }) = run.sample() else {
        return 0;
    };
    element.copy(process);
    let Some(layout) = LAYOUTS.get(process.layout) else {
        return 0;
    };
    let thread_pointer = kernel_field(current_task(), TASK_THREAD_POINTER.load(), 0u64);
    locate(&CurrentTask, &process.lookup, layout, thread_pointer, scratch);
    end(Timed::Clock, begin());

    let started_ns = begin();
    for _ in 0..FRAMES_PER_BLOCK {
        if scratch.cursor.is_null() {
            break;
        }
        let Some(frame) = scratch.frames.last_chunk_mut::<FRAME_WORDS>() else {
            break;
        };
        if CurrentTask.read_words_prefix(scratch.cursor, frame, 80).is_err() {
            break;
        }
        let previous = WINDOW_WORDS + ((layout.frame.previous as usize / 8) & (FRAME_WORDS - 1));
        scratch.cursor = RemoteAddr(scratch.frames[previous]);
    }
    end(Timed::Floor, started_ns);
    0
}
const _: () = assert!(is_same(FLOOR, "walk_floor"));

/// The stages at a raw tracepoint. Loaded by benchmarks only.
#[raw_tracepoint]
pub(crate) fn raw_sample(context: RawTracePointContext) -> i32 {
    let occurrence = Occurrence {
        source: Source::ContextSwitches,
        time_ns: now_ns(),
        weight: 1,
        departure: Departure::NONE,
    };
    sample::<RawTracepointChain>(&context, &occurrence);
    0
}
const _: () = assert!(is_same(RAW_SAMPLE, "raw_sample"));
