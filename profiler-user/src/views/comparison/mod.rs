//! Two recordings side by side: what each function, line or group took before and after, and whether chance explains the
//! difference. Pure: rows of numbers, as the other views.

mod align;
mod chance;
mod files;

use std::hash::Hash;

use ahash::RandomState;
use indexmap::IndexMap;

use super::functions::{Function, Functions, hot_functions};
use super::groups::{Grouping, GroupsError, groups};
use super::lines::hot_lines;
use super::selection::Selection;
use super::tally::Tally;
use crate::profile::Frame;
use crate::recordings::{Counted, Loaded};

/// A difference that chance explains with a smaller probability is one. It is corrected for the number of differences that are
/// looked at: of a hundred comparisons of recordings that do not differ, one names a difference.
pub const SIGNIFICANT: f64 = 0.01;
/// Pieces of time are measured in this, so that squares of long ones have room.
const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;

/// Gives equal functions of both recordings equal frames: as they are in the second one, wherever they stood in the first.
pub fn align(before: &mut Loaded, after: &mut Loaded) {
    align::align(&mut before.frames, &mut after.frames);
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Parts of the whole recording.
    Shares,
    /// The numbers as they are.
    Absolute,
}

/// A number of both recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Compared {
    /// In the first one.
    pub before: i64,
    /// In the second one.
    pub after: i64,
    /// How likely so large a difference is by chance, corrected; `None` if the files do not say how many samples they are of.
    pub chance: Option<f64>,
}

impl Compared {
    /// Whether chance does not explain it.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.chance.is_some_and(|chance| chance < SIGNIFICANT)
    }
}

/// A row of the comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct ComparedRow<W> {
    /// A function, a line or a group.
    pub what: W,
    /// What it took itself.
    pub own: Compared,
    /// And with all it called.
    pub total: Compared,
}

/// What a chance is computed of, of one row of one recording.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    value: Tally,
    samples: Tally,
    /// Of uneven samples: the sum of their squares, as far as the file says it.
    squares: Tally,
}

/// One of the two recordings.
#[derive(Debug)]
struct Side<'l> {
    value: Selection<'l>,
    samples: Option<Selection<'l>>,
    squares: Option<Selection<'l>>,
    all: Sums,
}

impl<'l> Side<'l> {
    fn new(selection: Selection<'l>, counted: Option<(Counted, usize)>) -> Self {
        let samples = counted.map(|(counted, _)| {
            selection.with(|values| values.get(counted.samples).copied().unwrap_or(0).max(0))
        });
        let uneven = counted.filter(|(counted, _)| !counted.is_even);
        let squares = uneven.map(|(counted, of)| {
            selection.with(|values| {
                let number = |at: usize| values.get(at).copied().unwrap_or(0) as f64;
                let (pieces, time) = (
                    number(counted.samples).max(1.0),
                    number(of) / NANOSECONDS_PER_MILLISECOND,
                );
                (time * time / pieces) as i64
            })
        });
        let total = |of: &Selection<'_>| {
            let total = of.total();
            Tally { own: total, total }
        };
        let all = Sums {
            value: total(&selection),
            samples: samples.as_ref().map(total).unwrap_or_default(),
            squares: squares.as_ref().map(total).unwrap_or_default(),
        };
        Self {
            value: selection,
            samples,
            squares,
            all,
        }
    }
}

/// Two recordings side by side. Their functions are equal where [`align`] made them so.
#[derive(Debug)]
pub struct Comparison<'l> {
    sides: [Side<'l>; 2],
    counted: Option<Counted>,
    /// Whether the number of samples is what is shown.
    is_number: bool,
    scale: Scale,
}

impl<'l> Comparison<'l> {
    /// Of selections with the same kind of value, which stands at these places among those of their files.
    #[must_use]
    pub fn new(selections: [Selection<'l>; 2], types: [usize; 2], scale: Scale) -> Self {
        let counted = |at: usize| Counted::of(&selections[at].loaded().types, types[at]);
        let (before, after) = (counted(0), counted(1));
        let both = before.zip(after);
        let is_number = both.is_some_and(|(before, after)| [before.samples, after.samples] == types);
        let [first, second] = selections;
        Self {
            sides: [
                Side::new(first, both.map(|(of, _)| (of, types[0]))),
                Side::new(second, both.map(|(_, of)| (of, types[1]))),
            ],
            counted: both.map(|(of, _)| of),
            is_number,
            scale,
        }
    }

    /// What both recordings are as a whole.
    #[must_use]
    pub fn totals(&self) -> [i64; 2] {
        [0, 1].map(|side| self.sides[side].all.value.own)
    }

    /// How many samples both recordings have; `None` if the files do not say it.
    #[must_use]
    pub fn samples(&self) -> Option<[i64; 2]> {
        self.counted
            .map(|_| [0, 1].map(|side| self.sides[side].all.samples.own))
    }

    /// Every function that either of them has.
    #[must_use]
    pub fn functions(&self) -> Vec<ComparedRow<Function<'l>>> {
        self.rows(|selection| {
            let functions = Functions::of(&selection.loaded().frames);
            let rows = hot_functions(selection, &functions).into_iter();
            rows.map(|row| (functions.get(row.function), row.tally)).collect()
        })
    }

