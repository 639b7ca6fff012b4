//! JSON inside a script element: whatever its texts say, they do not end the element. Used by the page.

use std::io::{self, Write};

/// Writes JSON on, with JSON's own escapes in place of `<`, `>` and `&`, which occur in its texts only. So there is neither
/// `</script` nor `<!--` in what comes out, and a reader of JSON gets back what was there.
pub(super) struct ScriptText<W>(pub(super) W);

impl<W: Write> Write for ScriptText<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|byte| b"<>&".contains(byte)) {
            let (before, after) = rest.split_at(at);
            self.0.write_all(before)?;
            let Some((special, after)) = after.split_first() else {
                break;
            };
            write!(self.0, "\\u{special:04x}")?;
            rest = after;
        }
        self.0.write_all(rest)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::ScriptText;

    proptest! {
        #[test]
        fn any_text_comes_back_and_none_ends_the_element(text in ".*|(</script|<!--|&lt;|<|>){0,9}") {
            let mut out = Vec::new();
            let json = serde_json::to_string(&text).expect("a text");
            ScriptText(&mut out).write_all(json.as_bytes()).expect("a vector takes everything");
            prop_assert!(!out.iter().any(|byte| b"<>&".contains(byte)));
            prop_assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
        }
    }
}
