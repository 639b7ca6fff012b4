//! Sends what a code object is called, at first sight: the process may be gone a moment later.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use profiler_common::benchmark::Timed;
use profiler_common::reason::Outcome;
use profiler_common::record::{CODE_HEADER_BYTES, CodeDefinition, FRAMES_PER_BLOCK, LINE_TABLE_BYTES};
use profiler_common::walker::{CodeSeen as _, capture, capture_class, identity};

use crate::benchmark;
use crate::maps::{BLOCK, DEFINITION, LOSSES, Loss, OUTCOMES, SAMPLES, SCRATCH, count, output, slot};
use crate::memory::{CurrentTask, bounded};
use crate::unwinder::python::{SeenCache, finish_block, profiled};

/// Definitions sent in one run; a sample that shows more leaves them to later samples.
const PER_RUN: u32 = FRAMES_PER_BLOCK as u32;

/// Sends the definitions of the block's new code objects, then the block.
#[perf_event]
pub(crate) fn define_code(context: PerfEventContext) -> u32 {
    if let Some(outcome) = define(&context) {
        count(&OUTCOMES, u32::from(outcome.code()));
    }
    0
}

#[inline(always)]
fn define(context: &PerfEventContext) -> Option<Outcome> {
    let (Some(scratch), Some(block), Some(out)) = (slot(&SCRATCH, 0), slot(&BLOCK, 0), slot(&DEFINITION, 0))
    else {
        return Some(Outcome::NoScratch);
    };
    let (process, layout) = match profiled(block.tgid) {
        Ok(found) => found,
        Err(outcome) => return Some(outcome),
    };
    let seen = SeenCache::new(process, layout, block.time_ns);

    let started_ns = benchmark::begin();
    out.tgid = block.tgid;
    out.incarnation = block.incarnation;
    out.layout = process.layout;
    scratch.unseen = 0;
    let frames = block.frame_count as usize;
    for index in 0..FRAMES_PER_BLOCK {
        if index >= frames || scratch.unseen >= PER_RUN {
            break;
        }
        let frame = block.frames[index];
        if frame.code == 0 || frame.check == 0 || seen.seen(frame.code, frame.check) {
            continue;
        }
        scratch.unseen += 1;
        identity(&CurrentTask, layout, frame.code, &mut scratch.identity);
        capture(
            &CurrentTask,
            layout,
            frame.code,
            frame.check,
            &scratch.identity,
            &mut scratch.state,
            out,
        );
        capture_class(
            &CurrentTask,
            layout,
            frame.code,
            scratch.origins[index],
            &mut scratch.state,
            out,
        );
        if send(out) {
            seen.mark(frame.code, frame.check);
        } else {
            // To be asked about again.
            scratch.seen_salt = 0;
            count(&LOSSES, Loss::Definition as u32);
        }
    }
    benchmark::end(Timed::Define, started_ns);
    finish_block(context, block)
}

#[inline(always)]
fn send(out: &mut CodeDefinition) -> bool {
    let tail = bounded(u32::from(out.line_table_stored), LINE_TABLE_BYTES as u32);
    let bytes = CODE_HEADER_BYTES as u64 + u64::from(tail);
    output(&SAMPLES, out, bytes, BPF_RB_NO_WAKEUP)
}
