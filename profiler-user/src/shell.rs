//! Texts for people who paste them into a shell.

use std::borrow::Cow;

/// A text as one word for a shell.
#[must_use]
pub fn word(text: &str) -> Cow<'_, str> {
    // Only a NUL cannot be quoted, and no argument has one.
    shlex::try_quote(text).unwrap_or(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for (text, quoted) in [
            ("/usr/bin/python3.13", "/usr/bin/python3.13"),
            ("guni*", "'guni*'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), quoted);
        }
        for text in [
            "it's", "a b", "$HOME", "`id`", "\\", "\"", "ü", "!x", "-n", "a=b,c%d",
        ] {
            let words = shlex::split(&format!("echo {}", word(text)));
            assert_eq!(words.as_deref(), Some(&["echo".to_owned(), text.to_owned()][..]));
        }
    }
}
