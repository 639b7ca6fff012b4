//! The parts of a record, cut out of the bytes of a ring.

use zerocopy::{FromBytes, IntoBytes};

use super::error::DecodeError;

/// Records may be padded to this many bytes.
const RECORD_ALIGNMENT: usize = 8;

/// Reads a record of `T`, of which at least the first `head` bytes are there. It is sent without the end of its last array;
/// what was not sent is zero.
pub(super) fn record<T: FromBytes + IntoBytes>(bytes: &[u8], head: usize) -> Result<T, DecodeError> {
    part(bytes, 0, head)?;
    let mut record = T::new_zeroed();
    for (to, from) in record.as_mut_bytes().iter_mut().zip(bytes) {
        *to = *from;
    }
    Ok(record)
}

pub(super) fn part(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8], DecodeError> {
    let needed = offset.saturating_add(length);
    bytes.get(offset..needed).ok_or(DecodeError::TooShort {
        needed,
        found: bytes.len(),
    })
}

/// The variable tail of `length` bytes at `offset`, which ends the record but for padding.
pub(super) fn tail(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8], DecodeError> {
    let needed = offset.saturating_add(length);
    let found = bytes.len();
    if found >= needed.saturating_add(RECORD_ALIGNMENT) {
        return Err(DecodeError::TooLong { needed, found });
    }
    part(bytes, offset, length)
}
