//! Who has which part of a kernel map's array: rows, blocks or mappings.
//!
//! Used by [`super::blocks`], [`super::files`] and [`super::spaces`]. What is given back rests for a while before it is
//! given out again: an interrupt on another CPU may still be reading it. Pure.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// How long an extent rests. An interrupt's walk takes less than a millisecond; on a virtual machine the CPU itself can
/// be taken away meanwhile.
pub(super) const REST: Duration = Duration::from_millis(200);

/// An array of which extents are given out.
#[derive(Debug)]
pub(super) struct Extents {
    /// Start to length; neighbours are joined.
    free: BTreeMap<u32, u32>,
    resting: VecDeque<(Instant, u32, u32)>,
    capacity: u32,
    free_count: u32,
}

impl Extents {
    pub(super) fn new(capacity: u32) -> Self {
        let mut extents = Self {
            free: BTreeMap::new(),
            resting: VecDeque::new(),
            capacity,
            free_count: 0,
        };
        extents.release(0, capacity);
        extents
    }

    /// `count` neighbours, the first that fit.
    pub(super) fn take(&mut self, count: u32, now: Instant) -> Option<u32> {
        self.wake(now);
        if count == 0 {
            return Some(0);
        }
        let (&start, &length) = self.free.iter().find(|&(_, &length)| length >= count)?;
        self.free.remove(&start);
        if length > count {
            self.free.insert(start + count, length - count);
        }
        self.free_count -= count;
        Some(start)
    }

    /// Gives back what [`Self::take`] gave.
    pub(super) fn give(&mut self, start: u32, count: u32, now: Instant) {
        if count > 0 {
            self.resting.push_back((now, start, count));
        }
    }

    fn wake(&mut self, now: Instant) {
        while let Some(&(since, start, count)) = self.resting.front()
            && now.saturating_duration_since(since) >= REST
        {
            self.resting.pop_front();
            self.release(start, count);
        }
    }

    fn release(&mut self, start: u32, count: u32) {
        if count == 0 {
            return;
        }
        self.free_count += count;
        let (mut start, mut count) = (start, count);
        if let Some((&before, &length)) = self.free.range(..start).next_back()
            && before + length == start
        {
            self.free.remove(&before);
            start = before;
            count += length;
        }
        if let Some(length) = self.free.remove(&(start + count)) {
            count += length;
        }
        self.free.insert(start, count);
    }

    /// All there is.
    pub(super) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Neither given out nor resting.
    pub(super) fn free(&self) -> u32 {
        self.free_count
    }

    /// Given back, not yet free.
    pub(super) fn resting(&self) -> u32 {
        self.resting.iter().map(|&(_, _, count)| count).sum()
    }

    /// When the next extent has rested.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.resting.front().map(|&(since, _, _)| since + REST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    #[test]
    fn what_was_given_back_is_not_given_out_before_it_has_rested() {
        let now = Instant::now();
        let mut extents = Extents::new(4);
        assert_eq!(extents.take(4, now), Some(0));
        extents.give(0, 4, now);
        assert_eq!(extents.take(1, now + REST - Duration::from_millis(1)), None);
        assert_eq!(extents.next_wake(), Some(now + REST));
        assert_eq!(extents.take(4, now + REST), Some(0));
    }

    proptest! {
        #[test]
        fn no_element_has_two_owners_and_none_is_lost(steps in proptest::collection::vec((1u32..9, any::<bool>()), 1..200)) {
            let mut now = Instant::now();
            let mut extents = Extents::new(64);
            let mut held: Vec<(u32, u32)> = Vec::new();
            for (count, gives) in steps {
                if gives && !held.is_empty() {
                    let (start, length) = held.swap_remove(count as usize % held.len());
                    extents.give(start, length, now);
                    now += REST / 3;
                } else if let Some(start) = extents.take(count, now) {
                    prop_assert!(start + count <= 64);
                    for &(other, length) in &held {
                        prop_assert!(start + count <= other || other + length <= start);
                    }
                    held.push((start, count));
                }
                let taken: u32 = held.iter().map(|&(_, count)| count).sum();
                prop_assert_eq!(extents.free() + extents.resting() + taken, 64);
            }
            for (start, count) in held.drain(..) {
                extents.give(start, count, now);
            }
            prop_assert_eq!(extents.take(64, now + REST), Some(0), "neighbours were not joined");
        }
    }
}
