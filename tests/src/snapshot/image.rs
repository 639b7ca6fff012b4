//! Memory that was recorded: bytes that are known, all others unreadable. Implements the walker's `Memory`.

use std::collections::BTreeMap;
use std::ops::Range;

use profiler_common::memory::{Fault, Memory, RemoteAddr};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of one line of the file.
const LINE_BYTES: u64 = 32;

/// Some bytes, and which of them are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Line {
    bytes: [u8; LINE_BYTES as usize],
    known: u32,
}

impl Line {
    fn set(&mut self, index: usize, byte: Option<u8>) {
        self.bytes[index] = byte.unwrap_or(0);
        let bit = 1 << index;
        self.known = if byte.is_some() {
            self.known | bit
        } else {
            self.known & !bit
        };
    }

    fn get(&self, index: usize) -> Option<u8> {
        (self.known >> index & 1 == 1).then_some(self.bytes[index])
    }
}

/// Recorded lines of memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// By address of their first byte, a multiple of [`LINE_BYTES`].
    lines: BTreeMap<u64, Line>,
}

impl Image {
    /// Enters bytes, replacing what was known.
    pub fn write(&mut self, addr: RemoteAddr, bytes: &[u8]) {
        for (part, start, range) in parts(addr, bytes.len()) {
            let line = self.lines.entry(start).or_default();
            for (index, byte) in range.zip(&bytes[part]) {
                line.set(index, Some(*byte));
            }
        }
    }

    /// Makes bytes unreadable.
    pub fn remove(&mut self, addr: RemoteAddr, length: usize) {
        for (_, start, range) in parts(addr, length) {
            if let Some(line) = self.lines.get_mut(&start) {
                range.for_each(|index| line.set(index, None));
            }
        }
    }

    /// Fills `out` from `addr`.
    ///
    /// # Errors
    /// [`Fault`] when any byte is unknown.
    pub fn read(&self, addr: RemoteAddr, out: &mut [u8]) -> Result<(), Fault> {
        for (part, start, range) in parts(addr, out.len()) {
            let line = self.lines.get(&start).ok_or(Fault)?;
            for (byte, index) in out[part].iter_mut().zip(range) {
                *byte = line.get(index).ok_or(Fault)?;
            }
        }
        Ok(())
    }

    /// Addresses of all known bytes.
    pub fn known(&self) -> impl Iterator<Item = RemoteAddr> {
        self.lines.iter().flat_map(|(start, line)| {
            (0..LINE_BYTES as usize)
                .filter(|index| line.get(*index).is_some())
                .map(move |index| RemoteAddr(start + index as u64))
        })
    }
}

/// Cuts a range of memory at the borders of lines: which part of the range, the line's start, where in the line.
fn parts(addr: RemoteAddr, length: usize) -> impl Iterator<Item = (Range<usize>, u64, Range<usize>)> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let at = addr.offset(done as u64).0;
        let index = (at % LINE_BYTES) as usize;
        let count = (LINE_BYTES as usize - index).min(length - done);
        let part = done..done + count;
        done += count;
        (count > 0).then_some((part, at - index as u64, index..index + count))
    })
}

/// Reads `bytes` bytes with `read` into words; a last word that is only partly covered keeps its other bytes, as in the
/// kernel.
pub(super) fn read_words(
    read: impl FnOnce(&mut [u8]) -> Result<(), Fault>,
    out: &mut [u64],
    bytes: usize,
) -> Result<(), Fault> {
    let mut buffer = vec![0; bytes.min(8 * out.len())];
    read(&mut buffer)?;
    for (word, chunk) in out.iter_mut().zip(buffer.chunks(8)) {
        let mut value = word.to_le_bytes();
        value[..chunk.len()].copy_from_slice(chunk);
        *word = u64::from_le_bytes(value);
    }
    Ok(())
}

impl Memory for Image {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        read_words(|bytes| self.read(addr, bytes), out, 8 * N)
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        read_words(|buffer| self.read(addr, buffer), out, bytes as usize)
    }

    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        let len = (len as usize).min(N);
        self.read(addr, &mut out[..len])
    }
}

/// `"7f0123456780": "48656c6c6f......"`: an address and two digits for each byte from there on, `..` for an unknown one.
impl Serialize for Image {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.lines
                .iter()
                .filter(|(_, line)| line.known != 0)
                .map(|(start, line)| {
                    let count = (u32::BITS - line.known.leading_zeros()) as usize;
                    let digits = |index| {
                        line.get(index)
                            .map_or("..".to_owned(), |byte| format!("{byte:02x}"))
                    };
                    (
                        format!("{start:012x}"),
                        (0..count).map(digits).collect::<String>(),
                    )
                }),
        )
    }
}

impl<'de> Deserialize<'de> for Image {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut image = Self::default();
        for (address, text) in BTreeMap::<String, String>::deserialize(deserializer)? {
            let address = u64::from_str_radix(&address, 16).map_err(D::Error::custom)?;
            for (index, digits) in (0..).zip(text.as_bytes().chunks(2)) {
                if digits != b".." {
                    let digits = str::from_utf8(digits).map_err(D::Error::custom)?;
                    let byte = u8::from_str_radix(digits, 16).map_err(D::Error::custom)?;
                    image.write(RemoteAddr(address).offset(index), &[byte]);
                }
            }
        }
        Ok(image)
    }
}

#[cfg(test)]
mod tests {
    use super::Image;
    use profiler_common::memory::{Fault, Memory as _, RemoteAddr};

    #[test]
    fn what_was_written_is_read_and_nothing_else_also_after_a_round_trip_through_json() {
        let mut image = Image::default();
        image.write(RemoteAddr(0x101e), &[1, 2, 3, 4, 5, 6, 7, 8]);
        image.remove(RemoteAddr(0x1025), 1);
        let text = serde_json::to_string(&image).expect("plain data");
        assert_eq!(
            text,
            r#"{"000000001000":"............................................................0102","000000001020":"0304050607"}"#
        );
        let image: Image = serde_json::from_str(&text).expect("just written");
        let mut bytes = [0u8; 8];
        image
            .read_bytes(RemoteAddr(0x101e), &mut bytes, 7)
            .expect("known");
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 0]);
        assert_eq!(image.read_bytes(RemoteAddr(0x101e), &mut bytes, 8), Err(Fault));
        let mut words = [u64::MAX; 1];
        image
            .read_words_prefix(RemoteAddr(0x101e), &mut words, 4)
            .expect("known");
        assert_eq!(words, [0xffff_ffff_0403_0201]);
        assert_eq!(image.read_words(RemoteAddr(u64::MAX), &mut words), Err(Fault));
        assert_eq!(image.known().count(), 7);
    }
}
