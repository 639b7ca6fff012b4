//! The table: titles of columns, and rows.

use super::super::app::{App, View};
use super::super::columns::Column;
use super::super::model::Model;
use super::super::rows::{Row, RowId};
use super::canvas::Canvas;
use crate::escape::printable;

/// The narrowest room for names; columns beyond py-spy's go first.
const LEAST_NAME: usize = 24;

/// Draws it.
pub(super) fn draw(app: &mut App, canvas: &mut Canvas<'_>) {
    app.room = canvas.height().saturating_sub(1);
    app.refresh();
    let columns = fitting(&app.columns(), canvas.width());
    titles(app, canvas, &columns);
    if app.rows.is_empty() {
        let (text, style) = (nothing(app), canvas.look.plain());
        for (y, line) in (2..).zip(text.lines()) {
            canvas.write(1, y, line, style);
        }
        return;
    }
    let model = app.shown();
    let selected = app.position();
    for (y, row) in (1..=app.room).zip(app.rows.iter().skip(app.offset)) {
        draw_row(app, model, canvas, &columns, (y, row));
        if selected == Some(app.offset + y - 1) {
            let style = canvas.look.selected();
            canvas.paint(y, style);
        }
    }
}

/// As many columns as there is room for, and the names.
fn fitting(columns: &[Column], width: usize) -> Vec<Column> {
    let mut columns = columns.to_vec();
    let taken = |columns: &[Column]| columns.iter().map(|column| column.width() + 1).sum::<usize>();
    while columns.len() > 2 && taken(&columns) + LEAST_NAME > width {
        columns.remove(columns.len() - 2);
    }
    columns
}

fn titles(app: &App, canvas: &mut Canvas<'_>, columns: &[Column]) {
    let look = canvas.look;
    canvas.paint(0, look.title());
    let order = app.order();
    let mut x = 0;
    for column in columns {
        let style = if *column == order.column {
            look.sorted_title()
        } else {
            look.title()
        };
        if *column == Column::Name {
            let title = match (app.view, app.by_line) {
                (View::Places, false) => "Function (file:line)",
                (View::Places, true) => "Line: function (file:line)",
                (View::Groups, _) => "Container, process, thread",
            };
            canvas.write(x, 0, title, style);
        } else {
            let title = column.title(app.shown().measured.unit());
            canvas.write_right(x + column.width(), 0, title, style);
            x += column.width() + 1;
        }
    }
}

fn draw_row(app: &App, model: &Model, canvas: &mut Canvas<'_>, columns: &[Column], (y, row): (usize, &Row)) {
    let look = canvas.look;
    let is_idle = model.percent(row.last.total) < 0.005;
    let mut x = 0;
    for column in columns {
        if *column == Column::Name {
            let style = if is_idle { look.faint() } else { look.plain() };
            canvas.write(x + row.indent, y, &name(app, model, row), style);
            continue;
        }
        let text = column.text(model, &row.last, &row.all);
        let style = match column {
            Column::OwnPercent | Column::TotalPercent => {
                look.heat(model.percent(column.value(&row.last, &row.all)))
            }
            _ => look.plain(),
        };
        canvas.write_right(x + column.width(), y, &text, style);
        x += column.width() + 1;
    }
}

fn name(app: &App, model: &Model, row: &Row) -> String {
    match &row.id {
        RowId::Place(place) => app.names.of(model, *place),
        RowId::Group(scope) => printable(model.groups.name(scope).unwrap_or_default()),
    }
}

/// Why there are no rows.
fn nothing(app: &App) -> &'static str {
    if !app.filter.is_empty() {
        "Nothing fits the filter. Press Esc to show all."
    } else if app.health.processes == 0 && app.shown().samples == 0 {
        "No Python interpreter found yet: waiting for one."
    } else if app.shown().samples == 0 {
        "No samples yet: the Python processes have not used a CPU since the start.\n\
         To see what they wait for, start with --mode wall."
    } else {
        "No samples yet."
    }
}
