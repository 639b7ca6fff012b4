//! ELF files: headers, segments, sections, symbols, relocations, read by position and within limits.
//!
//! Used by whoever looks into a file that another process maps. Such a file is foreign: work and memory are bounded whatever
//! its headers claim. Knows nothing of Python, needs no process, opens nothing.

pub(crate) mod image;
pub(crate) mod relocations;
pub(crate) mod sections;
pub(crate) mod source;
pub(crate) mod static_symbols;

use std::fmt;
use std::io;

use object::elf::{EM_AARCH64, EM_X86_64, Machine};

/// Why a file could not be analysed.
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
    Malformed(String),
    /// Analysing it would take more reading than any real file.
    #[error("the ELF file is too large or claims to be")]
    TooLarge,
    /// The file could not be read.
    #[error("reading the ELF file")]
    Io(#[from] io::Error),
}

impl From<object::read::Error> for ElfError {
    fn from(error: object::read::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A `PT_LOAD` segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Static address.
    pub address: u64,
    /// Byte of the file that is loaded there.
    pub offset: u64,
    /// Bytes taken from the file.
    pub file_bytes: u64,
    /// Bytes in memory; what exceeds `file_bytes` is zero (`.bss`).
    pub memory_bytes: u64,
    /// `PF_W`
    pub writable: bool,
    /// `PF_X`
    pub executable: bool,
}

impl Segment {
    /// Byte of the file that is loaded at this static address; `None` outside the segment and in its `.bss`.
    pub(crate) fn file_offset(&self, address: u64) -> Option<u64> {
        let distance = address.checked_sub(self.address)?;
        (distance < self.file_bytes).then(|| self.offset.checked_add(distance))?
    }
}

/// The processor a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// Another; `e_machine` (System V ABI).
    Other(u16),
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X86_64 => f.write_str("x86-64"),
            Self::Aarch64 => f.write_str("aarch64"),
            Self::Other(machine) => write!(f, "ELF machine {machine}"),
        }
    }
}

pub(crate) fn architecture(machine: Machine) -> Architecture {
    match machine {
        EM_X86_64 => Architecture::X86_64,
        EM_AARCH64 => Architecture::Aarch64,
        other => Architecture::Other(other.0),
    }
}