    /// Every line.
    #[must_use]
    pub fn lines(&self) -> Vec<ComparedRow<(Function<'l>, Option<u32>)>> {
        self.rows(|selection| {
            let functions = Functions::of(&selection.loaded().frames);
            let rows = hot_lines(selection, &functions).into_iter();
            rows.map(|row| ((functions.get(row.function), row.line), row.tally))
                .collect()
        })
    }

    /// Every group.
    ///
    /// # Errors
    /// As [`groups`], if neither recording says which group a sample belongs to.
    pub fn groups(&self, by: [&Grouping; 2]) -> Result<Vec<ComparedRow<Option<String>>>, GroupsError> {
        let [first, second] = [0, 1].map(|side| groups(&self.sides[side].value, by[side]).err());
        if let (Some(error), Some(_)) = (first, second) {
            return Err(error);
        }
        Ok(self.rows(|selection| {
            let is_first = std::ptr::eq(selection.loaded(), self.sides[0].value.loaded());
            let rows = groups(selection, by[usize::from(!is_first)]).unwrap_or_default();
            rows.into_iter().map(|row| (row.group, row.tally)).collect()
        }))
    }

    /// A frame of each function.
    #[must_use]
    pub fn frames(&self) -> IndexMap<Function<'l>, &'l Frame, RandomState> {
        let mut frames = IndexMap::default();
        for side in self.sides.iter().rev() {
            let functions = Functions::of(&side.value.loaded().frames);
            for (id, function) in functions.iter() {
                frames.entry(function).or_insert(functions.frame(id));
            }
        }
        frames
    }

