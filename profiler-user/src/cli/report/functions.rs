//! Tables of functions, of callers and callees, and of groups.

use super::super::failure::Failure;
use super::super::input;
use super::super::sheet::{Column, Sheet, Table, Value, percent};
use super::args::Args;
use crate::output::ShortNames;
use crate::profile::{FrameKind, Owner};
use crate::views::{
    CallRow, CallsError, FunctionId, Functions, Grouping, Selection, Tally, callees as callees_of,
    callers as callers_of, groups as groups_of, hot_functions,
};

const FUNCTIONS: &[Column] = &[
    Column::both("own_percent", "own %"),
    Column::both("own", "own"),
    Column::both("total_percent", "total %"),
    Column::both("total", "total"),
    Column::both("function", "function"),
    Column::people("file:line"),
    Column::data("file"),
    Column::data("line"),
    Column::data("module"),
    Column::data("owner"),
];
const CALLS: &[Column] = &[
    Column::both("percent", "share"),
    Column::both("amount", "amount"),
    Column::both("function", "function"),
    Column::people("file:line"),
    Column::data("file"),
    Column::data("line"),
    Column::data("module"),
    Column::data("owner"),
];
const GROUPS: &[Column] = &[
    Column::both("own_percent", "own %"),
    Column::both("own", "own"),
    Column::both("total_percent", "total %"),
    Column::both("total", "total"),
    Column::both("group", "group"),
];
const LABEL_GROUPS: &[Column] = &[
    Column::both("percent", "share"),
    Column::both("amount", "amount"),
    Column::both("group", "group"),
];

/// Functions as they are shown.
pub(super) struct Shown<'a, 'l> {
    pub(super) functions: &'a Functions<'l>,
    names: Option<ShortNames<'l>>,
}

impl<'a, 'l> Shown<'a, 'l> {
    pub(super) fn new(args: &Args, selection: &Selection<'l>, functions: &'a Functions<'l>) -> Self {
        Self {
            functions,
            names: (!args.full_filenames).then(|| ShortNames::of(&selection.loaded().frames)),
        }
    }

    /// The file, short unless whole paths were asked for; the library of code without a file.
    pub(super) fn file(&self, id: FunctionId) -> Option<String> {
        let frame = self.functions.frame(id);
        let file = match &self.names {
            Some(names) => names.get(frame),
            None => frame.file.as_deref(),
        };
        let file = file.or(frame.module.as_deref());
        file.filter(|_| frame.kind != FrameKind::Marker)
            .map(str::to_owned)
    }

    /// `file:line`, with what is known of both.
    pub(super) fn place(&self, id: FunctionId, line: Option<u32>) -> String {
        match (self.file(id), line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            (file, _) => file.unwrap_or_default(),
        }
    }

    /// The values of the columns `function`, `file:line`, `file`, `line`, `module`, `owner`.
    pub(super) fn values(&self, id: FunctionId, line: Option<u32>) -> [Value; 6] {
        let function = self.functions.get(id);
        [
            Value::Text(function.name.to_owned()),
            Value::Text(self.place(id, line)),
            Value::text(function.file),
            Value::number(line),
            Value::text(function.module),
            Value::Text(Owner::of(self.functions.frame(id)).label().to_owned()),
        ]
    }
}

/// Own and total, each as a share and as an amount.
pub(super) fn tally_values(tally: Tally, total: i64) -> [Value; 4] {
    [
        Value::Percent(percent(tally.own, total)),
        Value::Amount(tally.own),
        Value::Percent(percent(tally.total, total)),
        Value::Amount(tally.total),
    ]
}

/// A sheet without rows.
pub(super) fn sheet(
    view: &'static str,
    columns: &'static [Column],
    selection: &Selection<'_>,
    total: i64,
) -> Sheet {
    let value = selection.value_type();
    Sheet {
        view,
        files: Vec::new(),
        value: (value.name.clone(), value.unit.clone()),
        total,
        table: Table {
            columns,
            rows: Vec::new(),
        },
        drawn: None,
        left_out: 0,
        notes: Vec::new(),
    }
}

