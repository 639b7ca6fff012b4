//! Why bytes are not a record.

use thiserror::Error;

/// Why bytes are not a record. It means that the two halves do not fit together; nothing that a target does leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Fewer bytes than the record's own counts promise.
    #[error("the record needs {needed} bytes and has {found}")]
    TooShort {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// More bytes than the record's own counts and padding account for.
    #[error("the record needs {needed} bytes and has {found}, more than padding explains")]
    TooLong {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// Not one of [`record_kind`].
    #[error("record kind {0} is unknown")]
    Kind(u16),
    /// More frames than a block holds.
    #[error("{0} frames do not fit into one block")]
    FrameCount(u16),
    /// A block beyond the last possible one.
    #[error("block {0} of a sample cannot exist")]
    BlockIndex(u8),
    /// Not a [`StackStatus`] code.
    #[error("stack status {0} is unknown")]
    StackStatus(u8),
    /// Not a [`Source`] code.
    #[error("source {0} is unknown")]
    Source(u16),
    /// Not a [`NativeStatus`] code.
    #[error("native stack status {0} is unknown")]
    NativeStatus(u16),
    /// Not a [`GilState`] code.
    #[error("lock state {0} is unknown")]
    GilState(u8),
    /// A string whose kind, length and stored bytes contradict each other.
    #[error("a string of {length} characters of {kind} bytes cannot have {stored} bytes captured")]
    Text {
        /// As [`TextHeader::kind`].
        kind: u8,
        /// As [`TextHeader::length`].
        length: u32,
        /// As [`TextHeader::stored`].
        stored: u16,
    },
    /// More captured bytes of the line table than it has, or than fit.
    #[error("a line table of {length} bytes cannot have {stored} bytes captured")]
    LineTable {
        /// As [`CodeDefinition::line_table_length`].
        length: u32,
        /// As [`CodeDefinition::line_table_stored`].
        stored: u16,
    },
    /// More bytes of a class name than fit.
    #[error("{0} bytes of a class name do not fit into a record")]
    Class(u32),
    /// More bytes of a command line than fit.
    #[error("{0} bytes of a command line do not fit into a record")]
    Command(u16),
}
