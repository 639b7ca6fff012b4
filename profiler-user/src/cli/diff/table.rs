//! The comparison as a table: for people, for programs, for spreadsheets.

use ahash::RandomState;
use indexmap::IndexMap;
use serde::Serialize;

use super::super::failure::Failure;
use super::super::sheet::{self, Column, Table, Value, ViewForm, amount, push_table};
use super::super::terminal::counted;
use super::args::{Args, View};
use super::growth::{Growth, growths};
use super::pair::{Pair, named};
use crate::escape::printable;
use crate::output::ShortNames;
use crate::profile::{Frame, FrameKind, Owner};
use crate::views::{Compared, ComparedRow, Comparison, Function, Grouping, Scale};

/// Numbers that every row has, of shares: what people see is what changed, in percentage points.
macro_rules! numbers {
    (shares, $($more:expr),*) => {
        &[
            Column::both("own_change_percent", "own"),
            Column::both("own_percent_before", "before"),
            Column::both("own_percent_after", "after"),
            Column::data("own_change"),
            Column::data("own_before"),
            Column::data("own_after"),
            Column::data("own_chance"),
            Column::data("own_significant"),
            Column::both("total_change_percent", "total"),
            Column::both("total_percent_before", "before"),
            Column::both("total_percent_after", "after"),
            Column::data("total_change"),
            Column::data("total_before"),
            Column::data("total_after"),
            Column::data("total_chance"),
            Column::data("total_significant"),
            $($more),*
        ]
    };
    (absolute, $($more:expr),*) => {
        &[
            Column::data("own_change_percent"),
            Column::data("own_percent_before"),
            Column::data("own_percent_after"),
            Column::both("own_change", "own"),
            Column::both("own_before", "before"),
            Column::both("own_after", "after"),
            Column::data("own_chance"),
            Column::data("own_significant"),
            Column::data("total_change_percent"),
            Column::data("total_percent_before"),
            Column::data("total_percent_after"),
            Column::both("total_change", "total"),
            Column::both("total_before", "before"),
            Column::both("total_after", "after"),
            Column::data("total_chance"),
            Column::data("total_significant"),
            $($more),*
        ]
    };
}
macro_rules! of_functions {
    ($scale:ident) => {
        numbers!(
            $scale,
            Column::both("function", "function"),
            Column::people("file:line"),
            Column::data("file"),
            Column::data("line"),
            Column::data("module"),
            Column::data("owner")
        )
    };
}
const FUNCTIONS: &[Column] = of_functions!(shares);
const FUNCTIONS_ABSOLUTE: &[Column] = of_functions!(absolute);
const GROUPS: &[Column] = numbers!(shares, Column::both("group", "group"));
const GROUPS_ABSOLUTE: &[Column] = numbers!(absolute, Column::both("group", "group"));

/// The comparison as it is shown.
#[derive(Debug)]
pub(super) struct Shown {
    view: &'static str,
    files: [String; 2],
    /// Name and unit.
    value: (String, String),
    scale: Scale,
    pub(super) totals: [i64; 2],
    pub(super) samples: Option<[i64; 2]>,
    table: Table,
    left_out: usize,
    /// What grew, the largest first.
    pub(super) growths: Vec<Growth>,
    notes: Vec<String>,
}

