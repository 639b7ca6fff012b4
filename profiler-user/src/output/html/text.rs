//! Texts that others chose, as the page shows them. Used by the page.

use crate::escape;

/// Characters that are shown: a file that is read back may have longer texts.
const MOST_CHARACTERS: usize = 1_000;

/// A text in which nothing turns or breaks the text around it, and which has an end.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => escape::printable(text.get(..end).unwrap_or_default()) + "…",
        None => escape::printable(text),
    }
}
