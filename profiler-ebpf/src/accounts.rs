//! What became of each event, by source: counts and weights.

use profiler_common::contract::reasons::Outcome;
use profiler_common::contract::records::SampleBlock;
use profiler_common::contract::sources::{Source, account, gap_account};

use crate::maps::{INTERRUPTS, OUTCOMES, WEIGHTS, add, count};

/// An event came.
#[inline(always)]
pub(crate) fn open(source: Source) {
    count(&INTERRUPTS, u32::from(source.code()));
}

/// It ended so. Each one ends once.
#[inline(always)]
pub(crate) fn close(source: u16, outcome: Outcome, weight: u64) {
    let account = account(source, outcome);
    count(&OUTCOMES, account);
    if weight != 0 {
        add(&WEIGHTS, account, weight);
    }
}

/// The sample that is under way ended so.
#[inline(always)]
pub(crate) fn close_sample(block: &SampleBlock, outcome: Outcome) {
    close(block.source, outcome, block.weight);
}

/// Time passed that no program is charged with.
#[inline(always)]
pub(crate) fn gap(source: Source, gap_ns: u64) {
    if gap_ns != 0 {
        add(&WEIGHTS, gap_account(source.code()), gap_ns);
    }
}
