//! The stacks of two recordings, each with what was spent with it in both.

use crate::output::amounts::AmountUnit;

/// A stack and what was spent with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Frames, escaped and joined.
    pub(super) stack: String,
    pub(super) before: u64,
    pub(super) after: u64,
    /// Whether its innermost function changed.
    pub(super) is_changed: bool,
}

/// All stacks.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) unit: AmountUnit,
    pub(super) lines: Vec<Line>,
}

impl Lines {
    pub(super) fn total(&self, of: impl Fn(&Line) -> u64) -> u64 {
        self.lines.iter().map(of).fold(0, u64::saturating_add)
    }

    /// Makes the first recording as large as the second. Rounded so that the sum is right: what is cut off goes to the lines
    /// of which most was cut off.
    pub(super) fn scale(&mut self) {
        let (from, to) = (self.total(|line| line.before), self.total(|line| line.after));
        if from == 0 || to == 0 || from == to {
            return;
        }
        let scaled = |value: u64| u128::from(value) * u128::from(to);
        let mut rests: Vec<(u128, usize)> = Vec::with_capacity(self.lines.len());
        let mut left = to;
        for (at, line) in self.lines.iter_mut().enumerate() {
            let product = scaled(line.before);
            line.before = u64::try_from(product / u128::from(from)).unwrap_or(u64::MAX);
            left = left.saturating_sub(line.before);
            rests.push((product % u128::from(from), at));
        }
        rests.sort_unstable_by(|(a, at_a), (b, at_b)| b.cmp(a).then(at_a.cmp(at_b)));
        for (_, at) in rests
            .into_iter()
            .take(usize::try_from(left).unwrap_or(usize::MAX))
        {
            self.lines[at].before += 1;
        }
    }
}
