//! Frames out of the texts of folded stacks: `name (file.py:LINE)`, as py-spy and `record` write them, or any other text.

use std::borrow::Cow;

use super::frame_of::guessed;
use super::short_file::short_file;
use crate::profile::{Frame, FrameKind};

/// What a label of a root frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RootValue<'t> {
    Number(u32),
    Text(&'t str),
}

/// The text as it was before it was escaped as in a Python string. Texts with other backslashes are left alone.
pub(super) fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    match parse_escapes(text) {
        Some(plain) => Cow::Owned(plain),
        None => Cow::Borrowed(text),
    }
}

fn parse_escapes(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        plain.push(match c {
            '\\' => match rest.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => code_point(&mut rest, 2)?,
                'u' => code_point(&mut rest, 4)?,
                _ => return None,
            },
            c => c,
        });
    }
    Some(plain)
}

fn code_point(rest: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let number = rest.as_str().get(..digits)?;
    let code = u32::from_str_radix(number, 16).ok()?;
    rest.nth(digits - 1)?;
    char::from_u32(code)
}

/// The labels that a root frame stands for; `None` if it is an ordinary frame.
pub(super) fn root(text: &str) -> Option<Vec<(&'static str, RootValue<'_>)>> {
    if let Some(rest) = text.strip_prefix("process ") {
        let (pid, command) = rest.split_once(':')?;
        let command = command.strip_prefix('"')?.strip_suffix('"')?;
        let pid = RootValue::Number(pid.parse().ok()?);
        return Some(vec![("pid", pid), ("command", RootValue::Text(command))]);
    }
    let rest = text.strip_prefix("thread (")?;
    let (tid, name) = rest.split_once(')')?;
    let name = match name.strip_prefix(": ") {
        Some(name) => name,
        None if name.is_empty() => "",
        None => return None,
    };
    let tid = match tid.parse() {
        Ok(tid) => RootValue::Number(tid),
        // py-spy has the number that pthreads have.
        Err(_) if tid.starts_with("0x") => RootValue::Text(tid),
        Err(_) => return None,
    };
    let name = (!name.is_empty()).then_some(("thread", RootValue::Text(name)));
    Some([("tid", tid)].into_iter().chain(name).collect())
}

/// The frame that this text stands for.
pub(super) fn frame(text: &str) -> Frame {
    let place = text.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
    let Some((name, place)) = place else {
        let kind = if text.ends_with("_[k]") {
            FrameKind::Kernel
        } else {
            guessed(text, "", "")
        };
        return Frame {
            kind,
            ..Frame::marker(text)
        };
    };
    let (file, line, approximate) = match place.rsplit_once(':') {
        Some((file, line)) => {
            let (number, approximate) = match line.strip_prefix('~') {
                Some(number) => (number, true),
                None => (line, false),
            };
            match number.parse::<u32>() {
                Ok(line) => (file, Some(line), approximate),
                Err(_) => (place, None, false),
            }
        }
        None => (place, None, false),
    };
    let is_library = line.is_none() && (file.contains(".so") || file.starts_with('['));
    let kind = match guessed(name, file, "") {
        _ if file == "[kernel]" => FrameKind::Kernel,
        FrameKind::Marker => FrameKind::Native,
        kind => kind,
    };
    let (file, module) = if is_library {
        (None, Some(file))
    } else {
        (Some(file), None)
    };
    Frame {
        kind,
        name: name.to_owned(),
        file: file.map(str::to_owned),
        short_file: file.and_then(|file| short_file(kind, file)),
        module: module.map(str::to_owned),
        line,
        approximate,
        first_line: None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{RootValue, frame, root, unescaped};
    use crate::profile::FrameKind;

    #[test]
    fn frames_are_read_as_py_spy_writes_them() {
        let read = |text: &str| {
            let frame = frame(text);
            let place = frame.file.or(frame.module).unwrap_or_default();
            (frame.kind, frame.name, place, frame.line, frame.approximate)
        };
        for (text, kind, name, place, line, approximate) in [
            (
                "fib (app.py:12)",
                FrameKind::Python,
                "fib",
                "app.py",
                Some(12),
                false,
            ),
            (
                "<module> (<string>:1)",
                FrameKind::Python,
                "<module>",
                "<string>",
                Some(1),
                false,
            ),
            (
                "jit (app.py:~12)",
                FrameKind::Python,
                "jit",
                "app.py",
                Some(12),
                true,
            ),
            ("f (app.py)", FrameKind::Python, "f", "app.py", None, false),
            (
                "inflate (inflate.c:622)",
                FrameKind::Native,
                "inflate",
                "inflate.c",
                Some(622),
                false,
            ),
            (
                "inflate (libz.so.1)",
                FrameKind::Native,
                "inflate",
                "libz.so.1",
                None,
                false,
            ),
            (
                "vfs_read ([kernel])",
                FrameKind::Kernel,
                "vfs_read",
                "[kernel]",
                None,
                false,
            ),
            ("<gc>", FrameKind::Marker, "<gc>", "", None, false),
            (
                "do_syscall_64_[k]",
                FrameKind::Kernel,
                "do_syscall_64_[k]",
                "",
                None,
                false,
            ),
            (
                "std::vector<int> (*)()",
                FrameKind::Native,
                "std::vector<int> (*)()",
                "",
                None,
                false,
            ),
            (
                "java/lang/Thread.run",
                FrameKind::Native,
                "java/lang/Thread.run",
                "",
                None,
                false,
            ),
        ] {
            let (name, place) = (name.to_owned(), place.to_owned());
            if text.contains("(*)") {
                // Whatever is made of it, it is not lost.
                assert!(frame(text).name.contains("std::vector"));
            } else {
                assert_eq!(read(text), (kind, name, place, line, approximate), "{text}");
            }
        }
    }

    #[test]
    fn root_frames_are_labels() {
        assert_eq!(
            root("process 7:\"python 'a b'\""),
            Some(vec![
                ("pid", RootValue::Number(7)),
                ("command", RootValue::Text("python 'a b'"))
            ])
        );
        assert_eq!(
            root("thread (8): Main: 1"),
            Some(vec![
                ("tid", RootValue::Number(8)),
                ("thread", RootValue::Text("Main: 1"))
            ])
        );
        assert_eq!(root("thread (8)"), Some(vec![("tid", RootValue::Number(8))]));
        assert_eq!(
            root("thread (0x7F00)"),
            Some(vec![("tid", RootValue::Text("0x7F00"))])
        );
        for ordinary in ["process (a.py:3)", "thread (a.py:3)", "process x:\"\"", "f"] {
            assert_eq!(root(ordinary), None, "{ordinary}");
        }
    }

    #[test]
    fn only_what_is_escaped_as_in_python_is_unescaped() {
        assert_eq!(unescaped("a\\x3bb\\\\c\\u202e"), "a;b\\c\u{202e}");
        for text in ["C:\\Users\\x", "\\", "\\x3", "\\ud800", "\\xé"] {
            assert_eq!(unescaped(text), text);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_frame(text in any::<String>()) {
            let frame = frame(&unescaped(&text));
            assert!(frame.name.len() <= text.len());
            root(&text);
        }
    }
}
