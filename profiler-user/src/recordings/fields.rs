//! The fields of a protobuf message, one after the other, from a stream: the message is never held as a whole.

use std::io::{BufRead, ErrorKind, Read as _};

use super::error::ReadError;
use super::room::MOST_FIELD_BYTES;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'b> {
    /// A number.
    Number(u64),
    /// A text, a message, or packed numbers.
    Bytes(&'b [u8]),
}

/// Reads fields.
#[derive(Debug)]
pub(super) struct Fields<R> {
    input: R,
    bytes: Vec<u8>,
}

impl<R: BufRead> Fields<R> {
    pub(super) fn new(input: R) -> Self {
        Self {
            input,
            bytes: Vec::new(),
        }
    }

    /// The next field of those that are wanted, by its number; `None` at the end of the message.
    pub(super) fn next(
        &mut self,
        is_wanted: impl Fn(u32) -> bool,
    ) -> Result<Option<(u32, Value<'_>)>, ReadError> {
        while !self.input.fill_buf()?.is_empty() {
            let key = self.varint()?;
            let tag = u32::try_from(key >> 3)
                .ok()
                .filter(|tag| (1..1 << 29).contains(tag));
            let tag = tag.ok_or(ReadError::Damaged {
                what: "a field has no number",
            })?;
            match key & 7 {
                0 => {
                    let number = self.varint()?;
                    if is_wanted(tag) {
                        return Ok(Some((tag, Value::Number(number))));
                    }
                }
                1 => self.skip(8)?,
                2 => {
                    let length = self.varint()?;
                    if is_wanted(tag) {
                        self.read(length)?;
                        return Ok(Some((tag, Value::Bytes(&self.bytes))));
                    }
                    self.skip(length)?;
                }
                5 => self.skip(4)?,
                _ => {
                    return Err(ReadError::Damaged {
                        what: "a field has an unknown type",
                    });
                }
            }
        }
        Ok(None)
    }

    /// The next of packed numbers; `None` after the last.
    pub(super) fn number(&mut self) -> Result<Option<u64>, ReadError> {
        if self.input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.varint().map(Some)
    }

    fn read(&mut self, length: u64) -> Result<(), ReadError> {
        if length > MOST_FIELD_BYTES {
            return Err(ReadError::Damaged {
                what: "a field is too long",
            });
        }
        self.bytes.clear();
        let read = (&mut self.input).take(length).read_to_end(&mut self.bytes)?;
        if read as u64 != length {
            return Err(BREAKS_OFF);
        }
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), ReadError> {
        let skipped = std::io::copy(&mut (&mut self.input).take(length), &mut std::io::sink())?;
        if skipped != length {
            return Err(BREAKS_OFF);
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, ReadError> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            match self.input.read_exact(&mut byte) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(BREAKS_OFF),
                read => read?,
            }
            number |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(number);
            }
        }
        Err(ReadError::Damaged {
            what: "a number is too long",
        })
    }
}

const BREAKS_OFF: ReadError = ReadError::Damaged {
    what: "the file breaks off",
};

#[cfg(test)]
mod tests {
    use super::{Fields, Value};

    fn fields(bytes: &[u8]) -> Result<Vec<(u32, String)>, String> {
        let mut fields = Fields::new(bytes);
        let mut all = Vec::new();
        while let Some((tag, value)) = fields.next(|tag| tag != 9).map_err(|error| error.to_string())? {
            all.push((tag, format!("{value:?}")));
        }
        Ok(all)
    }

    #[test]
    fn numbers_and_bytes_come_in_order_and_the_rest_is_skipped() {
        // 1: 300; 9: skipped; 5 and 1: fixed; 2: two bytes.
        let bytes = b"\x08\xac\x02\x4a\x03abc\x4d\0\0\0\0\x49\0\0\0\0\0\0\0\0\x12\x02hi";
        let expected = [
            (1, format!("{:?}", Value::Number(300))),
            (2, format!("{:?}", Value::Bytes(b"hi"))),
        ];
        assert_eq!(fields(bytes), Ok(expected.into()));
    }

    #[test]
    fn what_breaks_off_or_lies_about_its_length_is_an_error() {
        for (bytes, what) in [
            (&b"\x08"[..], "breaks off"),
            (b"\x12\x05hi", "breaks off"),
            (b"\x4a\x05hi", "breaks off"),
            (b"\x4a\xff\xff\xff\xff\xff\xff\xff\xff\x7fhi", "breaks off"),
            (b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7fhi", "too long"),
            (
                b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                "too long",
            ),
            (b"\x0b\x0c", "unknown type"),
            (b"\x00\x00", "no number"),
        ] {
            let error = fields(bytes).expect_err("damaged");
            assert!(error.contains(what), "{bytes:?}: {error}");
        }
    }
}
