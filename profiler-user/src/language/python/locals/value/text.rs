//! `str`, `bytes` and `bytearray`.

use std::fmt::Write as _;

use profiler_common::contract::layout::text_shape;
use profiler_common::memory::{Memory, RemoteAddr};

use super::{MORE, Value, Writer};
use crate::escape::is_unprintable;
use crate::language::python::layout::objects::FLAG_UNICODE;
use crate::language::python::objects::{pointer, word};

/// Bytes of a text that are read.
const MAX_BYTES: usize = 8 << 10;
/// `PyByteArrayObject.ob_start`; 2.7 begins where the array does, `ob_bytes`.
const BYTE_ARRAY_START: u16 = 24;
/// `PyUnicodeObject.str` of 2.7.
const UNICODE_27_DATA: u16 = 8;
/// Code points of 4 bytes, as every distribution builds 2.7 (`Py_UNICODE_SIZE`).
const UNICODE_27_WIDTH: u64 = 4;

/// Characters: where, how many, and how many bytes each has.
struct Characters {
    data: RemoteAddr,
    count: u64,
    width: u64,
}

impl<M: Memory> Writer<'_, '_, M> {
    /// `str` and `bytes`, also those of 2.7.
    pub(super) fn text(&self, value: Value<'_>, room: usize) -> Option<String> {
        let layout = self.objects.layout();
        let is_unicode = value.class.has(FLAG_UNICODE);
        let is_27 = layout.text_shape == text_shape::BYTES;
        let characters = match (is_unicode, is_27) {
            (true, false) => self.of_str(value.address)?,
            (true, true) => Characters {
                data: pointer(
                    self.objects.memory(),
                    self.objects.field(value.address, UNICODE_27_DATA),
                )?,
                count: word(self.objects.memory(), self.objects.field(value.address, 0))?,
                width: UNICODE_27_WIDTH,
            },
            (false, _) => Characters {
                data: value.address.offset(layout.text.bytes_data.into()),
                count: word(
                    self.objects.memory(),
                    value.address.offset(layout.text.bytes_size.into()),
                )?,
                width: 1,
            },
        };
        let prefix = if is_unicode || is_27 { "" } else { "b" };
        let own = ["str", "bytes", "unicode"].contains(&value.class.name.as_str());
        let (open, close) = if own {
            (String::new(), "")
        } else {
            (format!("{}(", value.class.name), ")")
        };
        let frame = open.chars().count() + close.len() + prefix.len();
        let quoted = self.quoted(&characters, room.saturating_sub(frame), !is_unicode, is_27)?;
        Some(format!("{open}{prefix}{quoted}{close}"))
    }

    pub(super) fn byte_array(&self, address: RemoteAddr, room: usize) -> Option<String> {
        let is_27 = self.objects.layout().text_shape == text_shape::BYTES;
        let field = |at: u16| self.objects.field(address, at);
        let characters = Characters {
            data: RemoteAddr(word(self.objects.memory(), field(BYTE_ARRAY_START))?),
            count: word(self.objects.memory(), field(0))?,
            width: 1,
        };
        let quoted = self.quoted(&characters, room.saturating_sub(12), true, is_27)?;
        let prefix = if is_27 { "" } else { "b" };
        Some(format!("bytearray({prefix}{quoted})"))
    }

    /// The characters of a `str` of any sort (PEP 393).
    fn of_str(&self, address: RemoteAddr) -> Option<Characters> {
        let layout = &self.objects.layout().text;
        let memory = self.objects.memory();
        let state = word(memory, address.offset(layout.str_state.into()))?;
        let bit = |bit: u8| state >> (bit & 63) & 1 == 1;
        let data = if !bit(layout.compact_bit) {
            pointer(memory, address.offset(layout.compact_data.into()))?
        } else if bit(layout.ascii_bit) {
            address.offset(layout.ascii_data.into())
        } else {
            address.offset(layout.compact_data.into())
        };
        Some(Characters {
            data,
            count: word(memory, address.offset(layout.str_length.into()))?,
            width: state >> (layout.kind_shift & 63) & 7,
        })
    }

