//! A view for people: a table or a tree.

use super::amounts::amount;
use super::colours::{by_heat, dim};
use super::sheet::{Drawn, Sheet, Value, cut};
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
        None => push_table(sheet, colours, &mut text),
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

fn push_table(sheet: &Sheet, colours: bool, to: &mut String) {
    let shown: Vec<(usize, &str)> = sheet
        .columns
        .iter()
        .enumerate()
        .filter_map(|(at, column)| Some((at, column.title?)))
        .collect();
    let unit = sheet.value.1.as_str();
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
    lines.extend(sheet.rows.iter().map(cells));
    let width = |column: usize| {
        let widths = lines
            .iter()
            .map(|line: &Vec<String>| line[column].chars().count());
        widths.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..shown.len()).map(width).collect();
    for (number, line) in lines.iter().enumerate() {
        // Of the values that are shares the first one says how hot a row is.
        let heat = number.checked_sub(1).and_then(|at| {
            sheet.rows[at].iter().find_map(|value| match value {
                Value::Percent(percent) => Some(*percent),
                _ => None,
            })
        });
        let padded: Vec<String> = line
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = widths[column];
                let is_number = sheet
                    .rows
                    .first()
                    .and_then(|row| row.get(shown[column].0))
                    .is_some_and(|value| {
                        matches!(value, Value::Number(_) | Value::Amount(_) | Value::Percent(_))
                    });
                let cell = match (is_number, column + 1 == line.len()) {
                    (true, _) => format!("{cell:>width$}"),
                    (false, true) => cell.clone(),
                    (false, false) => format!("{cell:<width$}"),
                };
                match heat {
                    Some(percent) if colours && column == 0 => by_heat(&cell, percent),
                    _ if colours && number == 0 => dim(&cell),
                    _ => cell,
                }
            })
            .collect();
        to.push_str(padded.join("  ").trim_end());
        to.push('\n');
    }
}

/// One value, in one line.
fn cell(value: &Value, unit: &str) -> String {
    match value {
        Value::Text(text) => printable(text),
        Value::Number(number) => number.to_string(),
        Value::Amount(number) => amount(*number, unit),
        Value::Percent(percent) => format!("{percent:.1} %"),
        Value::Texts(texts) => printable(&texts.join(", ")),
        Value::Nothing => String::new(),
    }
}
