//! One function: its numbers, its last minute, who calls it, what it calls, and its source with what each line took.

use std::collections::HashMap;

use super::super::amounts::Amounts;
use super::super::app::App;
use super::super::columns::{Column, amount};
use super::super::model::{FunctionId, Place};
use super::super::source::SourceText;
use super::canvas::Canvas;
use super::header::sparkline;
use crate::escape::printable;

/// Callers and callees that are shown, at most.
const MOST_CALLS: usize = 6;
/// Cells of a bar of heat.
const BAR: usize = 6;

/// Draws it.
pub(super) fn draw(app: &mut App, canvas: &mut Canvas<'_>, id: FunctionId) {
    app.scrolled = of_function(app, canvas, id);
}

/// Returns how many lines of the source are above the first one that is shown.
fn of_function(app: &App, canvas: &mut Canvas<'_>, id: FunctionId) -> usize {
    let look = canvas.look;
    let model = app.shown();
    let Some((function, known)) = model.function(id) else {
        canvas.write(1, 1, "This function was not seen since the reset.", look.plain());
        return 0;
    };
    let place = Place {
        function: id,
        line: None,
    };
    canvas.write(0, 0, &app.names.of(model, place), look.bold());
    let (last, all) = (known.tally.of(model.interval()), known.tally.all);
    let unit = model.measured.unit();
    let numbers = app.columns().into_iter().filter(|column| *column != Column::Name);
    let numbers = numbers.map(|column| format!("{} {}", column.title(unit), column.text(model, &last, &all)));
    canvas.write(0, 1, &numbers.collect::<Vec<_>>().join("  "), look.plain());
    let width = canvas.width();
    let graph = sparkline(canvas, &model.history(Some(id)), width.saturating_sub(14).min(60));
    let x = canvas.write(0, 2, "Last minute  ", look.faint());
    canvas.write(x, 2, &graph, look.heat(5.0));
    let shown = calls(app, canvas, id, 3);
    let top = 4 + shown;
    let height = canvas.height().saturating_sub(top);
    let file = function.file.as_deref().unwrap_or("no file");
    let mut below = canvas.part(0, top, width, height);
    source(app, &mut below, id, file)
}

/// Two tables side by side; returns how many rows they have.
fn calls(app: &App, canvas: &mut Canvas<'_>, id: FunctionId, y: usize) -> usize {
    let look = canvas.look;
    let model = app.shown();
    let (callers, callees) = model.calls(id);
    let room = canvas.height().saturating_sub(y + 1) / 3;
    let rows = callers.len().max(callees.len()).clamp(1, MOST_CALLS).min(room);
    let half = canvas.width() / 2;
    canvas.paint(y, look.title());
    for (x, title, calls) in [(0, "Called by", callers), (half, "Calls", callees)] {
        let width = if x == 0 {
            half.saturating_sub(1)
        } else {
            canvas.width() - half
        };
        let mut part = canvas.part(x, y, width, rows + 1);
        part.write(0, 0, title, look.title());
        if calls.is_empty() {
            part.write(0, 1, "nothing that was seen", look.faint());
        }
        for (at, (other, amounts)) in (1..).zip(calls.iter().take(rows)) {
            let place = Place {
                function: *other,
                line: None,
            };
            part.write_right(9, at, &amount(amounts.total, model.measured.unit()), look.plain());
            part.write(10, at, &app.names.of(model, place), look.plain());
        }
    }
    rows
}

fn source(app: &App, canvas: &mut Canvas<'_>, id: FunctionId, file: &str) -> usize {
    let look = canvas.look;
    let model = app.shown();
    canvas.paint(0, look.title());
    let unit = model.measured.unit();
    let (own_title, total_title) = (Column::Own.title(unit), Column::Total.title(unit));
    let x = canvas.write(
        0,
        0,
        &format!("  Line {own_title:>8} {total_title:>9} "),
        look.title(),
    );
    canvas.write(x + BAR, 0, &format!(" {}", printable(file)), look.title());
    let (first, lines) = match &app.source {
        SourceText::Lines { first, lines } => (*first, lines.as_slice()),
        SourceText::Missing(why) => {
            canvas.write(1, 1, &format!("no source: {}", printable(why)), look.faint());
            (0, [].as_slice())
        }
        SourceText::Asked => {
            canvas.write(1, 1, "reading the source ...", look.faint());
            (0, [].as_slice())
        }
        SourceText::None => (0, [].as_slice()),
    };
    let taken = taken(app, id);
    let whole = model.function(id).map_or(0, |(_, known)| known.tally.all.total);
    if lines.is_empty() {
        // Without the source, the lines that were seen.
        let mut seen: Vec<(&u32, &Amounts)> = taken.iter().collect();
        seen.sort_unstable_by_key(|(line, _)| **line);
        for (y, (line, amounts)) in (2..canvas.height()).zip(seen) {
            heat(canvas, y, *line, (amounts, whole), (app, ""));
        }
        return 0;
    }
    let room = canvas.height().saturating_sub(1);
    let most = lines.len().saturating_sub(room);
    let offset = app
        .scroll
        .unwrap_or_else(|| hottest_in_sight(&taken, first, room))
        .min(most);
    let shown = (first..).zip(lines).skip(offset);
    for (y, (number, text)) in (1..canvas.height()).zip(shown) {
        let nothing = Amounts::default();
        let amounts = taken.get(&number).unwrap_or(&nothing);
        heat(canvas, y, number, (amounts, whole), (app, text));
    }
    offset
}

/// What each line of the function took.
fn taken(app: &App, id: FunctionId) -> HashMap<u32, Amounts> {
    let lines = app.shown().lines().filter(|(place, _)| place.function == id);
    lines
        .filter_map(|(place, tally)| Some((place.line?, tally.all)))
        .collect()
}

/// From where the hottest line is seen.
fn hottest_in_sight(taken: &HashMap<u32, Amounts>, first: u32, room: usize) -> usize {
    let hottest = taken
        .iter()
        .max_by_key(|(line, amounts)| (amounts.total, std::cmp::Reverse(**line)));
    let hottest = hottest.map_or(0, |(line, _)| line.saturating_sub(first) as usize);
    if hottest < room { 0 } else { hottest - room / 2 }
}

fn heat(
    canvas: &mut Canvas<'_>,
    y: usize,
    line: u32,
    (amounts, whole): (&Amounts, u64),
    (app, text): (&App, &str),
) {
    let look = canvas.look;
    let unit = app.shown().measured.unit();
    canvas.write_right(6, y, &line.to_string(), look.faint());
    let share = if whole > 0 {
        amounts.total as f64 / whole as f64
    } else {
        0.0
    };
    let style = look.heat(share * 100.0);
    for (end, value) in [(15, amounts.own), (25, amounts.total)] {
        if value > 0 {
            canvas.write_right(end, y, &amount(value, unit), style);
        }
    }
    let x = canvas.write(26, y, &look.long_bar(share, BAR), style);
    canvas.write(
        x + 1,
        y,
        text,
        if amounts.total > 0 {
            look.bold()
        } else {
            look.plain()
        },
    );
}
