//! Captured `str` data to Rust strings.
//!
//! CPython keeps a string as an array of 1-, 2- or 4-byte code points (PEP 393, `Include/cpython/unicodeobject.h`).
//! Used for names and file names. Control characters are kept: escaping them is each output's own rule.

use profiler_common::contract::records::TEXT_OF_BYTES;
use serde::{Deserialize, Serialize};

/// Stands for the rest of a text of which only the beginning is known.
pub const CUT_MARK: char = '…';

/// How much of something is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Extent {
    /// All of it.
    Whole,
    /// Its beginning.
    Cut,
    /// Nothing: the memory was not readable.
    Missing,
}

/// A name or file name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Text {
    value: Box<str>,
    extent: Extent,
}

impl Text {
    /// A text of which nothing is known.
    #[must_use]
    pub fn missing() -> Self {
        Self {
            value: Box::default(),
            extent: Extent::Missing,
        }
    }

    /// Decodes `data`, the beginning of a string of `length` characters of `kind` bytes (1: Latin-1, 2, 4), or of
    /// `length` bytes of UTF-8 ([`TEXT_OF_BYTES`]).
    ///
    /// Any other `kind` gives [`Extent::Missing`]. Code points that are not characters (lone surrogates, as in
    /// undecodable file names) become U+FFFD. Data beyond `length` is ignored.
    #[must_use]
    pub fn decode(kind: u8, length: u32, data: &[u8]) -> Self {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let width = match kind {
            1 | 2 | 4 => usize::from(kind),
            TEXT_OF_BYTES => 1,
            _ => return Self::missing(),
        };
        let data = data.get(..length.saturating_mul(width)).unwrap_or(data);
        let mut value = match kind {
            1 => latin_1(data),
            TEXT_OF_BYTES => utf_8(data, length),
            2 => data
                .chunks_exact(2)
                .map(|unit| character(&[unit[0], unit[1], 0, 0]))
                .collect(),
            _ => data
                .chunks_exact(4)
                .map(|unit| character(&[unit[0], unit[1], unit[2], unit[3]]))
                .collect(),
        };
        let whole = data.len() / width >= length;
        if !whole {
            value.push(CUT_MARK);
        }
        Self {
            value: value.into_boxed_str(),
            extent: if whole { Extent::Whole } else { Extent::Cut },
        }
    }

    /// The text; ends in [`CUT_MARK`] when it was cut. `None` when nothing is known.
    #[must_use]
    pub fn get(&self) -> Option<&str> {
        (self.extent != Extent::Missing).then_some(&*self.value)
    }

    /// Whether this could have been decoded from some bytes: false for what only a broken message can hold.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        match self.extent {
            Extent::Whole => true,
            Extent::Cut => self.value.ends_with(CUT_MARK),
            Extent::Missing => self.value.is_empty(),
        }
    }

    /// How much is known.
    #[must_use]
    pub fn extent(&self) -> Extent {
        self.extent
    }

    /// Bytes of heap memory.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.value.len()
    }

    /// Whether what is known here says nothing else than `other` does.
    #[must_use]
    pub fn is_part_of(&self, other: &Self) -> bool {
        match self.extent {
            Extent::Whole => self == other,
            Extent::Cut => other.known().starts_with(self.known()),
            Extent::Missing => true,
        }
    }

    /// Without the mark.
    fn known(&self) -> &str {
        match self.extent {
            Extent::Cut => self.value.strip_suffix(CUT_MARK).unwrap_or(&self.value),
            _ => &self.value,
        }
    }
}

