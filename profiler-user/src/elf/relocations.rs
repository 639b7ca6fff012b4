//! Relocations: what the dynamic loader writes into the words of a file.

use object::LittleEndian;
use object::elf::{self, FileHeader32, FileHeader64, RelocationType};
use object::pod::from_bytes;
use object::read::elf::{FileHeader, Rela as _};

use super::class::{Class, LE};
use super::dynamic::LoadedTable;
use super::file::ElfFile;

/// Bytes of one table looked at for one word: 350,000 relocations; libpython has 30,000.
const MAX_TABLE_BYTES: u64 = 8 << 20;

/// What the loader writes into a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relocated {
    /// The address in the process that belongs to this static address.
    Address(u64),
    /// The address of the dynamic symbol of this number, plus this.
    Symbol {
        /// Its number.
        index: u32,
        /// Bytes, wrapping.
        addend: u64,
    },
    /// A TLS descriptor: two words.
    Descriptor,
    /// Something else.
    Other,
}

/// An entry of a table of relocations with addends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Static address of the word.
    pub address: u64,
    /// `R_*` of the processor.
    pub kind: RelocationType,
    /// Number of a dynamic symbol; 0 for none.
    pub symbol: u32,
    /// What is added.
    pub addend: i64,
}

/// The bytes of such a table, or of a part of one.
#[derive(Clone, Copy, Debug)]
pub struct Relocations<'a> {
    class: Class,
    bytes: &'a [u8],
}

impl<'a> Relocations<'a> {
    /// Its entries.
    pub fn iter(self) -> impl Iterator<Item = Relocation> + use<'a> {
        let entries = self.bytes.chunks_exact(entry_bytes(self.class));
        entries.filter_map(move |entry| relocation(self.class, entry))
    }
}

fn entry_bytes(class: Class) -> usize {
    match class {
        Class::Bits32 => size_of::<<FileHeader32<LittleEndian> as FileHeader>::Rela>(),
        Class::Bits64 => size_of::<<FileHeader64<LittleEndian> as FileHeader>::Rela>(),
    }
}

fn relocation(class: Class, bytes: &[u8]) -> Option<Relocation> {
    fn of<Elf: FileHeader<Endian = LittleEndian>>(bytes: &[u8]) -> Option<Relocation> {
        let (raw, _) = from_bytes::<Elf::Rela>(bytes).ok()?;
        Some(Relocation {
            address: raw.r_offset(LE).into(),
            kind: raw.r_type(LE, false),
            symbol: raw.r_sym(LE, false),
            addend: raw.r_addend(LE).into(),
        })
    }
    match class {
        Class::Bits32 => of::<FileHeader32<LittleEndian>>(bytes),
        Class::Bits64 => of::<FileHeader64<LittleEndian>>(bytes),
    }
}

impl ElfFile {
    /// The entries in these bytes of a table of relocations.
    #[must_use]
    pub fn relocations<'b>(&self, bytes: &'b [u8]) -> Relocations<'b> {
        Relocations {
            class: self.class,
            bytes,
        }
    }

    /// What the loader writes at this static address; `None` when no relocation is for it. Compact relative
    /// relocations (`DT_RELR`) are not looked at: the word in the file is what these add to.
    #[must_use]
    pub fn relocation(&self, address: u64) -> Option<Relocated> {
        self.dynamic()
            .relocations
            .into_iter()
            .find_map(|table| self.find_relocation(table, address))
    }

    fn find_relocation(&self, table: LoadedTable, address: u64) -> Option<Relocated> {
        let bytes = table.size.min(MAX_TABLE_BYTES);
        if bytes == 0 || self.reader.spare_bytes() < bytes {
            return None;
        }
        let start = self.file_offset(table.address)?;
        let mut found = None;
        let range = start..start.checked_add(bytes)?;
        self.reader
            .entries(range, entry_bytes(self.class), |bytes| {
                found = self
                    .relocations(bytes)
                    .iter()
                    .find(|entry| entry.address == address);
                found.is_none()
            })
            .ok()?;
        found.map(meaning)
    }
}

/// The numbers of the two processors do not overlap.
fn meaning(entry: Relocation) -> Relocated {
    let (index, addend) = (entry.symbol, entry.addend.cast_unsigned());
    match entry.kind {
        elf::R_X86_64_RELATIVE | elf::R_AARCH64_RELATIVE => Relocated::Address(addend),
        elf::R_X86_64_GLOB_DAT
        | elf::R_X86_64_JUMP_SLOT
        | elf::R_X86_64_64
        | elf::R_AARCH64_GLOB_DAT
        | elf::R_AARCH64_JUMP_SLOT
        | elf::R_AARCH64_ABS64 => Relocated::Symbol { index, addend },
        elf::R_X86_64_TLSDESC | elf::R_AARCH64_TLSDESC => Relocated::Descriptor,
        _ => Relocated::Other,
    }
}