/// Makes the table.
pub(super) fn of(args: &Args, pair: &Pair, comparison: &Comparison<'_>) -> Result<Shown, Failure> {
    let scale = args.scale();
    let writer = Writer { comparison, scale };
    let (view, columns, rows, found, growths) = match args.view() {
        View::Functions => {
            let rows = comparison.functions();
            let places = Places::of(args, pair, comparison);
            let found = Found::of(&rows, comparison);
            let growths = growths(&rows, comparison, |what| places.text(what, what.first_line));
            let values = |row: &ComparedRow<Function<'_>>| places.values(&row.what, row.what.first_line);
            let rows: Vec<_> = rows.iter().map(|row| writer.row(row, values(row))).collect();
            ("functions", [FUNCTIONS, FUNCTIONS_ABSOLUTE], rows, found, growths)
        }
        View::Lines => {
            let rows = comparison.lines();
            let places = Places::of(args, pair, comparison);
            let found = Found::of(&rows, comparison);
            let growths = growths(&rows, comparison, |(what, line)| places.text(what, *line));
            let values =
                |row: &ComparedRow<(Function<'_>, Option<u32>)>| places.values(&row.what.0, row.what.1);
            let rows: Vec<_> = rows.iter().map(|row| writer.row(row, values(row))).collect();
            ("lines", [FUNCTIONS, FUNCTIONS_ABSOLUTE], rows, found, growths)
        }
        View::By(what) => {
            let by = groupings(what, pair);
            let rows = comparison.groups(by.each_ref());
            let rows = rows.map_err(|error| super::super::input::explain_groups(&error))?;
            let found = Found::of(&rows, comparison);
            let group = |group: &Option<String>| group.clone().unwrap_or_else(|| format!("(no {what})"));
            let growths = growths(&rows, comparison, group);
            let text = |row: &ComparedRow<Option<String>>| vec![Value::Text(group(&row.what))];
            let rows: Vec<_> = rows.iter().map(|row| writer.row(row, text(row))).collect();
            ("by", [GROUPS, GROUPS_ABSOLUTE], rows, found, growths)
        }
    };
    let columns = columns[usize::from(scale == Scale::Absolute)];
    let left_out = rows.len().saturating_sub(args.top);
    let value = pair.value();
    Ok(Shown {
        view,
        files: args.file_names(),
        value: (value.name.clone(), value.unit.clone()),
        scale,
        totals: comparison.totals(),
        samples: comparison.samples(),
        table: Table {
            columns,
            rows: rows.into_iter().take(args.top).collect(),
        },
        left_out,
        growths,
        notes: notes(args, comparison, &found),
    })
}

/// By what samples are summed in each: processes and threads have other numbers in the second recording, so their names say
/// which are the same.
fn groupings(what: &str, pair: &Pair) -> [Grouping; 2] {
    let label = match what {
        "process" => "command",
        "thread" => "thread",
        _ => return [Grouping::named(what), Grouping::named(what)],
    };
    pair.loaded.each_ref().map(|loaded| {
        if loaded.has_label(label) {
            Grouping::Label(label.to_owned())
        } else {
            Grouping::named(what)
        }
    })
}

/// What there is to say at the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Found {
    rows: u64,
    grew: usize,
    shrank: usize,
}

impl Found {
    fn of<W>(rows: &[ComparedRow<W>], comparison: &Comparison<'_>) -> Self {
        let changes: Vec<f64> = rows
            .iter()
            .filter_map(|row| [row.own, row.total].into_iter().find(Compared::is_significant))
            .map(|of| comparison.change(&of))
            .collect();
        let grew = changes.iter().filter(|change| **change > 0.0).count();
        Self {
            rows: rows.len() as u64,
            grew,
            shrank: changes.len() - grew,
        }
    }
}

fn notes(args: &Args, comparison: &Comparison<'_>, found: &Found) -> Vec<String> {
    let mut notes = Vec::new();
    for (total, name) in comparison.totals().into_iter().zip(args.file_names()) {
        if total == 0 {
            notes.push(format!("{} has no samples", named(&name)));
        }
    }
    if comparison.samples().is_none() {
        notes.push(
            "the files do not say how many samples these values stand for, so nobody can say which changes are more than chance"
                .to_owned(),
        );
    } else if found.grew + found.shrank == 0 {
        notes.push("chance explains every change; longer recordings show smaller ones".to_owned());
    } else {
        notes.push(format!(
            "{} grew and {} shrank by more than chance explains, of {}",
            found.grew,
            found.shrank,
            counted(found.rows, "row", "rows")
        ));
    }
    notes
}

/// Rows of values.
struct Writer<'c, 'l> {
    comparison: &'c Comparison<'l>,
    scale: Scale,
}

impl Writer<'_, '_> {
    fn row<W>(&self, row: &ComparedRow<W>, end: impl IntoIterator<Item = Value>) -> Vec<Value> {
        let numbers = [row.own, row.total].into_iter().flat_map(|of| self.numbers(&of));
        numbers.chain(end).collect()
    }

    fn numbers(&self, of: &Compared) -> [Value; 8] {
        let rounded = |number: f64| (number * 100.0).round() / 100.0;
        let [before, after] = self.comparison.percent(of).map(rounded);
        let is_marked = of.is_significant();
        [
            Value::Points {
                points: rounded(self.comparison.change(of)),
                is_marked: is_marked && self.scale == Scale::Shares,
            },
            Value::Percent(before),
            Value::Percent(after),
            Value::Change {
                amount: of.after.saturating_sub(of.before),
                is_marked,
            },
            Value::Amount(of.before),
            Value::Amount(of.after),
            of.chance.map_or(Value::Nothing, Value::Chance),
            of.chance.map_or(Value::Nothing, |_| Value::Flag(is_marked)),
        ]
    }
}

