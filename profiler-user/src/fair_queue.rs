//! A queue in which everybody has a turn: whoever puts in much waits for itself, not others for it. Used where processes
//! that are recorded cause work.

use std::collections::VecDeque;
use std::hash::Hash;

use ahash::HashMap;

/// Things that wait, by whose they are.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    waiting: HashMap<K, VecDeque<T>>,
    /// Everybody who has something in `waiting`, once, in the order of their turns.
    turns: VecDeque<K>,
    len: usize,
}

impl<K, T> Default for FairQueue<K, T> {
    fn default() -> Self {
        Self {
            waiting: HashMap::default(),
            turns: VecDeque::new(),
            len: 0,
        }
    }
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    /// Things that wait, of everybody.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Things of this one that wait.
    #[must_use]
    pub fn len_of(&self, whose: K) -> usize {
        self.waiting.get(&whose).map_or(0, VecDeque::len)
    }

    /// Puts something in.
    pub fn push(&mut self, whose: K, thing: T) {
        let own = self.waiting.entry(whose).or_default();
        if own.is_empty() {
            self.turns.push_back(whose);
        }
        own.push_back(thing);
        self.len += 1;
    }

    /// The oldest thing of whoever's turn it is, among those who may have one now.
    pub fn pop(&mut self, may: impl Fn(K) -> bool) -> Option<(K, T)> {
        let position = self.turns.iter().position(|whose| may(*whose))?;
        let whose = self.turns.remove(position)?;
        let own = self.waiting.get_mut(&whose)?;
        let thing = own.pop_front()?;
        self.len -= 1;
        if own.is_empty() {
            self.waiting.remove(&whose);
        } else {
            self.turns.push_back(whose);
        }
        Some((whose, thing))
    }

    /// Forgets everything of one.
    pub fn forget(&mut self, whose: K) {
        if let Some(own) = self.waiting.remove(&whose) {
            self.len -= own.len();
            self.turns.retain(|other| *other != whose);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::FairQueue;

    #[test]
    fn whoever_puts_in_much_waits_for_itself() {
        let mut queue = FairQueue::default();
        for thing in 0..1_000 {
            queue.push("storm", thing);
        }
        queue.push("quiet", 7);
        queue.push("quiet", 8);
        let first: Vec<_> = std::iter::from_fn(|| queue.pop(|_| true)).take(5).collect();
        assert_eq!(
            first,
            [
                ("storm", 0),
                ("quiet", 7),
                ("storm", 1),
                ("quiet", 8),
                ("storm", 2)
            ]
        );
        assert_eq!(
            (queue.len(), queue.len_of("storm"), queue.len_of("quiet")),
            (997, 997, 0)
        );
    }

    #[test]
    fn who_may_not_have_a_turn_keeps_it() {
        let mut queue = FairQueue::default();
        queue.push(1, 'a');
        queue.push(2, 'b');
        assert_eq!(queue.pop(|whose| whose == 2), Some((2, 'b')));
        assert_eq!(queue.pop(|whose| whose == 2), None);
        assert_eq!(queue.pop(|_| true), Some((1, 'a')));
        assert!(queue.is_empty());
    }

    #[test]
    fn what_is_forgotten_has_no_turn() {
        let mut queue = FairQueue::default();
        queue.push(1, 'a');
        queue.push(2, 'b');
        queue.push(1, 'c');
        queue.forget(1);
        assert_eq!((queue.len(), queue.pop(|_| true)), (1, Some((2, 'b'))));
        queue.push(1, 'd');
        assert_eq!(queue.pop(|_| true), Some((1, 'd')));
    }
}
