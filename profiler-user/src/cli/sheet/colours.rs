//! Colours on standard output: how hot a row is, and what changed.

use std::io::{IsTerminal as _, stdout};

use super::super::terminal;

/// Whether standard output takes colours.
pub(in crate::cli) fn on_stdout() -> bool {
    terminal::takes_colours(stdout().is_terminal())
}

/// `text`, coloured by a share in per cent as pyinstrument does.
pub(in crate::cli) fn by_heat(text: &str, percent: f64) -> String {
    let code = match percent {
        hot if hot >= 50.0 => "31",
        warm if warm >= 20.0 => "33",
        some if some >= 5.0 => "32",
        _ => return text.to_owned(),
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// `text`, less bright than what is around it.
pub(in crate::cli) fn dim(text: &str) -> String {
    format!("\x1b[2m{text}\x1b[0m")
}

/// `text`, coloured as more or less than before: red and blue, which hardly anybody mixes up.
pub(super) fn by_change(text: &str, is_more: bool) -> String {
    let code = if is_more { "1;31" } else { "1;34" };
    format!("\x1b[{code}m{text}\x1b[0m")
}