    /// Rows, the most significant first: those that took more or less themselves, then those that called such functions, then
    /// the others by how much they changed.
    fn rows<W: Hash + Eq + Clone + Ord>(
        &self,
        view: impl Fn(&Selection<'l>) -> Vec<(W, Tally)>,
    ) -> Vec<ComparedRow<W>> {
        let mut sums: IndexMap<W, [Sums; 2], RandomState> = IndexMap::default();
        for (at, side) in self.sides.iter().enumerate() {
            for (what, tally) in view(&side.value) {
                sums.entry(what).or_default()[at].value = tally;
            }
            for (what, tally) in side.samples.iter().flat_map(&view) {
                sums.entry(what).or_default()[at].samples = tally;
            }
            for (what, tally) in side.squares.iter().flat_map(&view) {
                sums.entry(what).or_default()[at].squares = tally;
            }
        }
        let mut rows: Vec<ComparedRow<W>> = sums
            .iter()
            .map(|(what, [before, after])| {
                let compared = |before: i64, after: i64| Compared {
                    before,
                    after,
                    chance: None,
                };
                ComparedRow {
                    what: what.clone(),
                    own: compared(before.value.own, after.value.own),
                    total: compared(before.value.total, after.value.total),
                }
            })
            .collect();
        self.set_chances(&mut rows, &sums.into_values().collect::<Vec<_>>());
        let size = |of: &Compared| self.change(of).abs();
        let key = |row: &ComparedRow<W>| {
            let (own, total) = (row.own.is_significant(), row.total.is_significant());
            (own, total && !own)
        };
        rows.sort_by(|a, b| {
            key(b)
                .cmp(&key(a))
                .then_with(|| size(&b.own).total_cmp(&size(&a.own)))
                .then_with(|| size(&b.total).total_cmp(&size(&a.total)))
                .then_with(|| a.what.cmp(&b.what))
        });
        rows
    }

    fn set_chances<W>(&self, rows: &mut [ComparedRow<W>], sums: &[[Sums; 2]]) {
        let Some(counted) = self.counted else {
            return;
        };
        let own = |tally: Tally| tally.own;
        let total = |tally: Tally| tally.total;
        let mut tests: Vec<(usize, bool)> = Vec::new();
        let mut chances = Vec::new();
        for (at, sums) in sums.iter().enumerate() {
            let is_leaf = sums.iter().all(|sums| sums.samples.own == sums.samples.total);
            // What takes nothing itself, or is on every stack, needs no test, and no correction for one.
            let has_own = sums.iter().any(|sums| sums.samples.own != 0);
            let is_all = (0..2).all(|side| sums[side].samples.total == self.sides[side].all.samples.total);
            if has_own {
                tests.push((at, false));
                chances.push(self.chance(counted, sums, own));
            }
            let is_known = is_leaf || (is_all && self.scale == Scale::Shares);
            if !is_known {
                tests.push((at, true));
                chances.push(self.chance(counted, sums, total));
            }
        }
        for row in &mut *rows {
            (row.own.chance, row.total.chance) = (Some(1.0), Some(1.0));
        }
        for ((at, is_total), chance) in tests.into_iter().zip(chance::corrected(&chances)) {
            let Some(row) = rows.get_mut(at) else {
                continue;
            };
            let is_leaf = sums[at].iter().all(|sums| sums.samples.own == sums.samples.total);
            match is_total {
                true => row.total.chance = Some(chance),
                false => row.own.chance = Some(chance),
            }
            if is_leaf {
                row.total.chance = row.own.chance;
            }
        }
    }

    /// Not corrected.
    fn chance(&self, counted: Counted, sums: &[Sums; 2], of: impl Fn(Tally) -> i64) -> f64 {
        let [a, b] = self.counts(counted, sums, &of);
        let all = [0, 1].map(|side| self.sides[side].all);
        let [all_a, all_b] = if counted.is_even {
            all.map(|all| unsigned(all.samples.own))
        } else {
            let piece = self.piece(sums, &of);
            all.map(|all| pieces(all.value.own, piece))
        };
        match self.scale {
            Scale::Shares => chance::of_shares((a, all_a), (b, all_b)),
            Scale::Absolute => chance::of_amounts(a, b, self.part_of_second(counted)),
        }
    }

    /// Numbers of samples of a row, or of pieces of equal length that are as uncertain.
    fn counts(&self, counted: Counted, sums: &[Sums; 2], of: impl Fn(Tally) -> i64) -> [u64; 2] {
        if counted.is_even {
            return [0, 1].map(|side| unsigned(of(sums[side].samples)));
        }
        let piece = self.piece(sums, &of);
        [0, 1].map(|side| pieces(of(sums[side].value), piece))
    }

    /// How long the pieces of a row are, nanoseconds: equal ones of that length would be as uncertain. At least as long as in
    /// the recordings as a whole.
    fn piece(&self, sums: &[Sums; 2], of: impl Fn(Tally) -> i64) -> f64 {
        let length = |squares: f64, value: f64| {
            let milliseconds = value / NANOSECONDS_PER_MILLISECOND;
            if milliseconds > 0.0 {
                squares / milliseconds
            } else {
                0.0
            }
        };
        let sum = |of: &dyn Fn(usize) -> i64| of(0) as f64 + of(1) as f64;
        let of_row = length(
            sum(&|side| of(sums[side].squares)),
            sum(&|side| of(sums[side].value)),
        );
        let all = |side: usize| self.sides[side].all;
        let of_all = length(
            sum(&|side| all(side).squares.own),
            sum(&|side| all(side).value.own),
        );
        of_row.max(of_all).max(1e-3) * NANOSECONDS_PER_MILLISECOND
    }

    /// If the amounts were equal, which part of all samples would be the second recording's: one with a higher rate has more.
    fn part_of_second(&self, counted: Counted) -> f64 {
        let worth = |side: usize| {
            let all = self.sides[side].all;
            all.value.own as f64 / all.samples.own as f64
        };
        let (first, second) = (worth(0), worth(1));
        let is_known = first.is_finite() && second.is_finite() && first > 0.0 && second > 0.0;
        if self.is_number || !counted.is_even || !is_known {
            return 0.5;
        }
        first / (first + second)
    }

    /// By how much it changed: in percentage points of the whole, or of what the first recording is as a whole.
    #[must_use]
    pub fn change(&self, of: &Compared) -> f64 {
        let [before, after] = self.percent(of);
        after - before
    }

    /// Its part of the whole, per cent; of absolute numbers both as parts of the first recording.
    #[must_use]
    pub fn percent(&self, of: &Compared) -> [f64; 2] {
        let [first, second] = self.totals();
        let second = match self.scale {
            Scale::Shares => second,
            Scale::Absolute if first == 0 => return [0.0, if of.after == 0 { 0.0 } else { f64::INFINITY }],
            Scale::Absolute => first,
        };
        let part = |value: i64, all: i64| {
            if all == 0 {
                0.0
            } else {
                value as f64 / all as f64 * 100.0
            }
        };
        [part(of.before, first), part(of.after, second)]
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn pieces(value: i64, piece_ns: f64) -> u64 {
    (value as f64 / piece_ns).round() as u64
}

#[cfg(test)]
mod tests;
