//! Why there are no tables of a file.

use crate::elf::ElfError;

/// Why there are no tables of a file, or of a block of it.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not ELF, or of another class, byte order or processor.
    #[error("not a 64-bit ELF file for x86-64 or aarch64")]
    NotSupported,
    /// More than any real file has.
    #[error("the file has more of something than is looked at")]
    TooLarge,
    /// No such block.
    #[error("the file has fewer blocks of code")]
    NoBlock,
    /// The file could not be read, or is malformed.
    #[error(transparent)]
    Elf(ElfError),
    /// The same, as a worker found.
    #[error("the file could not be read, or is malformed")]
    Malformed,
    /// Workers were lost over it.
    #[error("reading the file failed or took too long")]
    Lost,
}

impl From<ElfError> for TableError {
    fn from(error: ElfError) -> Self {
        match error {
            ElfError::NotElf | ElfError::BigEndian => Self::NotSupported,
            ElfError::TooLarge => Self::TooLarge,
            other => Self::Elf(other),
        }
    }
}
