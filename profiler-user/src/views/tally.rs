//! The two numbers that every row has.

use std::cmp::Reverse;

/// What something took itself, and together with what it called. In the unit of the kind of value that is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tally {
    /// At the end of stacks.
    pub own: i64,
    /// Anywhere in stacks, once for each.
    pub total: i64,
}

impl Tally {
    /// Adds to `own`.
    pub(super) fn add_own(&mut self, value: i64) {
        self.own = self.own.saturating_add(value);
    }

    /// Adds to `total`.
    pub(super) fn add_total(&mut self, value: i64) {
        self.total = self.total.saturating_add(value);
    }

    /// What to sort by, so that the largest come first.
    pub(super) fn largest_first(self) -> Reverse<(i64, i64)> {
        Reverse((self.own, self.total))
    }
}
