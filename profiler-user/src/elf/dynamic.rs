//! The dynamic table: where the dynamic loader finds symbols, relocations and other files.
//!
//! The section table is not consulted: it may be stripped, or lie, without the program noticing.

use object::LittleEndian;
use object::elf::{self, FileHeader32, FileHeader64};
use object::pod::slice_from_bytes;
use object::read::elf::{Dyn as _, FileHeader};

use super::class::{Class, LE};
use super::program::ProgramHeader;
use super::reader::Reader;

/// Dynamic entries looked at; real files have a few dozen, plus one per needed library.
const MAX_DYNAMIC: u64 = 4096;

/// The dynamic table, addresses still static.
#[derive(Debug, Default)]
pub(super) struct Dynamic {
    pub(super) symbols: Option<u64>,
    pub(super) strings: Option<u64>,
    pub(super) gnu_hash: Option<u64>,
    pub(super) sysv_hash: Option<u64>,
    pub(super) soname: Option<u64>,
    pub(super) needed: Vec<u64>,
    pub(super) debug_slot: Option<u64>,
    is_pie: bool,
    /// Relocations with addends: those for the start, and those of the procedure linkage table.
    pub(super) relocations: [LoadedTable; 2],
}

/// A table that the dynamic table describes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LoadedTable {
    /// Static address.
    pub(super) address: u64,
    /// Bytes.
    pub(super) size: u64,
}

impl Dynamic {
    /// Reads the table of this header. A malformed one is an empty one: the loader would not start such a file.
    pub(super) fn read(reader: &Reader, class: Class, header: &ProgramHeader) -> Self {
        let read = match class {
            Class::Bits32 => parse::<FileHeader32<LittleEndian>>(reader, header),
            Class::Bits64 => parse::<FileHeader64<LittleEndian>>(reader, header),
        };
        read.unwrap_or_default()
    }

    /// Whether it says that this is a program, not a library.
    pub(super) fn is_program(&self) -> bool {
        self.is_pie || self.debug_slot.is_some()
    }
}

fn parse<Elf: FileHeader<Endian = LittleEndian>>(reader: &Reader, header: &ProgramHeader) -> Option<Dynamic> {
    let entry_bytes = size_of::<Elf::Dyn>() as u64;
    let count = (header.file_bytes / entry_bytes).min(MAX_DYNAMIC);
    let end = header.offset.checked_add(count * entry_bytes)?;
    let bytes = reader.range(header.offset..end, u64::MAX).ok()?;
    let (entries, _) = slice_from_bytes::<Elf::Dyn>(&bytes, usize::try_from(count).ok()?).ok()?;
    let mut dynamic = Dynamic::default();
    let [relocations, plt_relocations] = &mut dynamic.relocations;
    for (slot, entry) in (0..).step_by(size_of::<Elf::Dyn>()).zip(entries) {
        let value = entry.val(LE);
        match entry.tag(LE) {
            elf::DT_NULL => break,
            elf::DT_SYMTAB => dynamic.symbols = Some(value),
            elf::DT_STRTAB => dynamic.strings = Some(value),
            elf::DT_GNU_HASH => dynamic.gnu_hash = Some(value),
            elf::DT_HASH => dynamic.sysv_hash = Some(value),
            elf::DT_SONAME => dynamic.soname = Some(value),
            elf::DT_NEEDED => dynamic.needed.push(value),
            elf::DT_FLAGS_1 => dynamic.is_pie = value & elf::DF_1_PIE.0 != 0,
            elf::DT_RELA => relocations.address = value,
            elf::DT_RELASZ => relocations.size = value,
            elf::DT_JMPREL => plt_relocations.address = value,
            elf::DT_PLTRELSZ => plt_relocations.size = value,
            // The value is the second half of the entry.
            elf::DT_DEBUG => dynamic.debug_slot = Some(header.address.wrapping_add(slot + entry_bytes / 2)),
            _ => {}
        }
    }
    Some(dynamic)
}
