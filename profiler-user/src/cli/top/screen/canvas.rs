//! Text at places of the screen, cut where there is no more room for it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::look::Look;

/// A part of the screen to write on.
pub(super) struct Canvas<'b> {
    pub(super) buffer: &'b mut Buffer,
    pub(super) area: Rect,
    pub(super) look: Look,
}

impl Canvas<'_> {
    pub(super) fn height(&self) -> usize {
        self.area.height.into()
    }

    pub(super) fn width(&self) -> usize {
        self.area.width.into()
    }

    /// Another part of the same screen, relative to this one.
    pub(super) fn part(&mut self, x: usize, y: usize, width: usize, height: usize) -> Canvas<'_> {
        let [x, y, width, height] = [x, y, width, height].map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        let area = Rect {
            x: self.area.x.saturating_add(x),
            y: self.area.y.saturating_add(y),
            width,
            height,
        };
        Canvas {
            area: area.intersection(self.area),
            buffer: &mut *self.buffer,
            look: self.look,
        }
    }

    /// Writes a text and returns the column after it.
    pub(super) fn write(&mut self, x: usize, y: usize, text: &str, style: Style) -> usize {
        let room = self.width().saturating_sub(x);
        if room == 0 || y >= self.height() {
            return x;
        }
        let text = cut(text, room, self.look.ellipsis());
        let (left, top) = (to_u16(x), to_u16(y));
        self.buffer
            .set_stringn(self.area.x + left, self.area.y + top, &text, room, style);
        x + text.width()
    }

    /// Writes a text that ends before column `end`.
    pub(super) fn write_right(&mut self, end: usize, y: usize, text: &str, style: Style) {
        let width = text.width().min(end);
        self.write(end - width, y, text, style);
    }

    /// Gives a whole line a style.
    pub(super) fn paint(&mut self, y: usize, style: Style) {
        let line = self.part(0, y, self.width(), 1).area;
        self.buffer.set_style(line, style);
    }
}

fn to_u16(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

/// As much of a text as there is room for, with a mark where something is missing.
pub(super) fn cut(text: &str, room: usize, mark: &str) -> String {
    if text.width() <= room {
        return text.to_owned();
    }
    let mut left = room.saturating_sub(mark.width());
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let has_room = width <= left;
        left = if has_room { left - width } else { 0 };
        has_room
    };
    let mut kept: String = text.chars().take_while(fits).collect();
    if room >= mark.width() {
        kept.push_str(mark);
    }
    kept
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr as _;

    use super::cut;

    #[test]
    fn texts_are_cut_by_the_cells_they_take() {
        for (text, room, expected) in [
            ("fib", 3, "fib"),
            ("fibonacci", 4, "fib…"),
            ("漢字漢字", 8, "漢字漢字"),
            ("漢字漢字", 7, "漢字漢…"),
            ("漢字漢字", 6, "漢字…"),
            ("漢字", 1, "…"),
            ("漢字", 0, ""),
        ] {
            assert_eq!(cut(text, room, "…"), expected, "{text} {room}");
            assert!(expected.width() <= room);
        }
    }
}
