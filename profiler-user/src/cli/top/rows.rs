//! What the rows of a table are: filtered and sorted. Pure.

use std::cmp::{Ordering, Reverse};

use super::amounts::{Amounts, Tally};
use super::columns::Column;
use super::groups::{Group, Scope};
use super::model::{FunctionId, Model, Place};
use crate::escape::printable;

/// What a row is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum RowId {
    Place(Place),
    Group(Scope),
}

/// A row.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: RowId,
    pub(super) last: Amounts,
    pub(super) all: Amounts,
    /// Cells that its name is set off by.
    pub(super) indent: usize,
}

/// What rows are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) column: Column,
    /// Smallest first, or the other end of the alphabet.
    pub(super) is_reversed: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            column: Column::OwnPercent,
            is_reversed: false,
        }
    }
}

/// How names are written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Names {
    /// Whole paths.
    pub(super) are_whole: bool,
}

impl Names {
    /// `fib (app.py:12)`, escaped. In a table of functions the line is that of its `def`.
    pub(super) fn of(self, model: &Model, place: Place) -> String {
        let Some((function, known)) = model.function(place.function) else {
            return String::new();
        };
        let short = known.short_file.as_deref().filter(|_| !self.are_whole);
        let file = short.or(function.file.as_deref()).or(function.module.as_deref());
        let line = place.line.or(function.first_line);
        let place = match (file, line) {
            (Some(file), Some(line)) => format!(" ({file}:{line})"),
            (Some(file), None) => format!(" ({file})"),
            (None, _) => String::new(),
        };
        printable(&format!("{}{place}", function.name))
    }
}

/// What the rows of a table have to fit.
#[derive(Clone, Debug, Default)]
pub(super) struct Filter(String);

impl Filter {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_lowercase())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn fits(&self, text: &str) -> bool {
        self.0.is_empty() || text.to_lowercase().contains(&self.0)
    }
}

/// The functions, or their lines.
pub(super) fn places(
    model: &Model,
    by_line: bool,
    (names, filter): (Names, &Filter),
    order: Order,
) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut push = |(place, tally): (Place, &Tally)| {
        if filter.is_empty() || filter.fits(&names.of(model, place)) {
            rows.push(Row {
                id: RowId::Place(place),
                last: tally.of(model.interval()),
                all: tally.all,
                indent: 0,
            });
        }
    };
    if by_line {
        model.lines().for_each(&mut push);
    } else {
        model.functions().for_each(&mut push);
    }
    let place_of = |row: &Row| match &row.id {
        RowId::Place(place) => *place,
        RowId::Group(_) => Place {
            function: FunctionId::MAX,
            line: None,
        },
    };
    if order.column == Column::Name {
        rows.sort_by_cached_key(|row| names.of(model, place_of(row)));
    } else {
        rows.sort_unstable_by_key(|row| {
            let value = order.column.value(&row.last, &row.all);
            (
                Reverse((value, row.last.own, row.all.own, row.all.total)),
                place_of(row),
            )
        });
    }
    if order.is_reversed {
        rows.reverse();
    }
    rows
}

/// Containers, processes and threads.
pub(super) fn groups(model: &Model, filter: &Filter, order: Order) -> Vec<Row> {
    let interval = model.interval();
    let compare = |one: &Group, other: &Group| -> Ordering {
        let by_name = || one.name.cmp(&other.name);
        let key = |group: &Group| {
            let last = group.tally.of(interval);
            Reverse((
                order.column.value(&last, &group.tally.all),
                last.total,
                group.tally.all.total,
            ))
        };
        let ordering = match order.column {
            Column::Name => by_name(),
            _ => key(one).cmp(&key(other)).then_with(by_name),
        };
        if order.is_reversed {
            ordering.reverse()
        } else {
            ordering
        }
    };
    let tree = model.groups.tree(interval, compare);
    let mut is_shown: Vec<bool> = tree.iter().map(|(_, group)| filter.fits(&group.name)).collect();
    // With what they are part of.
    let mut wanted = [false; 3];
    for (shown, (scope, _)) in is_shown.iter_mut().zip(&tree).rev() {
        let depth = scope.depth();
        *shown |= wanted.get(depth + 1).copied().unwrap_or(false);
        if let Some(below) = wanted.get_mut(depth + 1) {
            *below = false;
        }
        wanted[depth] |= *shown;
    }
    let rows = tree.into_iter().zip(is_shown).filter(|(_, shown)| *shown);
    rows.map(|((scope, group), _)| Row {
        last: group.tally.of(interval),
        all: group.tally.all,
        indent: 2 * scope.depth(),
        id: RowId::Group(scope),
    })
    .collect()
}
