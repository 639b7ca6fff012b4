//! What is typed: from the bytes of a terminal to keys. Pure.

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    /// Ctrl and a letter.
    Control(char),
    Enter,
    Escape,
    Tab,
    BackTab,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
}

/// How terminals write the keys that are no characters, after `ESC [` or `ESC O`.
const SEQUENCES: &[(&[u8], Key)] = &[
    (b"A", Key::Up),
    (b"B", Key::Down),
    (b"C", Key::Right),
    (b"D", Key::Left),
    (b"H", Key::Home),
    (b"F", Key::End),
    (b"Z", Key::BackTab),
    (b"M", Key::Enter),
    (b"1~", Key::Home),
    (b"7~", Key::Home),
    (b"4~", Key::End),
    (b"8~", Key::End),
    (b"5~", Key::PageUp),
    (b"6~", Key::PageDown),
];

const ESCAPE: u8 = 0x1b;

/// Reads keys, also where one comes in two pieces.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// The beginning of a character.
    rest: Vec<u8>,
}

impl Keys {
    /// The keys in `bytes`. Sequences that mean nothing here are left out.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        let mut keys = Vec::new();
        let mut at = 0;
        while let Some(first) = all.get(at) {
            let rest = all.get(at..).unwrap_or_default();
            let (key, length) = match first {
                &ESCAPE => sequence(rest),
                b'\r' | b'\n' => (Some(Key::Enter), 1),
                b'\t' => (Some(Key::Tab), 1),
                0x7f | 0x08 => (Some(Key::Backspace), 1),
                control @ 0x01..=0x1a => (Some(Key::Control(char::from(control - 1 + b'a'))), 1),
                _ => match character(rest) {
                    Some((c, length)) => (c.map(Key::Char), length),
                    // The rest of it is still to come.
                    None => {
                        self.rest = rest.to_vec();
                        break;
                    }
                },
            };
            keys.extend(key);
            at += length;
        }
        keys
    }
}

/// What begins with an escape: a sequence, or the key of that name, which a terminal sends alone.
fn sequence(bytes: &[u8]) -> (Option<Key>, usize) {
    let [_, b'[' | b'O', rest @ ..] = bytes else {
        return (Some(Key::Escape), 1);
    };
    let Some(end) = rest.iter().position(|byte| (0x40..=0x7e).contains(byte)) else {
        return (None, bytes.len());
    };
    let text = rest.get(..=end).unwrap_or_default();
    let known = SEQUENCES.iter().find(|(sequence, _)| *sequence == text);
    (known.map(|(_, key)| *key), end + 3)
}

/// The first character, if these bytes show one, and how many bytes it has. `None`: more bytes have to come.
fn character(bytes: &[u8]) -> Option<(Option<char>, usize)> {
    let bytes = bytes.get(..bytes.len().min(4)).unwrap_or_default();
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.valid_up_to() > 0 => {
            std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(error) => return error.error_len().map(|length| (None, length)),
    };
    let c = text.chars().next()?;
    Some((Some(c).filter(|c| !c.is_control()), c.len_utf8()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::{Key, Keys};

    #[test]
    fn keys_are_read_as_terminals_write_them() {
        let keys = Keys::default().read(b"q\x1b[A\x1bOB\x1b[5~\x1b[6~\r\t\x1b[Z\x7f\x03\x0c\x1b");
        let expected = [
            Key::Char('q'),
            Key::Up,
            Key::Down,
            Key::PageUp,
            Key::PageDown,
            Key::Enter,
            Key::Tab,
            Key::BackTab,
            Key::Backspace,
            Key::Control('c'),
            Key::Control('l'),
            Key::Escape,
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn a_character_may_come_in_two_pieces_and_unknown_sequences_are_no_keys() {
        let mut keys = Keys::default();
        assert_eq!(keys.read("x\u{e4}".as_bytes().split_at(2).0), [Key::Char('x')]);
        assert_eq!(keys.read(&"\u{e4}".as_bytes()[1..]), [Key::Char('\u{e4}')]);
        assert_eq!(keys.read(b"\x1b[15~\x1b[1;5Cq"), [Key::Char('q')]);
        assert_eq!(keys.read(b"\xff\xfeq"), [Key::Char('q')]);
    }

    proptest! {
        #[test]
        fn no_bytes_keep_it_from_reading_what_comes_later(bytes in any::<Vec<u8>>()) {
            let mut keys = Keys::default();
            keys.read(&bytes);
            assert!(keys.rest.len() < 4);
            // Whatever was incomplete ends here.
            assert_eq!(keys.read(b"    q").last(), Some(&Key::Char('q')));
        }
    }
}
