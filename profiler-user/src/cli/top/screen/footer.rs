//! The last line: keys, what is typed, or what was done last.

use super::super::app::{App, Over, Typing};
use super::canvas::{Canvas, cut};
use crate::escape::printable;

const KEYS: &[(&str, &str)] = &[
    ("q", "Quit"),
    ("?", "Help"),
    ("Tab", "Tree"),
    ("Enter", "Details"),
    ("/", "Filter"),
    ("Space", "Pause"),
    ("1-4", "Sort"),
    ("L", "Lines"),
    ("R", "Reset"),
    ("s", "Save"),
];
const KEYS_OF_DETAILS: &[(&str, &str)] = &[
    ("Esc", "Back"),
    ("Up/Down", "Scroll"),
    ("Space", "Pause"),
    ("s", "Save"),
    ("q", "Quit"),
];
const KEYS_OF_HELP: &[(&str, &str)] = &[("any key", "Back"), ("q", "Quit")];

/// Draws it.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    let prompt = match &app.typing {
        Typing::Nothing => None,
        Typing::Filter => Some((
            "Filter: ",
            app.filter.as_str(),
            "  (Enter keeps it, Esc shows all)",
        )),
        Typing::FileName(name) => Some(("Save as: ", name.as_str(), "  (Tab: another format)")),
    };
    if let Some((what, text, hint)) = prompt {
        let x = canvas.write(0, 0, what, look.key());
        let text = printable(text);
        let x = canvas.write(x, 0, &text, look.plain());
        let x = canvas.write(x, 0, " ", look.selected());
        canvas.write(x, 0, hint, look.faint());
        return;
    }
    if let Some(message) = &app.message {
        let text = cut(&printable(message), canvas.width(), look.ellipsis());
        canvas.write(0, 0, &text, look.alert());
        return;
    }
    let keys = match app.over {
        Over::Help => KEYS_OF_HELP,
        Over::Details(_) => KEYS_OF_DETAILS,
        Over::Nothing => KEYS,
    };
    let mut x = 0;
    for (key, what) in keys {
        // Half a word says nothing.
        if x + key.len() + what.len() + 1 > canvas.width() {
            break;
        }
        x = canvas.write(x, 0, key, look.key());
        x = canvas.write(x + 1, 0, what, look.plain()) + 2;
    }
}
