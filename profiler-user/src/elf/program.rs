//! Program headers: what of a file is loaded, and where.

use std::ops::Range;

use object::LittleEndian;
use object::elf::{PF_W, PF_X, PT_LOAD, ProgramFlags, ProgramType};
use object::read::elf::ProgramHeader as RawHeader;
use serde::{Deserialize, Serialize};

use super::class::LE;

/// A `PT_LOAD` segment, as far as the file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Where the file holds what is loaded at this static address, and how many bytes there are from there on; `None`
    /// outside the segment and in its `.bss`.
    #[must_use]
    pub fn file_extent(&self, address: u64) -> Option<(u64, u64)> {
        let distance = address.checked_sub(self.address)?;
        let left = self.file_bytes.checked_sub(distance).filter(|&left| left > 0)?;
        Some((self.offset.checked_add(distance)?, left))
    }

    /// Whether the static address is in it, `.bss` included.
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        address
            .checked_sub(self.address)
            .is_some_and(|distance| distance < self.memory_bytes)
    }
}

/// A program header of any type.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgramHeader {
    pub(super) kind: ProgramType,
    flags: ProgramFlags,
    pub(super) offset: u64,
    pub(super) address: u64,
    pub(super) file_bytes: u64,
    pub(super) memory_bytes: u64,
    pub(super) alignment: u64,
}

impl ProgramHeader {
    /// Bytes of the file.
    pub(super) fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.file_bytes)
    }
}

/// One header, as far as a file of `length` bytes goes.
pub(super) fn program_header<Raw: RawHeader<Endian = LittleEndian>>(raw: &Raw, length: u64) -> ProgramHeader {
    let offset: u64 = raw.p_offset(LE).into();
    let file_bytes: u64 = raw.p_filesz(LE).into();
    ProgramHeader {
        kind: raw.p_type(LE),
        flags: raw.p_flags(LE),
        offset,
        address: raw.p_vaddr(LE).into(),
        file_bytes: file_bytes.min(length.saturating_sub(offset)),
        memory_bytes: raw.p_memsz(LE).into(),
        alignment: raw.p_align(LE).into(),
    }
}

/// What is loaded.
pub(super) fn segments(headers: &[ProgramHeader]) -> Box<[Segment]> {
    let loaded = headers.iter().filter(|header| header.kind == PT_LOAD);
    loaded
        .map(|header| Segment {
            address: header.address,
            offset: header.offset,
            file_bytes: header.file_bytes,
            memory_bytes: header.memory_bytes,
            writable: header.flags.contains(PF_W),
            executable: header.flags.contains(PF_X),
        })
        .collect()
}
