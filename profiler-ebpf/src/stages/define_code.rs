//! Sends what a code object is called, at first sight: the process may be gone a moment later.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use profiler_common::contract::benchmark::Timed;
use profiler_common::contract::losses::Loss;
use profiler_common::contract::reasons::Outcome;
use profiler_common::contract::records::{
    CODE_HEADER_BYTES, CodeDefinition, FRAMES_PER_BLOCK, LINE_TABLE_BYTES,
};
use profiler_common::walker::python::{CodeSeen as _, capture, capture_class, identity};

use crate::chains::Chain;
use crate::maps::{LAYOUTS, SAMPLES, output, slot};
use crate::memory::{CurrentTask, bounded};
use crate::stages::walk_python::SeenCache;
use crate::stages::{finish_block, profiled};
use crate::{accounts, benchmark};

/// Sends the definitions of the block's new code objects, then the block.
#[inline(always)]
pub(crate) fn run<C: Chain>(context: &C::Context) {
    if let Some(outcome) = define::<C>(context)
        && let Some(block) = slot(C::block(), 0)
    {
        accounts::close_sample(block, outcome);
    }
}

#[inline(always)]
fn define<C: Chain>(context: &C::Context) -> Option<Outcome> {
    let (Some(scratch), Some(block), Some(out)) = (
        slot(C::scratch(), 0),
        slot(C::block(), 0),
        slot(C::definition(), 0),
    ) else {
        return Some(Outcome::NoScratch);
    };
    let (process, _) = match profiled(block.tgid) {
        Ok(found) => found,
        Err(outcome) => return Some(outcome),
    };
    let started_ns = benchmark::begin();
    out.tgid = block.tgid;
    out.incarnation = block.incarnation;
    out.layout = process.layout;
    scratch.unseen = 0;
    for index in 0..FRAMES_PER_BLOCK as u32 {
        if index >= u32::from(block.frame_count) {
            break;
        }
        C::define_frame(process.layout, index);
    }
    benchmark::end(Timed::Define, started_ns);
    finish_block::<C>(context, block)
}

/// Sends the definition of the code of one frame, unless that was done.
#[inline(always)]
pub(crate) fn frame<C: Chain>(layout: u32, index: u32) -> u32 {
    let (Some(layout), Some(scratch), Some(block), Some(out)) = (
        LAYOUTS.get(layout),
        slot(C::scratch(), 0),
        slot(C::block(), 0),
        slot(C::definition(), 0),
    ) else {
        return 0;
    };
    let seen = SeenCache::of_sample(scratch);
    let index = index as usize & (FRAMES_PER_BLOCK - 1);
    let frame = block.frames[index];
    if frame.code == 0 || frame.check == 0 || seen.seen(frame.code, frame.check) {
        return 0;
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
        C::count_loss(Loss::Definition);
    }
    1
}

#[inline(always)]
fn send(out: &mut CodeDefinition) -> bool {
    let tail = bounded(u32::from(out.line_table_stored), LINE_TABLE_BYTES as u32);
    let bytes = CODE_HEADER_BYTES as u64 + u64::from(tail);
    output(&SAMPLES, out, bytes, BPF_RB_NO_WAKEUP)
}