/// Where functions are.
struct Places<'l> {
    frames: IndexMap<Function<'l>, &'l Frame, RandomState>,
    names: Option<ShortNames<'l>>,
}

impl<'l> Places<'l> {
    fn of(args: &Args, pair: &'l Pair, comparison: &Comparison<'l>) -> Self {
        let frames = pair.loaded.iter().flat_map(|loaded| &loaded.frames);
        Self {
            frames: comparison.frames(),
            names: (!args.full_filenames).then(|| ShortNames::of(frames)),
        }
    }

    /// `file:line`, with what is known of both.
    fn place(&self, function: &Function<'_>, line: Option<u32>) -> String {
        let file = self.frames.get(function).and_then(|frame| match &self.names {
            Some(names) => names.get(frame),
            None => frame.file.as_deref(),
        });
        let file = file
            .or(function.module)
            .filter(|_| function.kind != FrameKind::Marker);
        match (file, line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (file, _) => file.unwrap_or_default().to_owned(),
        }
    }

    /// What people call it, in a sentence.
    fn text(&self, function: &Function<'_>, line: Option<u32>) -> String {
        match self.place(function, line) {
            place if place.is_empty() => function.name.to_owned(),
            place => format!("{} ({place})", function.name),
        }
    }

    /// The values of the columns `function`, `file:line`, `file`, `line`, `module`, `owner`.
    fn values(&self, function: &Function<'_>, line: Option<u32>) -> Vec<Value> {
        let frame = self.frames.get(function).copied();
        let place = self.place(function, line);
        vec![
            Value::Text(function.name.to_owned()),
            Value::Text(place),
            Value::text(function.file),
            Value::number(line),
            Value::text(function.module),
            Value::text(frame.map(|frame| Owner::of(frame).label())),
        ]
    }
}

#[derive(Serialize)]
struct Document<'s> {
    /// Of this description; changes when a program that reads it must change.
    version: u32,
    view: &'s str,
    before: Whole<'s>,
    after: Whole<'s>,
    value: ValueType<'s>,
    scale: &'s str,
    rows: &'s Table,
    left_out: usize,
    notes: &'s [String],
}

#[derive(Serialize)]
struct Whole<'s> {
    file: &'s str,
    total: i64,
    samples: Option<i64>,
}

#[derive(Serialize)]
struct ValueType<'s> {
    name: &'s str,
    unit: &'s str,
}

/// The table in this form.
pub(super) fn written(shown: &Shown, form: ViewForm, colours: bool) -> Result<String, Failure> {
    match form {
        ViewForm::Text => Ok(text(shown, colours)),
        ViewForm::Csv => Ok(sheet::csv(&shown.table)),
        ViewForm::Json => {
            let whole = |side: usize| Whole {
                file: &shown.files[side],
                total: shown.totals[side],
                samples: shown.samples.map(|samples| samples[side]),
            };
            sheet::printed(&Document {
                version: 1,
                view: shown.view,
                before: whole(0),
                after: whole(1),
                value: ValueType {
                    name: &shown.value.0,
                    unit: &shown.value.1,
                },
                scale: match shown.scale {
                    Scale::Shares => "shares",
                    Scale::Absolute => "absolute",
                },
                rows: &shown.table,
                left_out: shown.left_out,
                notes: &shown.notes,
            })
        }
    }
}

fn text(shown: &Shown, colours: bool) -> String {
    let (name, unit) = &shown.value;
    let whole = |side: usize| {
        format!(
            "{} in {}",
            amount(shown.totals[side], unit),
            named(&shown.files[side])
        )
    };
    let what = match unit.as_str() {
        "count" | "nanoseconds" | "bytes" | "" => name.clone(),
        unit => format!("{name} ({unit})"),
    };
    let mut text = format!("{}: {}, {}\n", printable(&what), whole(0), whole(1));
    text.push_str(match shown.scale {
        Scale::Shares => {
            "shares of each recording, changes in percentage points; * is more than chance explains\n"
        }
        Scale::Absolute => "* is more than chance explains\n",
    });
    push_table(&shown.table, unit, colours, &mut text);
    if shown.left_out > 0 {
        let more = match shown.left_out {
            1 => "(one more row: --top)".to_owned(),
            count => format!("({count} more rows: --top)"),
        };
        text.push_str(&if colours { sheet::dim(&more) } else { more });
        text.push('\n');
    }
    for note in &shown.notes {
        text.push_str(&format!("({})\n", printable(note)));
    }
    text
}
