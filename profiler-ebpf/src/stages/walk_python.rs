//! One block of Python frames per run; chains to itself for deeper stacks.

use profiler_common::contract::benchmark::Timed;
use profiler_common::contract::layout::{LAYOUT_CODE_VERSION, Layout};
use profiler_common::contract::programs::Stage;
use profiler_common::contract::reasons::{Outcome, StackStatus};
use profiler_common::contract::records::{BLOCK_LAST, FRAMES_PER_BLOCK, MAX_BLOCKS};
use profiler_common::walker::python::{CodeSeen, FRAMES_PER_STRETCH, Scratch, begin_block, walk_stretch};

use crate::chains::Chain;
use crate::maps::{LAYOUTS, SEEN, SEEN_SLOTS, replace, word};
use crate::memory::CurrentTask;
use crate::stages::finish_block;
use crate::working::{Run, Sample};
use crate::{accounts, benchmark};

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
    let seen = SeenCache::new(process.incarnation, layout, block.time_ns);
    scratch.steady = u32::from(scratch.seen_salt == seen.salt);
    scratch.seen_salt = seen.salt;
    scratch.salt = seen.salt;
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
    block.frame_count = walked as u16;
    block.void = scratch.void as u16;
    block.entries = scratch.entries;
    let done = scratch.cursor.is_null();
    let cut = !done && block.index as usize + 1 >= MAX_BLOCKS;
    if cut {
        scratch.status = StackStatus::Truncated.code();
    }
    block.status = scratch.status as u8;
    if done || cut {
        block.flags |= BLOCK_LAST;
    }
    let started_ns = scratch.started_ns;
    if scratch.unseen != 0 {
        // Definitions go first, so that user space can name the frames when they arrive.
        C::tail_call(context, Stage::DefineCode);
        // The chain is as long as the kernel allows: they are asked about again at the next sample.
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

/// Which definitions this CPU has already sent.
pub(crate) struct SeenCache {
    salt: u64,
}

impl SeenCache {
    /// Where code objects carry no version number a re-used address may go unnoticed, so everything is sent again
    /// every 4 s; user space compares.
    #[inline(always)]
    pub(crate) fn new(incarnation: u64, layout: &Layout, time_ns: u64) -> Self {
        let epoch = if layout.flags & LAYOUT_CODE_VERSION == 0 {
            time_ns >> 32
        } else {
            0
        };
        Self {
            salt: incarnation ^ epoch.rotate_left(48),
        }
    }

    /// That of the sample being walked.
    #[inline(always)]
    pub(crate) fn of_sample(scratch: &Scratch) -> Self {
        Self { salt: scratch.salt }
    }

    /// The slot for a code object, and what it holds when the definition was sent.
    #[inline(always)]
    fn fingerprint(&self, code: u64, check: u32) -> (u32, u64) {
        let mixed = (code ^ self.salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let fingerprint = mixed ^ u64::from(check).wrapping_mul(0xff51_afd7_ed55_8ccd);
        ((fingerprint >> 40) as u32 & (SEEN_SLOTS - 1), fingerprint)
    }

    /// Notes that the definition was sent.
    #[inline(always)]
    pub(crate) fn mark(&self, code: u64, check: u32) {
        let (index, fingerprint) = self.fingerprint(code, check);
        // There is always such a slot.
        let _ = replace(&SEEN, index, fingerprint);
    }
}

impl CodeSeen for SeenCache {
    #[inline(always)]
    fn seen(&self, code: u64, check: u32) -> bool {
        let (index, fingerprint) = self.fingerprint(code, check);
        word(&SEEN, index).is_none_or(|entry| entry == fingerprint)
    }
}
