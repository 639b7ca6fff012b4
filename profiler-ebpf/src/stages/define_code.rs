//! Sends what a code object is called, at first sight: the process may be gone a moment later. A process that shows new
//! ones without end is held back, see [`profiler_common::contract::definitions`].

use profiler_common::contract::benchmark::Timed;
use profiler_common::contract::definitions::{BUDGETS, DefinitionBudget};
use profiler_common::contract::losses::Loss;
use profiler_common::contract::reasons::Outcome;
use profiler_common::contract::records::{
    BLOCK_WITHHELD, CODE_HEADER_BYTES, CodeDefinition, FRAMES_PER_BLOCK, LINE_TABLE_BYTES,
};
use profiler_common::walker::python::{CodeSeen as _, capture, capture_class, identity};

use crate::chains::Chain;
use crate::maps::{BUDGET, LAYOUTS, SAMPLES, output, read, replace, unread_bytes};
use crate::memory::{CurrentTask, bounded};
use crate::stages::seen::SeenCache;
use crate::stages::{eighths, finish_block, wake_up};
use crate::working::{Run, Sample};
use crate::{accounts, benchmark};

/// Sends the definitions of the block's new code objects, then the block.
#[inline(always)]
pub(crate) fn run<C: Chain>(run: &mut Run<C>, context: &C::Context) {
    let Some(outcome) = define(run, context) else {
        return;
    };
    if let Some(sample) = run.sample() {
        accounts::close_sample(&sample.block, outcome);
    }
}

#[inline(always)]
fn define<C: Chain>(run: &mut Run<C>, context: &C::Context) -> Option<Outcome> {
    let started_ns = benchmark::begin();
    let Some((sample, out)) = run.sample_and_definition() else {
        return Some(Outcome::NoScratch);
    };
    let (layout, frame_count) = (sample.process.layout, u32::from(sample.block.frame_count));
    out.tgid = sample.block.tgid;
    out.incarnation = sample.block.incarnation;
    out.layout = layout;
    out.interpreter = sample.scratch.interpreter.0;
    sample.scratch.unseen = 0;
    for index in 0..FRAMES_PER_BLOCK as u32 {
        if index >= frame_count {
            break;
        }
        run.define_frame(layout, index);
    }
    benchmark::end(Timed::Define, started_ns);
    finish_block(run, context)
}

/// Sends the definition of the code of one frame, unless that was done.
#[inline(always)]
pub(crate) fn frame<C: Chain>(run: &mut Run<C>, layout: u32, index: u32) -> u32 {
    let (Some(layout), Some((Sample { scratch, block, .. }, out))) =
        (LAYOUTS.get(layout), run.sample_and_definition())
    else {
        return 0;
    };
    let seen = SeenCache::of_sample(scratch);
    let index = index as usize & (FRAMES_PER_BLOCK - 1);
    let frame = block.frames[index];
    if frame.code == 0 || frame.check == 0 || seen.seen(frame.code, frame.check) {
        return 0;
    }
    scratch.unseen += 1;
    let budget = budget(out);
    if !budget.allows(block.time_ns) {
        block.flags |= BLOCK_WITHHELD;
        scratch.seen_salt = 0;
        return 0;
    }
    identity(
        &CurrentTask,
        layout,
        frame.code,
        scratch.interpreter_id,
        &mut scratch.identity,
    );
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
    let bytes = bytes(out);
    if send(out, bytes) {
        let _ = replace(
            &BUDGET,
            out.tgid % BUDGETS,
            budget.after(bytes as u32, block.time_ns),
        );
        seen.mark(frame.code, frame.check);
    } else {
        // To be asked about again.
        scratch.seen_salt = 0;
        C::count_loss(Loss::Definition);
    }
    1
}

/// What the process of this definition may still send.
#[inline(always)]
fn budget(out: &CodeDefinition) -> DefinitionBudget {
    let budget = read(&BUDGET, out.tgid % BUDGETS).unwrap_or_default();
    budget.of(out.incarnation)
}

/// Bytes to be sent of it.
#[inline(always)]
fn bytes(out: &CodeDefinition) -> u64 {
    let tail = bounded(u32::from(out.line_table_stored), LINE_TABLE_BYTES as u32);
    CODE_HEADER_BYTES as u64 + u64::from(tail)
}

/// Leaves a quarter of the ring to samples: a definition can be sent later, a sample cannot.
#[inline(always)]
fn send(out: &mut CodeDefinition, bytes: u64) -> bool {
    eighths(unread_bytes(&SAMPLES)) < 6 && output(&SAMPLES, out, bytes, wake_up(bytes))
}
