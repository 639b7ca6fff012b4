//! Columns of numbers in the page, as short texts: a browser reads a million of them in a fraction of the time that JSON's own
//! numbers take. `page/recording.js` reads them. Used by the page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// A column that is written as one text: how much each number differs from the one before (zigzag, so that small ones stay
/// small), as bytes of seven bits with the lowest first, in base64.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Column(Vec<u64>);

impl Column {
    pub(super) fn push(&mut self, number: impl Into<u64>) {
        self.0.push(number.into());
    }

    /// Of a position in a table.
    pub(super) fn push_position(&mut self, position: usize) {
        self.0.push(position as u64);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has_any(&self) -> bool {
        self.0.iter().any(|number| *number != 0)
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut last = 0u64;
        for number in &self.0 {
            let difference = number.wrapping_sub(last).cast_signed();
            last = *number;
            let mut rest = ((difference << 1) ^ (difference >> 63)).cast_unsigned();
            while rest >= 0x80 {
                bytes.push(0x80 | (rest & 0x7f) as u8);
                rest >>= 7;
            }
            bytes.push((rest & 0x7f) as u8);
        }
        bytes
    }
}

impl Serialize for Column {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(self.bytes()))
    }
}

/// What a page reads of such a text.
#[cfg(test)]
pub(super) fn read(text: &str) -> Vec<u64> {
    let bytes = STANDARD.decode(text).expect("base64");
    let (mut column, mut last, mut value, mut shift) = (Vec::new(), 0u64, 0u64, 0);
    for byte in bytes {
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            last = last.wrapping_add((value >> 1) ^ (value & 1).wrapping_neg());
            column.push(last);
            (value, shift) = (0, 0);
        }
    }
    column
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Column, read};

    proptest! {
        #[test]
        fn what_is_written_is_read_back(numbers in proptest::collection::vec(any::<u64>(), 0..50)) {
            let text = serde_json::to_value(Column(numbers.clone())).expect("a text");
            prop_assert_eq!(read(text.as_str().expect("a text")), numbers);
        }
    }

    #[test]
    fn rows_in_order_take_a_byte_each() {
        let column = Column((7_000_000..7_000_300).collect());
        assert!(column.bytes().len() < 310);
    }
}