    /// In double quotes, with the escapes of Python, in so much room. `are_bytes`: what is not ASCII is escaped, or in 2.7 is
    /// UTF-8 where it can be.
    fn quoted(&self, characters: &Characters, room: usize, are_bytes: bool, is_27: bool) -> Option<String> {
        let Characters { data, count, width } = *characters;
        if !matches!(width, 1 | 2 | 4) {
            return None;
        }
        let room = room.saturating_sub(2);
        let wanted = count.min(room as u64 + 1).saturating_mul(width);
        let wanted = usize::try_from(wanted).ok()?.min(MAX_BYTES);
        let mut bytes = [0; MAX_BYTES];
        self.objects
            .memory()
            .read_bytes(data, &mut bytes, wanted as u32)
            .ok()?;
        let bytes = bytes.get(..wanted)?;
        let is_cut_off = (wanted as u64) < count.saturating_mul(width);
        let points: Vec<u32> = match width {
            1 if are_bytes && is_27 => {
                let text = String::from_utf8_lossy(bytes);
                text.chars().map(u32::from).collect()
            }
            1 => bytes.iter().map(|byte| u32::from(*byte)).collect(),
            2 => bytes
                .chunks_exact(2)
                .filter_map(|unit| Some(u16::from_le_bytes(unit.try_into().ok()?).into()))
                .collect(),
            _ => bytes
                .chunks_exact(4)
                .filter_map(|unit| Some(u32::from_le_bytes(unit.try_into().ok()?)))
                .collect(),
        };
        let escaped = points
            .into_iter()
            .map(|point| escaped(point, are_bytes && !is_27));
        Some(in_quotes(escaped, is_cut_off, room))
    }
}

/// Pieces of a text in quotes; those that have no room are left out.
fn in_quotes(pieces: impl Iterator<Item = String>, is_cut_off: bool, room: usize) -> String {
    let mut text = String::from("\"");
    // What still fits before the mark, and where that is.
    let (mut used, mut end) = (0, text.len());
    let mut is_cut = is_cut_off;
    for piece in pieces {
        used += piece.chars().count();
        if used > room {
            is_cut = true;
            break;
        }
        text.push_str(&piece);
        if used + MORE.len() <= room {
            end = text.len();
        }
    }
    if is_cut {
        text.truncate(end);
        text.push_str(MORE);
    }
    text.push('"');
    text
}

/// A character in double quotes, as Python writes it.
fn escaped(point: u32, is_byte: bool) -> String {
    let Some(c) = char::from_u32(point) else {
        // A half of a pair of surrogates, or nothing.
        return if point <= 0xffff {
            format!("\\u{point:04x}")
        } else {
            format!("\\U{point:08x}")
        };
    };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = match c {
        '"' => write!(text, "\\\""),
        '\\' => write!(text, "\\\\"),
        '\n' => write!(text, "\\n"),
        '\r' => write!(text, "\\r"),
        '\t' => write!(text, "\\t"),
        c if is_unprintable(c) && point > 0xff => write!(text, "\\u{point:04x}"),
        c if is_unprintable(c) || is_byte && !c.is_ascii() => write!(text, "\\x{point:02x}"),
        c => write!(text, "{c}"),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::{escaped, in_quotes};

    fn quoted(text: &str, room: usize) -> String {
        let pieces = text.chars().map(|c| escaped(c.into(), false));
        in_quotes(pieces, false, room)
    }

    #[test]
    fn a_text_is_cut_where_its_room_ends_and_never_within_an_escape() {
        assert_eq!(quoted("", 4), "\"\"");
        assert_eq!(quoted("abcd", 4), "\"abcd\"");
        assert_eq!(quoted("abcde", 4), "\"a...\"");
        assert_eq!(quoted("\n\n\n", 5), "\"\\n...\"");
        assert_eq!(quoted("\"\\", 9), "\"\\\"\\\\\"");
        assert_eq!(quoted("\u{202e}\u{1b}é🐍", 99), "\"\\u202e\\x1bé🐍\"");
    }

    #[test]
    fn what_is_no_character_is_escaped() {
        assert_eq!(escaped(0xd800, false), "\\ud800");
        assert_eq!(escaped(0x11_0000, false), "\\U00110000");
        assert_eq!(escaped(0xe9, true), "\\xe9");
    }
}
