//! The stacks named last, one for each CPU. From one sample to the next most of a stack stays the same: its outer frames need
//! not be looked up again.

use profiler_common::contract::records::RawFrame;

use crate::ids::{FrameId, ProcessKey};

/// CPUs told apart; two with the same place forget each other's stacks.
const PLACES: usize = 64;

/// Stacks without anything missing, as they were named.
#[derive(Debug, Default)]
pub(super) struct LastStacks {
    places: Vec<LastStack>,
    /// Changes when what a frame is called may have changed.
    epoch: u64,
}

/// Where a name holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) process: ProcessKey,
    /// The number of the interval.
    pub(super) interval: u64,
    /// [`crate::wire::assembly::Sample::compiled`].
    pub(super) compiled: bool,
}

#[derive(Clone, Debug, Default)]
struct LastStack {
    scope: Scope,
    epoch: u64,
    /// Newest first, as `named`.
    frames: Vec<RawFrame>,
    named: Vec<Option<FrameId>>,
}

impl LastStacks {
    /// What frames are called may be different from now on.
    pub(super) fn forget(&mut self) {
        self.epoch += 1;
    }

    /// How many of the outermost frames this CPU's last stack has, too.
    pub(super) fn shared(&self, cpu: u32, scope: Scope, frames: &[RawFrame]) -> usize {
        let last = self.places.get(place(cpu));
        let Some(last) = last.filter(|last| last.epoch == self.epoch && last.scope == scope) else {
            return 0;
        };
        let pairs = frames.iter().rev().zip(last.frames.iter().rev());
        pairs.take_while(|(one, other)| one == other).count()
    }

    /// What its outermost frames are called, newest first; `count` is what [`Self::shared`] has said.
    pub(super) fn outermost(&self, cpu: u32, count: usize) -> &[Option<FrameId>] {
        let named = self.places.get(place(cpu)).map_or(&[][..], |last| &last.named);
        named.get(named.len().saturating_sub(count)..).unwrap_or_default()
    }

    /// Remembers a stack all of whose frames have been named; `named` has as many elements as `frames`.
    pub(super) fn remember(
        &mut self,
        cpu: u32,
        scope: Scope,
        frames: &[RawFrame],
        named: &[Option<FrameId>],
    ) {
        if frames.len() != named.len() {
            return;
        }
        if self.places.is_empty() {
            self.places = vec![LastStack::default(); PLACES];
        }
        if let Some(last) = self.places.get_mut(place(cpu)) {
            (last.scope, last.epoch) = (scope, self.epoch);
            last.frames.clear();
            last.frames.extend_from_slice(frames);
            last.named.clear();
            last.named.extend_from_slice(named);
        }
    }
}

fn place(cpu: u32) -> usize {
    cpu as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(code: u64) -> RawFrame {
        RawFrame {
            code,
            check: 1,
            instr_offset: 2,
        }
    }

    fn named(ids: &[u32]) -> Vec<Option<FrameId>> {
        ids.iter().map(|id| Some(FrameId(*id))).collect()
    }

    #[test]
    fn outer_frames_that_stayed_keep_their_names() {
        let mut stacks = LastStacks::default();
        let scope = Scope::default();
        assert_eq!(stacks.shared(0, scope, &[frame(3)]), 0);
        stacks.remember(0, scope, &[frame(1), frame(2), frame(3)], &named(&[10, 20, 30]));
        let shared = |stacks: &LastStacks, cpu, scope, codes: &[u64]| {
            let frames: Vec<RawFrame> = codes.iter().copied().map(frame).collect();
            stacks.outermost(cpu, stacks.shared(cpu, scope, &frames)).to_vec()
        };
        assert_eq!(shared(&stacks, 0, scope, &[1, 2, 3]), named(&[10, 20, 30]));
        assert_eq!(shared(&stacks, 0, scope, &[9, 9, 2, 3]), named(&[20, 30]));
        assert_eq!(shared(&stacks, 0, scope, &[3]), named(&[30]));
        assert_eq!(shared(&stacks, 0, scope, &[1, 2]), named(&[]));
        // Another CPU, another interval, and after something has changed.
        assert_eq!(shared(&stacks, 1, scope, &[3]), named(&[]));
        let later = Scope { interval: 1, ..scope };
        assert_eq!(shared(&stacks, 0, later, &[3]), named(&[]));
        stacks.forget();
        assert_eq!(shared(&stacks, 0, scope, &[3]), named(&[]));
    }
}
