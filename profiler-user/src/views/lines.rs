//! Lines of source, and what each took.

use ahash::RandomState;
use indexmap::IndexMap;

use super::functions::{FunctionId, Functions};
use super::selection::Selection;
use super::tally::Tally;

/// A line and what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LineRow {
    /// In which function.
    pub function: FunctionId,
    /// Which line of its file; `None` where it is not known.
    pub line: Option<u32>,
    /// What it took.
    pub tally: Tally,
}

/// Every line that was seen, that with the most of its own first.
#[must_use]
pub fn hot_lines(selection: &Selection<'_>, functions: &Functions<'_>) -> Vec<LineRow> {
    let frames = &selection.loaded().frames;
    let mut tallies: IndexMap<(FunctionId, Option<u32>), Tally, RandomState> = IndexMap::default();
    let place_of: Vec<usize> = frames
        .iter()
        .zip((0..).map(crate::profile::FrameId))
        .map(|(frame, id)| {
            let place = tallies.entry((functions.id(id), frame.line));
            let at = place.index();
            place.or_default();
            at
        })
        .collect();
    let mut seen_in = vec![0u64; tallies.len()];
    for (number, (stack, _, value)) in (1..).zip(selection.samples()) {
        for frame in stack {
            let at = place_of[frame.0 as usize];
            if seen_in[at] != number {
                seen_in[at] = number;
                tallies[at].add_total(value);
            }
        }
        if let Some(leaf) = stack.last() {
            tallies[place_of[leaf.0 as usize]].add_own(value);
        }
    }
    let mut rows: Vec<LineRow> = tallies
        .into_iter()
        .filter(|(_, tally)| *tally != Tally::default())
        .map(|((function, line), tally)| LineRow {
            function,
            line,
            tally,
        })
        .collect();
    rows.sort_by_cached_key(|row| {
        let function = functions.get(row.function);
        (row.tally.largest_first(), function.file, row.line, function)
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::hot_lines;
    use crate::views::test_loaded::loaded;
    use crate::views::{Functions, Selection};

    #[test]
    fn each_line_has_its_own_numbers() {
        let loaded = loaded();
        let selection = Selection::new(&loaded, 0, &[]);
        let functions = Functions::of(&loaded.frames);
        let rows = hot_lines(&selection, &functions);
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let name = functions.get(row.function).name;
                (
                    name,
                    row.line.expect("every line is known"),
                    row.tally.own,
                    row.tally.total,
                )
            })
            .collect();
        assert_eq!(
            rows[..5],
            [
                ("fib", 10, 40, 40),
                ("loads", 3, 20, 30),
                ("fib", 11, 20, 20),
                ("main", 7, 10, 10),
                ("hook", 20, 10, 10),
            ]
        );
        let own: i64 = rows.iter().map(|row| row.2).sum();
        assert_eq!(own, selection.total());
    }
}
