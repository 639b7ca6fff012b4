//! Foreign text for people: everything that a target, a file or a container chose goes through here on its way to a
//! terminal, a table or a picture.
//!
//! Such a text may hold orders to a terminal, line breaks that forge a message, and marks that turn the direction of what
//! stands around it. They are written as in a Python string literal.

use std::fmt::Write as _;

/// `text` as one line: what cannot be shown is escaped, the rest is left alone.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) {
            push_escaped(&mut escaped, c);
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// As [`printable`], but line breaks are kept: for texts of our own that have several lines.
#[must_use]
pub fn printable_lines(text: &str) -> String {
    let lines: Vec<String> = text.split('\n').map(printable).collect();
    lines.join("\n")
}

/// JSON text in which what cannot be shown is escaped as JSON knows it (`\u202e`): a reader of JSON gets back what was there.
#[must_use]
pub fn printable_json(json: &str) -> String {
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        // Line breaks stand between values; within texts the writer of JSON has escaped them.
        if is_unprintable(c) && c != '\n' {
            // Writing to a string cannot fail.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Ends a line for some reader, is forbidden in XML 1.0 (section 2.2), or changes how the text around it is shown: control
/// characters (C0, DEL and C1), line and paragraph separators, marks and overrides of text direction.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{61c}')
        || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Appends the escape of `c`, which is below U+10000, as are all that [`is_unprintable`] names and all white space.
pub fn push_escaped(to: &mut String, c: char) {
    // Writing to a string cannot fail.
    let _ = match c {
        '\n' => write!(to, "\\n"),
        '\r' => write!(to, "\\r"),
        '\t' => write!(to, "\\t"),
        c if u32::from(c) <= 0xff => write!(to, "\\x{:02x}", u32::from(c)),
        c => write!(to, "\\u{:04x}", u32::from(c)),
    };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{is_unprintable, printable, printable_json, printable_lines};

    #[test]
    fn a_title_keeps_everything_that_can_be_shown() {
        assert_eq!(
            printable("pyebpf -o 'a;b' C:\\x \u{1b}[2J größe"),
            "pyebpf -o 'a;b' C:\\x \\x1b[2J größe"
        );
    }

    #[test]
    fn orders_to_terminals_and_marks_of_direction_are_escaped() {
        assert_eq!(printable("\u{9b}2J\u{7f}"), "\\x9b2J\\x7f");
        assert_eq!(printable("\u{202e}a\u{2066}b\u{2069}"), "\\u202ea\\u2066b\\u2069");
        assert_eq!(printable("\u{200e}\u{200f}\u{61c}"), "\\u200e\\u200f\\u061c");
        assert_eq!(printable("a\r\nerror: b"), "a\\r\\nerror: b");
        assert_eq!(printable_lines("a\nb\r\u{1b}"), "a\nb\\r\\x1b");
    }

    proptest! {
        #[test]
        fn no_text_gets_through_that_cannot_be_shown(text in any::<String>()) {
            assert!(!printable(&text).contains(is_unprintable));
        }

        #[test]
        fn json_says_the_same_with_and_without_escapes(text in any::<String>()) {
            let json = serde_json::to_string_pretty(&[&text]).expect("a text");
            let shown = printable_json(&json);
            assert!(!shown.replace('\n', "").contains(is_unprintable));
            assert_eq!(serde_json::from_str::<Vec<String>>(&shown).expect("still JSON"), [text]);
        }
    }
}
