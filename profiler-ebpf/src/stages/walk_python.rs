//! One block of Python frames per run; chains to itself for deeper stacks.

use profiler_common::contract::benchmark::Timed;
use profiler_common::contract::programs::Stage;
use profiler_common::contract::reasons::{Outcome, StackStatus};
use profiler_common::contract::records::{BLOCK_LAST, BLOCK_WITHHELD, FRAMES_PER_BLOCK, MAX_BLOCKS};
use profiler_common::walker::python::{FRAMES_PER_STRETCH, begin_block, walk_stretch};

use crate::chains::Chain;
use crate::maps::LAYOUTS;
use crate::memory::CurrentTask;
use crate::stages::finish_block;
use crate::stages::seen::SeenCache;
use crate::working::{Run, Sample};
use crate::{accounts, benchmark, log};

/// Walks one block, sends it, and continues with the next stage.
#[inline(always)]
pub(crate) fn run<C: Chain>(run: &mut Run<C>, context: &C::Context) {
    let Some(outcome) = walk(run, context) else { return };
    if let Some(sample) = run.sample() {
        accounts::close_sample(&sample.block, outcome);
    }
}

/// `None` when the next stage will count the outcome.
#[inline(always)]
fn walk<C: Chain>(run: &mut Run<C>, context: &C::Context) -> Option<Outcome> {
    let Some(Sample {
        process,
        scratch,
        block,
    }) = run.sample()
    else {
        return Some(Outcome::NoScratch);
    };
    let layout_index = process.layout;
    let Some(layout) = LAYOUTS.get(layout_index) else {
        return Some(Outcome::NoLayout);
    };
    SeenCache::begin(process.incarnation, layout, block.time_ns, scratch);
    let walk_ns = benchmark::begin();
    begin_block(scratch);
    let mut walked = 0;
    for _ in 0..FRAMES_PER_BLOCK / FRAMES_PER_STRETCH {
        let before = walked;
        walked = run.walk_python_stretch(layout_index, before);
        if walked != before.wrapping_add(FRAMES_PER_STRETCH as u32) {
            break;
        }
    }
    benchmark::end(Timed::Walk, walk_ns);
    let Some(Sample { scratch, block, .. }) = run.sample() else {
        return Some(Outcome::NoScratch);
    };
    benchmark::count_walk(scratch.identified);
    block.frame_count = walked as u16;
    block.void = scratch.void as u16;
    block.entries = scratch.entries;
    let done = scratch.cursor.is_null();
    let cut = !done && block.index as usize + 1 >= MAX_BLOCKS;
    if cut {
        scratch.status = StackStatus::Truncated.code();
    }
    block.status = scratch.status as u8;
    if scratch.status != StackStatus::Complete.code() {
        log::python(block.tgid, block.tid, scratch.status, walked, scratch.cursor.0);
    }
    if done || cut {
        block.flags |= BLOCK_LAST;
    }
    let started_ns = scratch.started_ns;
    if scratch.unseen != 0 {
        if block.flags & BLOCK_WITHHELD == 0 {
            // Definitions go first, so that user space can name the frames when they arrive.
            C::tail_call(context, Stage::DefineCode);
            log::tail_call(block.tgid, Stage::DefineCode.slot(), block.index.into());
        }
        // The chain is as long as the kernel allows, or the process may send no more: they are asked about again at the next
        // sample.
        scratch.seen_salt = 0;
    }
    let outcome = finish_block(run, context);
    benchmark::end(Timed::Sample, started_ns);
    outcome
}

/// The next frames of this CPU's block, from `first` on; returns where they end.
#[inline(always)]
pub(crate) fn stretch<C: Chain>(run: &mut Run<C>, layout: u32, first: u32) -> u32 {
    let (Some(layout), Some(Sample { scratch, block, .. })) = (LAYOUTS.get(layout), run.sample()) else {
        return 0;
    };
    let seen = SeenCache::of_sample(scratch);
    let frames = &mut block.frames;
    walk_stretch(&CurrentTask, &seen, layout, scratch, frames, first as usize) as u32
}
