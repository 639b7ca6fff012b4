//! The parts of an ELF file that the dynamic loader goes by: segments, the dynamic table, dynamic symbols.
//!
//! Used by [`super`]. The section table is not consulted here: it may be stripped, or lie, without the
//! program noticing.

use std::ops::Range;

use object::LittleEndian;
use object::elf;
use object::read::ReadRef as _;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _, Sym as _};

use super::source::{Bounded, Source};
use super::{ElfError, Segment};

/// Segments looked at; real files have about a dozen.
const MAX_SEGMENTS: usize = 256;
/// Dynamic entries looked at; real files have a few dozen, plus one per needed library.
const MAX_DYNAMIC: usize = 4096;
/// Symbols compared for one name.
const MAX_CHAIN: usize = 1024;
/// Bytes of a loader path, a soname or a symbol name, at most.
const MAX_NAME: usize = 256;

/// Little-endian; every value is.
const LE: LittleEndian = LittleEndian;

/// A symbol that the file defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Symbol {
    /// Static address.
    pub(crate) address: u64,
    /// Bytes of the object; 0 where the linker did not say.
    pub(crate) size: u64,
}

/// A dynamic symbol that the file defines or refers to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DynamicSymbol {
    /// Byte of the file at which its name begins.
    pub(crate) name_at: u64,
    /// `None` where another file has to define it.
    pub(crate) definition: Option<Symbol>,
}

/// The dynamic table, addresses still static.
#[derive(Debug, Default)]
struct Dynamic {
    symbols: Option<u64>,
    strings: Option<u64>,
    gnu_hash: Option<u64>,
    sysv_hash: Option<u64>,
    soname: Option<u64>,
    needed: Vec<u64>,
    debug_slot: Option<u64>,
    is_pie: bool,
    relocations: Table,
    plt_relocations: Table,
}

/// A table that the dynamic table or a program header describes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Table {
    /// Static address.
    pub(crate) address: u64,
    /// Bytes.
    pub(crate) size: u64,
}

/// The thread-local variables of the file (`PT_TLS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ThreadLocals {
    /// Static address of their initial values.
    pub(crate) address: u64,
    /// Bytes in each thread.
    pub(crate) memory_bytes: u64,
    /// Their alignment.
    pub(crate) alignment: u64,
}

/// A parsed file.
#[derive(Debug)]
pub(crate) struct Image<'a, Elf: FileHeader, S: Source> {
    /// The file.
    pub(crate) data: Bounded<'a, S>,
    /// Its header.
    pub(crate) header: &'a Elf,
    /// Its `PT_LOAD` segments.
    pub(crate) segments: Vec<Segment>,
    /// `PT_INTERP`.
    pub(crate) loader: Option<Box<[u8]>>,
    /// `PT_TLS`.
    pub(crate) thread_locals: Option<ThreadLocals>,
    /// `PT_GNU_EH_FRAME`: `.eh_frame_hdr`.
    pub(crate) unwind_index: Option<Table>,
    /// What the loader makes read-only after it wrote to it (`PT_GNU_RELRO`): static addresses.
    pub(crate) written_once: Range<u64>,
    /// Whether it carries the ABI note that every program linked with glibc carries.
    pub(crate) has_abi_note: bool,
    dynamic: Dynamic,
}

impl<'a, Elf: FileHeader<Endian = LittleEndian>, S: Source> Image<'a, Elf, S> {
    /// Reads the headers.
    pub(crate) fn parse(data: Bounded<'a, S>) -> Result<Self, ElfError> {
        let header = Elf::parse(data)?;
        let headers = header.program_headers(LE, data)?;
        if headers.len() > MAX_SEGMENTS {
            return Err(ElfError::TooLarge);
        }
        let mut image = Self {
            data,
            header,
            segments: Vec::new(),
            loader: None,
            thread_locals: None,
            unwind_index: None,
            written_once: 0..0,
            has_abi_note: false,
            dynamic: Dynamic::default(),
        };
        for header in headers {
            image.take_segment(header)?;
        }
        Ok(image)
    }

    fn take_segment(&mut self, header: &Elf::ProgramHeader) -> Result<(), ElfError> {
        match header.p_type(LE) {
            elf::PT_LOAD => self.segments.push(Segment {
                address: header.p_vaddr(LE).into(),
                offset: header.p_offset(LE).into(),
                file_bytes: header.p_filesz(LE).into(),
                memory_bytes: header.p_memsz(LE).into(),
                writable: header.p_flags(LE).contains(elf::PF_W),
                executable: header.p_flags(LE).contains(elf::PF_X),
            }),
            elf::PT_INTERP => {
                let path = header.interpreter(LE, self.data)?.unwrap_or_default();
                self.loader = Some(path.get(..MAX_NAME).unwrap_or(path).into());
            }
            elf::PT_DYNAMIC => self.take_dynamic(header)?,
            elf::PT_TLS => {
                self.thread_locals = Some(ThreadLocals {
                    address: header.p_vaddr(LE).into(),
                    memory_bytes: header.p_memsz(LE).into(),
                    alignment: header.p_align(LE).into(),
                });
            }
            elf::PT_GNU_EH_FRAME => {
                self.unwind_index = Some(Table {
                    address: header.p_vaddr(LE).into(),
                    size: header.p_filesz(LE).into(),
                });
            }
            elf::PT_GNU_RELRO => {
                let start: u64 = header.p_vaddr(LE).into();
                self.written_once = start..start.saturating_add(header.p_memsz(LE).into());
            }
            elf::PT_NOTE => self.has_abi_note |= self.is_abi_note(header),
            _ => {}
        }
        Ok(())
    }

