//! Text that a target chose, made safe for a line of text or an XML document. Used by the folded formats and titles;
//! JSON brings its own escaping.

use crate::escape::{is_unprintable, push_escaped};

/// `text` as one frame of a folded line.
///
/// Written as in a Python string literal, so nothing is lost and `unicode_escape` reads it back: backslash as `\\`;
/// line feed, return and tab as `\n`, `\r`, `\t`; `;` as `\x3b`; other control characters, line separators,
/// text-direction overrides and what XML forbids as `\xNN` or `\uNNNN`. Tools trim white space at both ends, take a
/// leading `#` for a comment and a second number before the count for a difference, so those too: white space at an
/// end, a leading `#`, and the space before a last word that is a number.
pub(super) fn folded(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let last = text.char_indices().next_back().map(|(at, _)| at);
    let before_number = space_before_number(text);
    for (at, c) in text.char_indices() {
        let at_an_end = at == 0 || Some(at) == last;
        match c {
            '\\' => escaped.push_str("\\\\"),
            ';' => push_escaped(&mut escaped, c),
            '#' if at == 0 => push_escaped(&mut escaped, c),
            _ if is_unprintable(c) || (at_an_end && c.is_whitespace()) || Some(at) == before_number => {
                push_escaped(&mut escaped, c);
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// Where the space is that separates a number at the end of `text` from the rest.
fn space_before_number(text: &str) -> Option<usize> {
    let space = text.rfind(' ')?;
    let word = &text[space + 1..];
    (!word.is_empty() && word.chars().all(|c| c.is_ascii_digit() || c == '.')).then_some(space)
}

/// The inverse of [`folded`], by the rules of Python string literals.
#[cfg(test)]
pub(super) fn unfolded(text: &str) -> String {
    fn code_point(rest: &mut std::str::Chars<'_>, digits: usize) -> char {
        let number: String = rest.take(digits).collect();
        let code = u32::from_str_radix(&number, 16).expect("hexadecimal digits");
        char::from_u32(code).expect("a code point")
    }
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('x') => code_point(&mut rest, 2),
                Some('u') => code_point(&mut rest, 4),
                other => other.expect("a backslash is never last"),
            },
            c => c,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{folded, unfolded};

    #[test]
    fn what_separates_stacks_frames_and_counts_is_escaped() {
        assert_eq!(folded("main (a.py:3)"), "main (a.py:3)");
        assert_eq!(folded("a;b\nc"), "a\\x3bb\\nc");
        assert_eq!(folded("tab\tbell\x07nel\u{85}"), "tab\\tbell\\x07nel\\x85");
        assert_eq!(folded("C:\\x"), "C:\\\\x");
        assert_eq!(folded("Worker 12"), "Worker\\x2012");
        assert_eq!(folded("Worker 1.5"), "Worker\\x201.5");
        assert_eq!(folded("12"), "12");
        assert_eq!(folded(" x "), "\\x20x\\x20");
        assert_eq!(folded("\u{3000}"), "\\u3000");
        assert_eq!(folded("# x"), "\\x23 x");
        assert_eq!(folded("a\u{2028}b\u{202e}c\u{ffff}"), "a\\u2028b\\u202ec\\uffff");
        assert_eq!(folded("größe 💩 функция"), "größe 💩 функция");
    }

    proptest! {
        #[test]
        fn nothing_is_lost_by_escaping(text in any::<String>()) {
            let escaped = folded(&text);
            assert!(!escaped.contains([';', '\n', '\r']));
            assert_eq!(escaped.trim(), escaped);
            assert_eq!(unfolded(&escaped), text);
        }
    }
}
