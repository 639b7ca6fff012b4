//! A view for people: a table or a tree.

use super::amounts::amount;
use super::colours::{by_change, by_heat, dim};
use super::rows::{Drawn, Sheet, Table, Value, cut};
use crate::escape::printable;

/// Characters of a column that is not the last, at most.
const WIDEST: usize = 60;

/// The table or the tree, and what is to be said of it.
pub(super) fn of(sheet: &Sheet, colours: bool) -> String {
    let (name, unit) = &sheet.value;
    let total = amount(sheet.total, unit);
    let mut text = match unit.as_str() {
        "count" | "" => format!("{total} {name}\n"),
        "nanoseconds" | "bytes" => format!("{total} of {name}\n"),
        unit => format!("{total} {unit} of {name}\n"),
    };
    text = format!("{}\n", printable(text.trim_end()));
    match &sheet.drawn {
        Some(drawn) => drawn.iter().for_each(|row| push_drawn(row, colours, &mut text)),
        None => push_table(&sheet.table, unit, colours, &mut text),
    }
    if sheet.left_out > 0 {
        let more = match (sheet.drawn.is_some(), sheet.left_out) {
            (true, 1) => "(one call with a smaller share is left out: --min 0 shows it)".to_owned(),
            (true, count) => format!("({count} calls with a smaller share are left out: --min 0 shows them)"),
            (false, 1) => "(one more row: --top)".to_owned(),
            (false, count) => format!("({count} more rows: --top)"),
        };
        text.push_str(&if colours { dim(&more) } else { more });
        text.push('\n');
    }
    for note in &sheet.notes {
        text.push_str(&format!("({})\n", printable(note)));
    }
    text
}

fn push_drawn(row: &Drawn, colours: bool, to: &mut String) {
    let (what, end) = (printable(&row.text), printable(&row.end));
    if colours {
        to.push_str(&format!(
            "{}{}{}\n",
            dim(&row.lines),
            by_heat(&what, row.percent),
            dim(&end)
        ));
    } else {
        to.push_str(format!("{}{what}{end}", row.lines).trim_end());
        to.push('\n');
    }
}

/// The rows in columns, below their titles.
pub(in crate::cli) fn push_table(table: &Table, unit: &str, colours: bool, to: &mut String) {
    let shown: Vec<(usize, &str)> = table
        .columns
        .iter()
        .enumerate()
        .filter_map(|(at, column)| Some((at, column.title?)))
        .collect();
    let cells = |row: &Vec<Value>| -> Vec<String> {
        shown
            .iter()
            .enumerate()
            .map(|(column, (at, _))| {
                let text = row.get(*at).map_or_else(String::new, |value| cell(value, unit));
                let most = if column + 1 == shown.len() {
                    usize::MAX
                } else {
                    WIDEST
                };
                cut(&text, most).into_owned()
            })
            .collect()
    };
    let mut lines = vec![shown.iter().map(|(_, title)| (*title).to_owned()).collect()];
    lines.extend(table.rows.iter().map(cells));
    let width = |column: usize| {
        let widths = lines
            .iter()
            .map(|line: &Vec<String>| line[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..shown.len()).map(width).collect();
    for (number, line) in lines.iter().enumerate() {
        let row = number.checked_sub(1).and_then(|at| table.rows.get(at));
        let padded: Vec<String> = line
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = widths[column];
                let of_first = table.rows.first().and_then(|row| row.get(shown[column].0));
                let cell = match (of_first.is_some_and(is_number), column + 1 == line.len()) {
                    (true, _) => format!("{cell:>width$}"),
                    (false, true) => cell.clone(),
                    (false, false) => format!("{cell:<width$}"),
                };
                match row {
                    _ if !colours => cell,
                    None => dim(&cell),
                    Some(row) => coloured(&cell, column == 0, row.get(shown[column].0), row),
                }
            })
            .collect();
        to.push_str(padded.join("  ").trim_end());
        to.push('\n');
    }
}

/// Changes by themselves; else the beginning of a row by how hot it is, which the first of its shares says.
fn coloured(cell: &str, is_first: bool, value: Option<&Value>, row: &[Value]) -> String {
    let heat = row.iter().find_map(|value| match value {
        Value::Percent(percent) => Some(*percent),
        _ => None,
    });
    match value {
        Some(Value::Points { points, is_marked }) => match is_marked {
            true => by_change(cell, *points > 0.0),
            false => cell.to_owned(),
        },
        Some(Value::Change { amount, is_marked }) => match is_marked {
            true => by_change(cell, *amount > 0),
            false => cell.to_owned(),
        },
        _ if is_first => heat.map_or_else(|| cell.to_owned(), |percent| by_heat(cell, percent)),
        _ => cell.to_owned(),
    }
}

fn is_number(value: &Value) -> bool {
    match value {
        Value::Number(_) | Value::Amount(_) | Value::Percent(_) | Value::Chance(_) => true,
        Value::Points { .. } | Value::Change { .. } => true,
        Value::Text(_) | Value::Texts(_) | Value::Flag(_) | Value::Nothing => false,
    }
}

/// One value, in one line.
fn cell(value: &Value, unit: &str) -> String {
    match value {
        Value::Text(text) => printable(text),
        Value::Number(number) => number.to_string(),
        Value::Amount(number) => amount(*number, unit),
        Value::Percent(percent) => format!("{percent:.1} %"),
        Value::Points { points, .. } if points.abs() < 0.05 => "0.0 ".to_owned(),
        Value::Points { points, is_marked } => format!("{points:+.1}{}", mark(*is_marked)),
        Value::Change {
            amount: of,
            is_marked,
        } => {
            let sign = if *of > 0 { "+" } else { "" };
            format!("{sign}{}{}", amount(*of, unit), mark(*is_marked))
        }
        Value::Chance(chance) => format!("{chance:.1e}"),
        Value::Flag(flag) => flag.to_string(),
        Value::Texts(texts) => printable(&texts.join(", ")),
        Value::Nothing => String::new(),
    }
}

/// What sets a value off where there are no colours.
fn mark(is_marked: bool) -> &'static str {
    if is_marked { "*" } else { " " }
}