/// `--functions`.
pub(super) fn hot(args: &Args, selection: &Selection<'_>) -> Sheet {
    let functions = Functions::of(&selection.loaded().frames);
    let shown = Shown::new(args, selection, &functions);
    let mut sheet = sheet("functions", FUNCTIONS, selection, selection.total());
    let rows = hot_functions(selection, &functions);
    sheet.left_out = rows.len().saturating_sub(args.top);
    for row in rows.into_iter().take(args.top) {
        let numbers = tally_values(row.tally, sheet.total);
        let line = functions.get(row.function).first_line;
        sheet.table.rows.push(
            numbers
                .into_iter()
                .chain(shown.values(row.function, line))
                .collect(),
        );
    }
    sheet
}

/// `--callers`.
pub(super) fn callers(args: &Args, selection: &Selection<'_>, name: &str) -> Result<Sheet, Failure> {
    let functions = Functions::of(&selection.loaded().frames);
    let rows = callers_of(selection, &functions, name).map_err(|error| explain_calls(&error))?;
    let (none, about) = ("(nobody: outermost)", format!("callers of {name}"));
    Ok(calls(
        args,
        ("callers", none, about),
        selection,
        &functions,
        &rows,
    ))
}

/// `--callees`.
pub(super) fn callees(args: &Args, selection: &Selection<'_>, name: &str) -> Result<Sheet, Failure> {
    let functions = Functions::of(&selection.loaded().frames);
    let rows = callees_of(selection, &functions, name).map_err(|error| explain_calls(&error))?;
    let (none, about) = ("(itself)", format!("what {name} calls"));
    Ok(calls(
        args,
        ("callees", none, about),
        selection,
        &functions,
        &rows,
    ))
}

fn calls(
    args: &Args,
    (view, none, about): (&'static str, &str, String),
    selection: &Selection<'_>,
    functions: &Functions<'_>,
    rows: &[CallRow],
) -> Sheet {
    let shown = Shown::new(args, selection, functions);
    let total = rows.iter().fold(0i64, |sum, row| sum.saturating_add(row.value));
    let mut sheet = sheet(view, CALLS, selection, total);
    sheet.left_out = rows.len().saturating_sub(args.top);
    let of_all = percent(total, selection.total());
    sheet.notes.push(format!("{about}; it took {of_all:.1} % of all"));
    for row in rows.iter().take(args.top) {
        let numbers = [
            Value::Percent(percent(row.value, total)),
            Value::Amount(row.value),
        ];
        let values = match row.function {
            Some(function) => shown.values(function, functions.get(function).first_line),
            None => [
                Value::Text(none.to_owned()),
                Value::Nothing,
                Value::Nothing,
                Value::Nothing,
                Value::Nothing,
                Value::Nothing,
            ],
        };
        sheet.table.rows.push(numbers.into_iter().chain(values).collect());
    }
    sheet
}

/// `--by`.
pub(super) fn groups(args: &Args, selection: &Selection<'_>, what: &str) -> Result<Sheet, Failure> {
    let by = Grouping::named(what);
    let rows = groups_of(selection, &by).map_err(|error| input::explain_groups(&error))?;
    let is_by_frames = matches!(by, Grouping::Module | Grouping::Owner);
    let columns = if is_by_frames { GROUPS } else { LABEL_GROUPS };
    let mut sheet = sheet("by", columns, selection, selection.total());
    sheet.left_out = rows.len().saturating_sub(args.top);
    for row in rows.into_iter().take(args.top) {
        let group = row.group.unwrap_or_else(|| format!("(no {})", by.name()));
        let numbers = tally_values(row.tally, sheet.total);
        let numbers = numbers.into_iter().take(if is_by_frames { 4 } else { 2 });
        sheet
            .table
            .rows
            .push(numbers.chain([Value::Text(group)]).collect());
    }
    Ok(sheet)
}

fn explain_calls(error: &CallsError) -> Failure {
    let CallsError::NoSuchFunction { similar, .. } = error;
    let failure = Failure::new(error);
    match similar.as_slice() {
        [] => failure.hint("pyebpf report FILE --functions   (lists the functions)"),
        similar => failure.hint(format_args!(
            "functions with that in their names: {}",
            similar.join(", ")
        )),
    }
}
