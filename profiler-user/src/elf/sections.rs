//! The parts of an ELF file that only the section table leads to: `.PyRuntime`, `.symtab`, `.rodata`.
//!
//! Used by [`super`] for what the dynamic symbols do not tell. A file without sections, or with wrong ones,
//! has none of this and is analysed without; nothing here is an error.

use std::ops::RangeInclusive;

use object::LittleEndian;
use object::elf;
use object::pod::slice_from_bytes;
use object::read::elf::{FileHeader, SectionHeader as _, Sym as _};

use super::image::{Image, Symbol};
use super::source::Source;

/// Sections looked at; linked files have a few dozen.
const MAX_SECTIONS: usize = 1024;
/// Bytes of `.symtab` looked at: 700,000 symbols.
const MAX_SYMBOL_BYTES: u64 = 16 << 20;
/// Symbols in one read.
const SYMBOLS_PER_READ: usize = 8192;
/// Names compared in `.symtab`, about.
const MAX_CANDIDATES: usize = 10_000;

const LE: LittleEndian = LittleEndian;

/// A section that is part of the running program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Static address.
    pub(crate) address: u64,
    /// Byte of the file.
    pub(crate) offset: u64,
    /// Bytes.
    pub(crate) size: u64,
}

impl<Elf: FileHeader<Endian = LittleEndian>, S: Source> Image<'_, Elf, S> {
    /// The loaded section of this name.
    pub(crate) fn section(&self, name: &[u8]) -> Option<Section> {
        let sections = self.header.section_headers(LE, self.data).ok()?;
        let index = self.header.section_strings_index(LE, self.data).ok()?;
        let strings: u64 = sections.get(index.0)?.sh_offset(LE).into();
        sections.iter().take(MAX_SECTIONS).find_map(|section| {
            if section.sh_type(LE) == elf::SHT_NULL || !section.sh_flags(LE).contains(elf::SHF_ALLOC) {
                return None;
            }
            self.is_string(strings.checked_add(u64::from(section.sh_name(LE)))?, name)?;
            Some(Section {
                address: section.sh_addr(LE).into(),
                offset: section.sh_offset(LE).into(),
                size: section.sh_size(LE).into(),
            })
        })
    }

    /// The data object of this name and of a size in `sizes`, if `.symtab` defines it. The size spares
    /// reading the names of nearly all symbols.
    pub(crate) fn static_symbol(&self, name: &[u8], sizes: RangeInclusive<u64>) -> Option<Symbol> {
        let sections = self.header.section_headers(LE, self.data).ok()?;
        let table = sections
            .iter()
            .take(MAX_SECTIONS)
            .find(|section| section.sh_type(LE) == elf::SHT_SYMTAB)?;
        let strings: u64 = sections.get(table.sh_link(LE) as usize)?.sh_offset(LE).into();
        let start: u64 = table.sh_offset(LE).into();
        let size: u64 = table.sh_size(LE).into();
        let mut left = usize::try_from(size.min(MAX_SYMBOL_BYTES)).ok()? / size_of::<Elf::Sym>();
        let mut position = start;
        let mut candidates = 0;
        let mut bytes = vec![0; SYMBOLS_PER_READ.min(left) * size_of::<Elf::Sym>()];
        while left > 0 && candidates < MAX_CANDIDATES {
            let count = left.min(SYMBOLS_PER_READ);
            bytes.truncate(count * size_of::<Elf::Sym>());
            self.data.read_into(&mut bytes, position)?;
            let (symbols, _) = slice_from_bytes::<Elf::Sym>(&bytes, count).ok()?;
            for symbol in symbols.iter().filter(|symbol| is_object(*symbol, &sizes)) {
                candidates += 1;
                let name_at = strings.checked_add(u64::from(symbol.st_name(LE)))?;
                if self.is_string(name_at, name).is_some() {
                    return Some(Symbol {
                        address: symbol.st_value(LE).into(),
                        size: symbol.st_size(LE).into(),
                    });
                }
            }
            left -= count;
            position = position.checked_add(bytes.len() as u64)?;
        }
        None
    }
}

fn is_object<Sym: object::read::elf::Sym<Endian = LittleEndian>>(
    symbol: &Sym,
    sizes: &RangeInclusive<u64>,
) -> bool {
    symbol.st_type() == elf::STT_OBJECT
        && symbol.st_shndx(LE) != elf::SHN_UNDEF
        && sizes.contains(&symbol.st_size(LE).into())
}
