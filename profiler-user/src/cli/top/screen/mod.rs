//! Draws the state of `top`: header, table, what lies over it, and a line of keys. Pure: it draws into a buffer.

mod canvas;
mod details;
mod footer;
mod header;
mod help;
mod look;
mod table;
#[cfg(test)]
mod tests;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use self::canvas::Canvas;
pub(super) use self::look::Look;
use super::app::{App, Over};

/// Below this height the header is short.
const SHORT: usize = 16;

/// Draws everything.
pub(super) fn draw(app: &mut App, buffer: &mut Buffer, area: Rect, look: Look) {
    let mut canvas = Canvas { buffer, area, look };
    let (width, height) = (canvas.width(), canvas.height());
    if width == 0 || height == 0 {
        return;
    }
    let top = header::draw(app, &mut canvas, height < SHORT);
    let bottom = height.saturating_sub(1).max(top);
    let mut middle = canvas.part(0, top, width, bottom - top);
    match app.over {
        Over::Help => help::draw(app, &mut middle),
        Over::Details(function) => details::draw(app, &mut middle, function),
        Over::Nothing => table::draw(app, &mut middle),
    }
    if bottom > top {
        footer::draw(app, &mut canvas.part(0, bottom, width, 1));
    }
}

/// The table as lines of text: what is left on the terminal when a program has ended.
pub(super) fn text(app: &mut App, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    let look = Look {
        colours: false,
        unicode: true,
    };
    let mut canvas = Canvas {
        buffer: &mut buffer,
        area,
        look,
    };
    let top = header::draw(app, &mut canvas, false);
    let (width, height) = (canvas.width(), canvas.height());
    table::draw(app, &mut canvas.part(0, top, width, height.saturating_sub(top)));
    lines(&buffer)
}

/// What is written in a buffer, without the spaces at the ends of lines and the empty lines at its end.
fn lines(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width).max(1);
    let mut text = String::new();
    for line in buffer.content().chunks(width) {
        let mut row = String::new();
        // The second cell of a wide character has nothing in it.
        let mut covered = 0;
        for cell in line {
            if covered == 0 {
                row.push_str(cell.symbol());
                covered = unicode_width::UnicodeWidthStr::width(cell.symbol()).max(1);
            }
            covered -= 1;
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    format!("{}\n", text.trim_end())
}
