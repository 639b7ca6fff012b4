//! The section table: what strippers leave of it, and linkers mean by it. The dynamic loader does without.
//!
//! A file without sections, or with wrong ones, has none: nothing here is an error.

use std::ops::Range;

use object::LittleEndian;
use object::elf::{
    FileHeader32, FileHeader64, SHF_ALLOC, SHF_COMPRESSED, SHF_EXECINSTR, SHT_NOBITS, SHT_NULL, SectionFlags,
    SectionType,
};
use object::pod::slice_from_bytes;
use object::read::elf::{FileHeader, SectionHeader};

use super::class::{Class, LE};
use super::error::ElfError;
use super::reader::Reader;

/// Sections, at most; linked files have a few dozen (`-ffunction-sections` exists in object files only).
const MAX_SECTIONS: u16 = 16 * 1024;
/// Bytes of all their names, at most.
const MAX_NAMES_BYTES: u64 = 1 << 20;
/// Bytes of a name that are looked at.
const MAX_NAME: usize = 64;

/// A section header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its name, as a byte of the names.
    pub name_at: u32,
    /// `sh_type`
    pub kind: SectionType,
    /// `sh_flags`
    pub flags: SectionFlags,
    /// Static address.
    pub address: u64,
    /// Byte of the file.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// `sh_link`: another section that it is about.
    pub link: u32,
    /// `sh_info`
    pub info: u32,
    /// `sh_addralign`
    pub alignment: u64,
    /// Bytes of one entry, if it is a table of entries.
    pub entry_bytes: u64,
}

impl Section {
    /// Bytes of the file.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(self.size)
    }

    /// Whether the file holds it.
    #[must_use]
    pub fn has_content(&self) -> bool {
        !matches!(self.kind, SHT_NOBITS | SHT_NULL)
    }

    /// Whether it is part of the running program.
    #[must_use]
    pub fn is_loaded(&self) -> bool {
        self.flags.contains(SHF_ALLOC)
    }

    /// Whether it is code.
    #[must_use]
    pub fn is_code(&self) -> bool {
        self.flags.contains(SHF_EXECINSTR)
    }

    /// Whether what the file holds is compressed.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.flags.contains(SHF_COMPRESSED)
    }

    /// Whether the static address is in it.
    #[must_use]
    pub fn contains(&self, address: u64) -> bool {
        address
            .checked_sub(self.address)
            .is_some_and(|offset| offset < self.size)
    }
}

/// All sections, in their order.
#[derive(Debug)]
pub struct Sections {
    all: Box<[Section]>,
    names: Vec<u8>,
    /// Which one the names are.
    names_index: usize,
}

/// Where the file header says that the section headers are.
#[derive(Clone, Copy, Debug)]
pub(super) struct SectionTable {
    pub(super) offset: u64,
    pub(super) count: u16,
    pub(super) names_index: u16,
}

impl Sections {
    pub(super) fn read(reader: &Reader, class: Class, table: SectionTable) -> Result<Self, ElfError> {
        let all = match class {
            Class::Bits32 => read::<FileHeader32<LittleEndian>>(reader, table)?,
            Class::Bits64 => read::<FileHeader64<LittleEndian>>(reader, table)?,
        };
        let names_index = usize::from(table.names_index);
        let names = match all.get(names_index) {
            Some(names) => reader.range(names.range(), MAX_NAMES_BYTES)?,
            // It is loaded like any other file; only its sections have no names.
            None => Vec::new(),
        };
        Ok(Self {
            all,
            names,
            names_index,
        })
    }

    /// Every section; the first one is empty.
    #[must_use]
    pub fn all(&self) -> &[Section] {
        &self.all
    }

    /// The bytes of all names.
    #[must_use]
    pub fn names(&self) -> &[u8] {
        &self.names
    }

    /// The index of the section that holds the names.
    #[must_use]
    pub fn names_index(&self) -> usize {
        self.names_index
    }

    /// The name of a section, as far as anybody would read it.
    #[must_use]
    pub fn name(&self, section: &Section) -> &[u8] {
        let rest = self.names.get(section.name_at as usize..).unwrap_or(&[]);
        let rest = rest.get(..MAX_NAME).unwrap_or(rest);
        rest.split(|&byte| byte == 0).next().unwrap_or(&[])
    }

    /// The first section of this name that the file holds.
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<&Section> {
        self.all
            .iter()
            .find(|section| section.has_content() && self.name(section) == name)
    }

    /// The first section of this type.
    #[must_use]
    pub fn of_kind(&self, kind: SectionType) -> Option<&Section> {
        self.all.iter().find(|section| section.kind == kind)
    }

    /// The section that another one is about, such as its names.
    #[must_use]
    pub fn linked(&self, section: &Section) -> Option<&Section> {
        self.all.get(section.link as usize)
    }
}

fn read<Elf: FileHeader<Endian = LittleEndian>>(
    reader: &Reader,
    table: SectionTable,
) -> Result<Box<[Section]>, ElfError> {
    if table.count > MAX_SECTIONS {
        return Err(ElfError::TooLarge);
    }
    if table.count == 0 {
        return Ok(Box::default());
    }
    let count = usize::from(table.count);
    let bytes = (count * size_of::<Elf::SectionHeader>()) as u64;
    let range = table.offset..table.offset.saturating_add(bytes);
    let bytes = reader.range(range, u64::MAX)?;
    let (raw, _) = slice_from_bytes::<Elf::SectionHeader>(&bytes, count)
        .map_err(|()| ElfError::Malformed("section headers beyond the end of the file"))?;
    Ok(raw.iter().map(section).collect())
}

fn section<Raw: SectionHeader<Endian = LittleEndian>>(raw: &Raw) -> Section {
    Section {
        name_at: raw.sh_name(LE),
        kind: raw.sh_type(LE),
        flags: raw.sh_flags(LE),
        address: raw.sh_addr(LE).into(),
        offset: raw.sh_offset(LE).into(),
        size: raw.sh_size(LE).into(),
        link: raw.sh_link(LE),
        info: raw.sh_info(LE),
        alignment: raw.sh_addralign(LE).into(),
        entry_bytes: raw.sh_entsize(LE).into(),
    }
}
