//! How a file's numbers are written.

use object::LittleEndian;

/// Little-endian; every value is.
pub(super) const LE: LittleEndian = LittleEndian;

/// How wide a file's structures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    Bits32,
    Bits64,
}
