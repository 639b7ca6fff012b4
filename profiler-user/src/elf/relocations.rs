//! What the dynamic loader writes into one word of the file: the entries of global offset tables.
//!
//! Used to find what leads to a thread's state, for the few words that the code of interpreters goes through. Tables are read
//! in pieces and up to a cap.

use object::LittleEndian;
use object::elf::{self, RelocationType};
use object::pod::slice_from_bytes;
use object::read::elf::{FileHeader, Rela as _};

use super::image::{Image, Table};
use super::source::Source;

/// Bytes of one table looked at: 350,000 relocations; libpython has 30,000.
const MAX_TABLE_BYTES: u64 = 8 << 20;
/// Relocations in one read.
const PER_READ: usize = 8192;

const LE: LittleEndian = LittleEndian;

/// What the loader writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relocated {
    /// The address in the process that belongs to this static address.
    Address(u64),
    /// The address of the dynamic symbol of this number, plus this.
    Symbol { index: u32, addend: u64 },
    /// A TLS descriptor: two words.
    Descriptor,
    /// Something else.
    Other,
}

impl<Elf: FileHeader<Endian = LittleEndian>, S: Source> Image<'_, Elf, S> {
    /// What the loader writes at this static address; `None` when no relocation is for it. Compact relative
    /// relocations (`DT_RELR`) are not looked at: the word in the file is what these add to.
    pub(crate) fn relocation(&self, address: u64) -> Option<Relocated> {
        self.relocation_tables()
            .into_iter()
            .find_map(|table| self.find_relocation(table, address))
    }

    fn find_relocation(&self, table: Table, address: u64) -> Option<Relocated> {
        if table.size == 0 || !self.data.can_spare(table.size.min(MAX_TABLE_BYTES)) {
            return None;
        }
        let mut position = self.file_offset(table.address)?;
        let entry = size_of::<Elf::Rela>();
        let mut left = usize::try_from(table.size.min(MAX_TABLE_BYTES)).ok()? / entry;
        let mut bytes = vec![0; PER_READ.min(left) * entry];
        while left > 0 {
            let count = left.min(PER_READ);
            bytes.truncate(count * entry);
            self.data.read_into(&mut bytes, position)?;
            let (relocations, _) = slice_from_bytes::<Elf::Rela>(&bytes, count).ok()?;
            let found = relocations
                .iter()
                .find(|relocation| relocation.r_offset(LE).into() == address);
            if let Some(relocation) = found {
                let addend: i64 = relocation.r_addend(LE).into();
                return Some(meaning(
                    relocation.r_type(LE, false),
                    relocation.r_sym(LE, false),
                    addend.cast_unsigned(),
                ));
            }
            left -= count;
            position = position.checked_add(bytes.len() as u64)?;
        }
        None
    }
}

/// The numbers of the two processors do not overlap.
fn meaning(kind: RelocationType, index: u32, addend: u64) -> Relocated {
    match kind {
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