    /// A malformed note is no note: nothing depends on it but the guess which C library is linked in.
    fn is_abi_note(&self, header: &Elf::ProgramHeader) -> bool {
        let Ok(Some(mut notes)) = header.notes(LE, self.data) else {
            return false;
        };
        (0..MAX_SEGMENTS).any(|_| {
            notes.next().ok().flatten().is_some_and(|note| {
                note.name() == elf::ELF_NOTE_GNU && note.n_type(LE) == elf::NT_GNU_ABI_TAG
            })
        })
    }

    fn take_dynamic(&mut self, header: &Elf::ProgramHeader) -> Result<(), ElfError> {
        let entries = header.dynamic(LE, self.data)?.unwrap_or_default();
        let start: u64 = header.p_vaddr(LE).into();
        for (index, entry) in entries.iter().take(MAX_DYNAMIC).enumerate() {
            let value = entry.val(LE);
            match entry.tag(LE) {
                elf::DT_NULL => break,
                elf::DT_SYMTAB => self.dynamic.symbols = Some(value),
                elf::DT_STRTAB => self.dynamic.strings = Some(value),
                elf::DT_GNU_HASH => self.dynamic.gnu_hash = Some(value),
                elf::DT_HASH => self.dynamic.sysv_hash = Some(value),
                elf::DT_SONAME => self.dynamic.soname = Some(value),
                elf::DT_NEEDED => self.dynamic.needed.push(value),
                elf::DT_FLAGS_1 => self.dynamic.is_pie = value & elf::DF_1_PIE.0 != 0,
                elf::DT_RELA => self.dynamic.relocations.address = value,
                elf::DT_RELASZ => self.dynamic.relocations.size = value,
                elf::DT_JMPREL => self.dynamic.plt_relocations.address = value,
                elf::DT_PLTRELSZ => self.dynamic.plt_relocations.size = value,
                elf::DT_DEBUG => {
                    let entry_bytes = size_of::<Elf::Dyn>() as u64;
                    let slot = index as u64 * entry_bytes + entry_bytes / 2;
                    self.dynamic.debug_slot = Some(start.wrapping_add(slot));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Where the file holds what is loaded at the static address; `None` for what it does not hold (`.bss`).
    pub(crate) fn file_offset(&self, address: u64) -> Option<u64> {
        self.segments
            .iter()
            .find_map(|segment| segment.file_offset(address))
    }

    /// Fills `out` with what is loaded at the static address.
    pub(crate) fn read_address(&self, address: u64, out: &mut [u8]) -> Option<()> {
        self.data.read_into(out, self.file_offset(address)?)
    }

    /// `DT_SONAME`.
    pub(crate) fn soname(&self) -> Option<&'a [u8]> {
        self.string(self.dynamic.soname?)
    }

    /// Whether `DT_NEEDED` names a library for which `is_wanted` holds.
    pub(crate) fn needs(&self, is_wanted: impl Fn(&[u8]) -> bool) -> bool {
        self.dynamic
            .needed
            .iter()
            .any(|&offset| self.string(offset).is_some_and(&is_wanted))
    }

    /// Static address of the `DT_DEBUG` value, where the loader leaves the address of its `r_debug`.
    pub(crate) fn debug_slot(&self) -> Option<u64> {
        self.dynamic.debug_slot
    }

    /// The dynamic relocations, with addends: those for the start, and those of the PLT.
    pub(crate) fn relocation_tables(&self) -> [Table; 2] {
        [self.dynamic.relocations, self.dynamic.plt_relocations]
    }

    /// Whether this is a program, not a library.
    pub(crate) fn is_program(&self) -> bool {
        self.header.e_type(LE) == elf::ET_EXEC || self.dynamic.is_pie || self.dynamic.debug_slot.is_some()
    }

    /// Whether this is linked dynamically at all.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.dynamic.strings.is_some()
    }

    fn string(&self, offset: u64) -> Option<&'a [u8]> {
        let start = self.file_offset(self.dynamic.strings?)?.checked_add(offset)?;
        self.data
            .read_bytes_at_until(
                start..start.checked_add(MAX_NAME as u64)?.min(self.data.len().ok()?),
                0,
            )
            .ok()
    }

    /// The dynamic symbol of this name, if this file defines it; an undefined reference is none.
    pub(crate) fn dynamic_symbol(&self, name: &[u8]) -> Option<Symbol> {
        match (self.dynamic.gnu_hash, self.dynamic.sysv_hash) {
            (Some(table), _) => self.find_by_gnu_hash(self.file_offset(table)?, name),
            (None, Some(table)) => self.find_by_sysv_hash(self.file_offset(table)?, name),
            (None, None) => None,
        }
    }

    /// The table's format: <https://sourceware.org/legacy-ml/binutils/2006-10/msg00377.html>. A handful of
    /// small reads instead of whole tables: a host has thousands of libraries, and nearly all of them are not
    /// Python.
    fn find_by_gnu_hash(&self, table: u64, name: &[u8]) -> Option<Symbol> {
        let hash = elf::gnu_hash(name);
        let [buckets, first_symbol, bloom_words, bloom_shift] = [0, 4, 8, 12].map(|at| self.word(table, at));
        let (buckets, first_symbol, bloom_words) = (buckets?, first_symbol?, bloom_words?);
        let word_bytes = size_of::<Elf::Word>() as u64;
        let word_bits = word_bytes as u32 * 8;
        let word_index = u64::from((hash / word_bits).checked_rem(bloom_words)?);
        let mut bloom = [0; 8];
        let bloom_start = table.checked_add(16)?;
        let bloom_at = bloom_start.checked_add(word_index * word_bytes)?;
        self.data.read_into(&mut bloom[..word_bytes as usize], bloom_at)?;
        let bits =
            (1u64 << (hash % word_bits)) | (1 << ((hash.checked_shr(bloom_shift?).unwrap_or(0)) % word_bits));
        if u64::from_le_bytes(bloom) & bits != bits {
            return None;
        }
        let bucket_start = bloom_start.checked_add(u64::from(bloom_words) * word_bytes)?;
        let chain_start = bucket_start.checked_add(u64::from(buckets) * 4)?;
        let mut index = self.word(bucket_start, u64::from(hash.checked_rem(buckets)?) * 4)?;
        for _ in 0..MAX_CHAIN {
            let value = self.word(chain_start, u64::from(index.checked_sub(first_symbol)?) * 4)?;
            if value | 1 == hash | 1
                && let Some(symbol) = self.symbol_if_named(index, name)
            {
                return Some(symbol);
            }
            if value & 1 == 1 {
                return None;
            }
            index = index.checked_add(1)?;
        }
        None
    }

    /// System V ABI, "Hash Table": the older format, alone in few files.
    fn find_by_sysv_hash(&self, table: u64, name: &[u8]) -> Option<Symbol> {
        let buckets = self.word(table, 0)?;
        let chain_start = table.checked_add(8)?.checked_add(u64::from(buckets) * 4)?;
        let mut index = self.word(table, 8 + u64::from(elf::hash(name).checked_rem(buckets)?) * 4)?;
        for _ in 0..MAX_CHAIN {
            if index == 0 {
                return None;
            }
            if let Some(symbol) = self.symbol_if_named(index, name) {
                return Some(symbol);
            }
            index = self.word(chain_start, u64::from(index) * 4)?;
        }
        None
    }

    fn symbol_if_named(&self, index: u32, name: &[u8]) -> Option<Symbol> {
        let symbol = self.dynamic_symbol_at(index)?;
        let definition = symbol.definition?;
        self.is_string(symbol.name_at, name)?;
        Some(definition)
    }

    /// The dynamic symbol of this number.
    pub(crate) fn dynamic_symbol_at(&self, index: u32) -> Option<DynamicSymbol> {
        let table = self.file_offset(self.dynamic.symbols?)?;
        let at = table.checked_add(u64::from(index) * size_of::<Elf::Sym>() as u64)?;
        let symbol: &Elf::Sym = self.data.read_at(at).ok()?;
        let strings = self.file_offset(self.dynamic.strings?)?;
        Some(DynamicSymbol {
            name_at: strings.checked_add(u64::from(symbol.st_name(LE)))?,
            definition: (symbol.st_shndx(LE) != elf::SHN_UNDEF).then(|| Symbol {
                address: symbol.st_value(LE).into(),
                size: symbol.st_size(LE).into(),
            }),
        })
    }

    /// `Some` when the NUL-terminated string at this byte of the file is `name`.
    pub(crate) fn is_string(&self, offset: u64, name: &[u8]) -> Option<()> {
        let mut buffer = [0; MAX_NAME];
        let found = buffer.get_mut(..=name.len())?;
        self.data.read_into(found, offset)?;
        (found.strip_suffix(b"\0")? == name).then_some(())
    }

    fn word(&self, table: u64, at: u64) -> Option<u32> {
        let mut bytes = [0; 4];
        self.data.read_into(&mut bytes, table.checked_add(at)?)?;
        Some(u32::from_le_bytes(bytes))
    }
}
