//! Texts for people who paste them into a shell.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::escape::is_unprintable;

/// A text as one word for a shell, in one line that can be shown: what cannot be shown, or is not UTF-8, is escaped in
/// `$'...'`, which bash, zsh, ksh and busybox read (and POSIX since 2024).
#[must_use]
pub fn word(text: impl AsRef<OsStr>) -> String {
    let text = text.as_ref();
    match text.to_str() {
        Some(text) if is_plain(text) => text.to_owned(),
        Some(text) if !text.contains(is_unprintable) => {
            // Only a NUL cannot be quoted, and no argument has one.
            shlex::try_quote(text).map_or_else(|_| text.to_owned(), Into::into)
        }
        _ => escaped(text.as_bytes()),
    }
}

/// Whether no shell takes it for anything but itself. `shlex` quotes more than that, such as every list with commas.
fn is_plain(text: &str) -> bool {
    let is_option = text.starts_with('-');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-+./:@,".contains(c) || (c == '=' && is_option);
    !text.is_empty() && text.chars().all(is_plain)
}

/// Several words.
#[must_use]
pub fn line(words: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let words: Vec<String> = words.into_iter().map(word).collect();
    words.join(" ")
}

/// `$'...'`. Octal numbers end after three digits everywhere; hexadecimal ones do not.
fn escaped(bytes: &[u8]) -> String {
    let mut quoted = String::from("$'");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\n' => quoted.push_str("\\n"),
                '\t' => quoted.push_str("\\t"),
                '\\' | '\'' => quoted.extend(['\\', c]),
                c if is_unprintable(c) => push_octal(&mut quoted, c.encode_utf8(&mut [0; 4]).as_bytes()),
                c => quoted.push(c),
            }
        }
        push_octal(&mut quoted, chunk.invalid());
    }
    quoted.push('\'');
    quoted
}

fn push_octal(to: &mut String, bytes: &[u8]) {
    to.extend(bytes.iter().map(|byte| format!("\\{byte:03o}")));
}

#[cfg(test)]
mod tests {
    use std::ffi::{OsStr, OsString};
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::process::Command;

    use super::{line, word};
    use crate::escape::printable;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for (text, quoted) in [
            ("/usr/bin/python3.13", "/usr/bin/python3.13"),
            ("guni*", "'guni*'"),
            ("", "''"),
            ("a\nb", "$'a\\nb'"),
            ("1,7,8", "1,7,8"),
            ("--format=raw", "--format=raw"),
            ("x=1", "'x=1'"),
        ] {
            assert_eq!(word(text), quoted);
        }
        for text in [
            "it's", "a b", "$HOME", "`id`", "\\", "\"", "ü", "!x", "-n", "a=b,c%d",
        ] {
            let words = shlex::split(&line(["echo", text]));
            assert_eq!(words.as_deref(), Some(&["echo".to_owned(), text.to_owned()][..]));
        }
    }

    #[test]
    fn what_cannot_be_shown_is_read_back_from_one_line_that_can() {
        if Command::new("bash").arg("--version").output().is_err() {
            eprintln!("!!! NOT TESTED: no bash");
            return;
        }
        let texts = [
            OsString::from("while True:\n\tprint('a\\n')"),
            OsString::from("\u{1b}[2J7\u{202e}é$x`y`"),
            OsString::from_vec(vec![b'a', 0xff, b'7', 0xc3, b'\n']),
        ];
        for text in texts {
            let quoted = word(&text);
            assert_eq!(printable(&quoted), quoted);
            let said = Command::new("bash")
                .args(["-c", &format!("printf %s {quoted}")])
                .output()
                .expect("bash runs");
            assert_eq!(OsStr::from_bytes(&said.stdout), text, "{quoted}");
        }
    }
}
