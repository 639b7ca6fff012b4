//! Why an ELF file could not be read.

use std::io;

/// Why a file, or a part of it, could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// No ELF magic.
    #[error("not an ELF file")]
    NotElf,
    /// Big-endian.
    #[error("big-endian ELF files are not supported")]
    BigEndian,
    /// The headers contradict each other or the file.
    #[error("malformed ELF file: {0}")]
    Malformed(&'static str),
    /// Reading it would take more than any real file does.
    #[error("the ELF file is too large or claims to be")]
    TooLarge,
    /// The file could not be read.
    #[error("reading the ELF file")]
    Io(#[from] io::Error),
}

/// Of an input error, its kind.
impl Clone for ElfError {
    fn clone(&self) -> Self {
        match self {
            Self::NotElf => Self::NotElf,
            Self::BigEndian => Self::BigEndian,
            Self::Malformed(what) => Self::Malformed(what),
            Self::TooLarge => Self::TooLarge,
            Self::Io(error) => Self::Io(error.kind().into()),
        }
    }
}
