//! The page that says what there is.

use super::super::app::App;
use super::canvas::Canvas;
use crate::escape::printable;

const LINES: &[(&str, &str)] = &[
    (
        "%Own",
        "share of one CPU that the function itself took in the last second",
    ),
    ("%Total", "the same with all that it called"),
    ("OwnTime", "what the function itself took so far"),
    ("TotalTime", "the same with all that it called"),
    ("%GIL", "of %Total: while its thread held the GIL"),
    ("%Wait", "of %Total: off the CPU (--mode wall)"),
    ("%Native", "of %Total: in code that is not Python (--native)"),
    ("", ""),
    (
        "1 2 3 4 ...",
        "sort by this column; once more: the other way round",
    ),
    (
        "< >",
        "sort by the column to the left or right; i turns the order round",
    ),
    ("Up Down PgUp PgDn", "select a row (also j, k, Home, End)"),
    (
        "Enter",
        "callers, callees and source; of a process: only its functions",
    ),
    ("Esc", "back: selection, filter, restriction to a process"),
    ("Tab", "functions, or containers with their processes and threads"),
    ("L", "functions, or their lines"),
    ("/", "show only rows that contain a text"),
    ("Space", "hold the screen; sampling goes on"),
    ("R", "forget what was sampled"),
    ("s", "save what was sampled, in any format"),
    ("q Ctrl-C", "quit"),
];

/// Draws it.
pub(super) fn draw(app: &App, canvas: &mut Canvas<'_>) {
    let look = canvas.look;
    // Refused interpreters matter most, and there are hardly ever any.
    let refused = app.health.refusals.iter();
    let refused = refused.map(|text| ("Not shown", printable(text)));
    let lines = LINES.iter().map(|(key, what)| (*key, (*what).to_owned()));
    for (y, (key, what)) in (0..canvas.height()).zip(refused.chain(lines)) {
        canvas.write(1, y, key, look.key());
        canvas.write(20, y, &what, look.plain());
    }
}
