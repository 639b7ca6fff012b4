//! Python's `marshal`, version 2 of the format (`Python/marshal.c`): every Python from 2.5 on reads it. Only what a profile
//! needs: numbers, texts, tuples and dictionaries.

use std::io::{self, Write};

/// Bits in a digit of a long number.
const DIGIT_BITS: u32 = 15;

/// Writes values one after the other. Dictionaries are begun and ended, with keys and values in turn between.
pub(super) struct Marshal<'o> {
    pub(super) out: &'o mut dyn Write,
}

impl Marshal<'_> {
    pub(super) fn begin_dictionary(&mut self) -> io::Result<()> {
        self.out.write_all(b"{")
    }

    pub(super) fn end_dictionary(&mut self) -> io::Result<()> {
        self.out.write_all(b"0")
    }

    /// The elements follow.
    pub(super) fn begin_tuple(&mut self, elements: u32) -> io::Result<()> {
        self.out.write_all(b"(")?;
        self.out.write_all(&elements.to_le_bytes())
    }

    pub(super) fn integer(&mut self, number: u64) -> io::Result<()> {
        if let Ok(small) = i32::try_from(number) {
            self.out.write_all(b"i")?;
            return self.out.write_all(&small.to_le_bytes());
        }
        let digits = (u64::BITS - number.leading_zeros()).div_ceil(DIGIT_BITS);
        self.out.write_all(b"l")?;
        self.out.write_all(&digits.to_le_bytes())?;
        for digit in 0..digits {
            let digit = (number >> (digit * DIGIT_BITS)) & ((1 << DIGIT_BITS) - 1);
            self.out
                .write_all(&u16::try_from(digit).unwrap_or(u16::MAX).to_le_bytes())?;
        }
        Ok(())
    }

    pub(super) fn float(&mut self, number: f64) -> io::Result<()> {
        self.out.write_all(b"g")?;
        self.out.write_all(&number.to_le_bytes())
    }

    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        let bytes = u32::try_from(text.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.out.write_all(b"u")?;
        self.out.write_all(&bytes.to_le_bytes())?;
        self.out.write_all(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::Marshal;

    fn bytes(write: impl FnOnce(&mut Marshal<'_>) -> std::io::Result<()>) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut Marshal { out: &mut out }).expect("a vector takes everything");
        out
    }

    #[test]
    fn values_are_the_bytes_that_python_writes() {
        // marshal.dumps(x, 2)
        assert_eq!(bytes(|to| to.integer(7)), b"i\x07\0\0\0");
        assert_eq!(bytes(|to| to.integer(1 << 31)), b"l\x03\0\0\0\0\0\0\0\x02\0");
        assert_eq!(bytes(|to| to.float(1.5)), b"g\0\0\0\0\0\0\xf8\x3f");
        assert_eq!(bytes(|to| to.text("\u{e4}")), b"u\x02\0\0\0\xc3\xa4");
        let tuple = bytes(|to| {
            to.begin_tuple(1)?;
            to.integer(0)
        });
        assert_eq!(tuple, b"(\x01\0\0\0i\0\0\0\0");
        let dictionary = bytes(|to| {
            to.begin_dictionary()?;
            to.integer(1)?;
            to.integer(2)?;
            to.end_dictionary()
        });
        assert_eq!(dictionary, b"{i\x01\0\0\0i\x02\0\0\x000");
    }
}
