//! Functions, whatever line of them is running, and what each took.

use ahash::RandomState;
use indexmap::IndexSet;

use super::selection::Selection;
use super::tally::Tally;
use crate::profile::{Frame, FrameId, FrameKind};

/// What makes two frames the same function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Function<'l> {
    /// Its name, as the file has it.
    pub name: &'l str,
    /// Its whole path.
    pub file: Option<&'l str>,
    /// The line of its `def`; `None` where it is not known.
    pub first_line: Option<u32>,
    /// Of native code: its library.
    pub module: Option<&'l str>,
    /// What it is.
    pub kind: FrameKind,
}

impl<'l> Function<'l> {
    /// That of a frame.
    #[must_use]
    pub fn of(frame: &'l Frame) -> Self {
        Self {
            name: &frame.name,
            file: frame.file.as_deref(),
            first_line: frame.first_line,
            module: frame.module.as_deref(),
            kind: frame.kind,
        }
    }
}

/// Index into [`Functions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionId(pub u32);

/// The functions of a recording.
#[derive(Debug)]
pub struct Functions<'l> {
    all: IndexSet<Function<'l>, RandomState>,
    of_frame: Vec<FunctionId>,
    /// Any one of its frames.
    example: Vec<&'l Frame>,
}

impl<'l> Functions<'l> {
    /// The functions of these frames.
    #[must_use]
    pub fn of(frames: &'l [Frame]) -> Self {
        let mut functions = Self {
            all: IndexSet::default(),
            of_frame: Vec::with_capacity(frames.len()),
            example: Vec::new(),
        };
        for frame in frames {
            let (at, is_new) = functions.all.insert_full(Function::of(frame));
            if is_new {
                functions.example.push(frame);
            }
            functions
                .of_frame
                .push(FunctionId(u32::try_from(at).unwrap_or(u32::MAX)));
        }
        functions
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The function of a frame. Ids come from the same recording: a foreign one panics.
    #[must_use]
    pub fn id(&self, frame: FrameId) -> FunctionId {
        self.of_frame[frame.0 as usize]
    }

    /// What is known of a function. Ids come from this table: a foreign one panics.
    #[must_use]
    pub fn get(&self, id: FunctionId) -> Function<'l> {
        self.all[id.0 as usize]
    }

    /// Any one of its frames. Ids come from this table: a foreign one panics.
    #[must_use]
    pub fn frame(&self, id: FunctionId) -> &'l Frame {
        self.example[id.0 as usize]
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (FunctionId, Function<'l>)> + '_ {
        (0..).map(FunctionId).zip(self.all.iter().copied())
    }
}

/// A function and what it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionRow {
    /// Which one.
    pub function: FunctionId,
    /// What it took.
    pub tally: Tally,
}

/// Every function that was seen, that with the most of its own first.
#[must_use]
pub fn hot_functions(selection: &Selection<'_>, functions: &Functions<'_>) -> Vec<FunctionRow> {
    let mut tallies = vec![Tally::default(); functions.len()];
    // The number of the last stack that a function was seen in, so that recursion counts once.
    let mut seen_in = vec![0u64; functions.len()];
    for (number, (stack, _, value)) in (1..).zip(selection.samples()) {
        for frame in stack {
            let at = functions.id(*frame).0 as usize;
            if seen_in[at] != number {
                seen_in[at] = number;
                tallies[at].add_total(value);
            }
        }
        if let Some(leaf) = stack.last() {
            tallies[functions.id(*leaf).0 as usize].add_own(value);
        }
    }
    let rows = (0..).map(FunctionId).zip(tallies);
    let mut rows: Vec<FunctionRow> = rows
        .filter(|(_, tally)| *tally != Tally::default())
        .map(|(function, tally)| FunctionRow { function, tally })
        .collect();
    rows.sort_by_cached_key(|row| (row.tally.largest_first(), functions.get(row.function)));
    rows
}

#[cfg(test)]
mod tests {
    use super::{Functions, hot_functions};
    use crate::views::Selection;
    use crate::views::test_loaded::loaded;

    #[test]
    fn recursion_counts_once_and_own_values_add_up() {
        let loaded = loaded();
        let selection = Selection::new(&loaded, 0, &[]);
        let functions = Functions::of(&loaded.frames);
        let rows = hot_functions(&selection, &functions);
        let own: i64 = rows.iter().map(|row| row.tally.own).sum();
        assert_eq!(own, selection.total());
        let rows: Vec<_> = rows
            .iter()
            .map(|row| (functions.get(row.function).name, row.tally.own, row.tally.total))
            .collect();
        assert_eq!(
            rows,
            [
                ("fib", 60, 60),
                ("loads", 20, 30),
                ("main", 10, 100),
                ("hook", 10, 10),
                ("<module>", 0, 100),
                ("decode", 0, 30),
                ("scan", 0, 30),
            ]
        );
    }
}