fn latin_1(data: &[u8]) -> String {
    match core::str::from_utf8(data) {
        Ok(ascii) if data.is_ascii() => ascii.to_owned(),
        _ => data.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// `data` are the first of `length` bytes: of a character that was cut in the middle nothing is known.
fn utf_8(data: &[u8], length: usize) -> String {
    let cut_off = match data.utf8_chunks().last().map(|chunk| chunk.invalid()) {
        Some(tail) if data.len() < length && is_incomplete(tail) => tail.len(),
        _ => 0,
    };
    String::from_utf8_lossy(&data[..data.len() - cut_off]).into_owned()
}

fn is_incomplete(bytes: &[u8]) -> bool {
    core::str::from_utf8(bytes).is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
}

fn character(unit: &[u8; 4]) -> char {
    char::from_u32(u32::from_le_bytes(*unit)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::records::TEXT_OF_BYTES;

    use super::{Extent, Text};

    #[test]
    fn each_kind_gives_its_characters() {
        assert_eq!(Text::decode(1, 4, b"main").get(), Some("main"));
        assert_eq!(
            Text::decode(1, 4, b"caf\xe9").get(),
            Some("café"),
            "kind 1 is Latin-1, not UTF-8"
        );
        assert_eq!(Text::decode(2, 2, &[0x16, 0x04, 0x3b, 0x04]).get(), Some("Жл"));
        assert_eq!(
            Text::decode(4, 2, &[0x0d, 0xf4, 0x01, 0, b'x', 0, 0, 0]).get(),
            Some("🐍x")
        );
        assert_eq!(Text::decode(1, 0, b"").get(), Some(""), "an empty name is a name");
    }

    #[test]
    fn what_is_no_character_is_replaced() {
        let surrogates = [0x3d, 0xd8, 0x00, 0xde];
        assert_eq!(
            Text::decode(2, 2, &surrogates).get(),
            Some("\u{fffd}\u{fffd}"),
            "the units of a kind 2 string are code points, a pair of surrogates is not one character"
        );
        assert_eq!(Text::decode(4, 1, &[0, 0, 0x11, 0]).get(), Some("\u{fffd}"));
    }

    #[test]
    fn control_characters_are_kept() {
        assert_eq!(Text::decode(1, 4, b"a\n\x1b\0").get(), Some("a\n\x1b\0"));
    }

    #[test]
    fn a_cut_text_is_marked() {
        let text = Text::decode(1, 300, &[b'x'; 256]);
        assert_eq!(text.extent(), Extent::Cut);
        assert_eq!(text.get().map(|text| text.chars().last()), Some(Some('…')));
        let half_a_character = Text::decode(2, 2, &[b'a', 0, b'b']);
        assert_eq!(half_a_character.get(), Some("a…"));
        assert!(half_a_character.is_part_of(&Text::decode(1, 2, b"ab")));
        assert!(!half_a_character.is_part_of(&Text::decode(1, 2, b"ba")));
    }

    #[test]
    fn bytes_are_utf_8_where_they_can_be() {
        let decode = |data: &[u8]| Text::decode(TEXT_OF_BYTES, data.len() as u32, data);
        assert_eq!(decode("größe".as_bytes()).get(), Some("größe"));
        assert_eq!(decode(b"gr\xf6\xdfe").get(), Some("gr\u{fffd}\u{fffd}e"));
        let cut = Text::decode(TEXT_OF_BYTES, 9, b"main");
        assert_eq!((cut.get(), cut.extent()), (Some("main…"), Extent::Cut));
        let within_a_character = Text::decode(TEXT_OF_BYTES, 9, b"gr\xc3");
        assert_eq!(within_a_character.get(), Some("gr…"));
        assert!(within_a_character.is_part_of(&decode("größe".as_bytes())));
        let not_a_beginning = Text::decode(TEXT_OF_BYTES, 9, b"gr\xf6");
        assert_eq!(not_a_beginning.get(), Some("gr\u{fffd}…"));
    }

    #[test]
    fn an_unreadable_text_is_none() {
        for kind in [0, 3, 5, 254] {
            let text = Text::decode(kind, 4, b"main");
            assert_eq!((text.get(), text.extent()), (None, Extent::Missing));
        }
    }
}
