//! Symbol tables.
//!
//! Local symbols are looked for several names at a time: names first, since nearly no symbol has one of them. A name that is
//! defined twice with different values is not a name.

use std::ops::{Range, RangeInclusive};

use memchr::memmem;
use object::LittleEndian;
use object::elf::{
    FileHeader32, FileHeader64, SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, STT_FUNC, STT_GNU_IFUNC, STT_OBJECT,
    SymbolType,
};
use object::pod::from_bytes;
use object::read::elf::{FileHeader, Sym as _};

use super::class::{Class, LE};
use super::error::ElfError;
use super::file::ElfFile;
use super::sections::{Section, Sections};

/// Bytes of `.symtab`, and of its names, looked at for several names: 350,000 symbols.
const MAX_TABLE_BYTES: u64 = 8 << 20;
/// The same for one name of a known size, where names are read only of few.
const MAX_SIZED_TABLE_BYTES: u64 = 16 << 20;
/// Bytes of each symbol table looked at for functions: 170,000 symbols.
const MAX_FUNCTIONS_TABLE_BYTES: u64 = 4 << 20;
/// Names compared in `.symtab`, about.
const MAX_CANDIDATES: usize = 10_000;
/// Places at which a name occurs in the table of names: as one, or as the end of another.
const MAX_OCCURRENCES: usize = 64;
/// Bytes of a name to be looked for.
const MAX_WANTED_NAME: usize = 64;
/// Bytes of a name that is compared.
const MAX_NAME: usize = 256;

/// A symbol that a file defines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// Static address; of a thread-local variable, its place in the block.
    pub address: u64,
    /// Bytes of the object; 0 where the linker did not say.
    pub size: u64,
}

/// An entry of a symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SymbolEntry {
    /// Its name, as a byte of the names.
    pub name_at: u32,
    /// `STT_*`
    pub kind: SymbolType,
    /// What it stands for, if this file defines it.
    pub definition: Option<Symbol>,
}

impl SymbolEntry {
    /// Whether it is code.
    #[must_use]
    pub fn is_function(&self) -> bool {
        matches!(self.kind, STT_FUNC | STT_GNU_IFUNC)
    }
}

/// The bytes of a symbol table, or of a part of one.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    class: Class,
    bytes: &'a [u8],
}

impl<'a> Symbols<'a> {
    /// Its entries.
    pub fn iter(self) -> impl Iterator<Item = SymbolEntry> + use<'a> {
        let entries = self.bytes.chunks_exact(entry_bytes(self.class));
        entries.filter_map(move |entry| symbol(self.class, entry))
    }

    /// The entry of this number.
    #[must_use]
    pub fn get(self, index: usize) -> Option<SymbolEntry> {
        let start = index.checked_mul(entry_bytes(self.class))?;
        symbol(self.class, self.bytes.get(start..)?)
    }
}

/// A local symbol to look for.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Its name; up to 63 bytes.
    pub name: &'static [u8],
    /// `STT_OBJECT`, `STT_FUNC` or `STT_TLS`.
    pub kind: SymbolType,
    /// Bytes of the object; 0 for any.
    pub size: u64,
}

#[derive(Clone, Debug, Default)]
struct Search {
    /// Bytes of the table of names at which the name occurs.
    occurrences: Vec<u64>,
    /// Values of the symbols found.
    value: Option<u64>,
    is_ambiguous: bool,
}

pub(super) fn entry_bytes(class: Class) -> usize {
    match class {
        Class::Bits32 => size_of::<<FileHeader32<LittleEndian> as FileHeader>::Sym>(),
        Class::Bits64 => size_of::<<FileHeader64<LittleEndian> as FileHeader>::Sym>(),
    }
}

fn symbol(class: Class, bytes: &[u8]) -> Option<SymbolEntry> {
    fn of<Elf: FileHeader<Endian = LittleEndian>>(bytes: &[u8]) -> Option<SymbolEntry> {
        let (raw, _) = from_bytes::<Elf::Sym>(bytes).ok()?;
        Some(SymbolEntry {
            name_at: raw.st_name(LE),
            kind: raw.st_type(),
            definition: (raw.st_shndx(LE) != SHN_UNDEF).then(|| Symbol {
                address: raw.st_value(LE).into(),
                size: raw.st_size(LE).into(),
            }),
        })
    }
    match class {
        Class::Bits32 => of::<FileHeader32<LittleEndian>>(bytes),
        Class::Bits64 => of::<FileHeader64<LittleEndian>>(bytes),
    }
}

impl ElfFile {
    /// The entries in these bytes of a symbol table.
    #[must_use]
    pub fn symbols<'b>(&self, bytes: &'b [u8]) -> Symbols<'b> {
        Symbols {
            class: self.class,
            bytes,
        }
    }

    /// Hands the first `max_bytes` bytes of a symbol table to `step`, many at a time, until it returns `false`.
    ///
    /// # Errors
    /// As [`super::Reader::entries`].
    pub fn each_symbols(
        &self,
        table: &Section,
        max_bytes: u64,
        mut step: impl FnMut(Symbols<'_>) -> bool,
    ) -> Result<(), ElfError> {
        let range = table.offset..table.offset.saturating_add(table.size.min(max_bytes));
        self.reader
            .entries(range, entry_bytes(self.class), |bytes| step(self.symbols(bytes)))
    }

    /// The data object of this name and of a size in `sizes`, if `.symtab` defines it. The size spares reading the names
    /// of nearly all symbols.
    #[must_use]
    pub fn static_symbol(&self, name: &[u8], sizes: RangeInclusive<u64>) -> Option<Symbol> {
        let sections = self.sections()?;
        let table = sections.of_kind(SHT_SYMTAB)?;
        let names = sections.linked(table)?.offset;
        let mut candidates = 0;
        let mut found = None;
        let read = self.each_symbols(table, MAX_SIZED_TABLE_BYTES, |symbols| {
            for entry in symbols.iter().filter(|entry| entry.kind == STT_OBJECT) {
                let Some(symbol) = entry.definition.filter(|symbol| sizes.contains(&symbol.size)) else {
                    continue;
                };
                candidates += 1;
                let name_at = names.checked_add(entry.name_at.into());
                if name_at.is_some_and(|at| self.is_text(at, name)) {
                    found = Some(symbol);
                    return false;
                }
            }
            candidates < MAX_CANDIDATES
        });
        // What was found before a read failed counts: the budget says so if it was the disk.
        drop(read);
        found
    }

    /// The values of these local symbols, in their order; all `None` in a stripped file.
    #[must_use]
    pub fn static_symbols<const N: usize>(&self, wanted: [Wanted; N]) -> [Option<u64>; N] {
        let mut searches = [const {
            Search {
                occurrences: Vec::new(),
                value: None,
                is_ambiguous: false,
            }
        }; N];
        // As above.
        let _ = self.search(&wanted, &mut searches);
        searches.map(|search| search.value.filter(|_| !search.is_ambiguous))
    }

    fn search(&self, wanted: &[Wanted], searches: &mut [Search]) -> Option<()> {
        let sections = self.sections()?;
        let table = sections.of_kind(SHT_SYMTAB)?;
        let names = sections.linked(table)?;
        if self.reader.spare_bytes() < 2 * MAX_TABLE_BYTES {
            return None;
        }
        let end = names.offset.checked_add(names.size.min(MAX_TABLE_BYTES))?;
        self.find_names(names.offset..end, wanted, searches).ok()?;
        if searches.iter().all(|search| search.occurrences.is_empty()) {
            return None;
        }
        self.each_symbols(table, MAX_TABLE_BYTES, |symbols| {
            for entry in symbols.iter() {
                for (wanted, search) in wanted.iter().zip(searches.iter_mut()) {
                    take(&entry, wanted, search);
                }
            }
            true
        })
        .ok()
    }

    fn find_names(
        &self,
        range: Range<u64>,
        wanted: &[Wanted],
        searches: &mut [Search],
    ) -> Result<(), ElfError> {
        let mut position = 0;
        self.reader.stream(range, MAX_WANTED_NAME, |piece| {
            for (wanted, search) in wanted.iter().zip(searches.iter_mut()) {
                for at in memmem::find_iter(piece, wanted.name) {
                    let is_whole = piece.get(at + wanted.name.len()) == Some(&0);
                    let occurrence = position + at as u64;
                    if is_whole
                        && search.occurrences.len() < MAX_OCCURRENCES
                        && !search.occurrences.contains(&occurrence)
                    {
                        search.occurrences.push(occurrence);
                    }
                }
            }
            position += piece.len().saturating_sub(MAX_WANTED_NAME) as u64;
            true
        })
    }

    /// Static addresses at which the symbol tables say that functions begin, sorted.
    #[must_use]
    pub fn functions(&self) -> Vec<u64> {
        let mut found = Vec::new();
        let tables = self.sections().into_iter().flat_map(Sections::all);
        for table in tables.filter(|section| matches!(section.kind, SHT_SYMTAB | SHT_DYNSYM)) {
            let read = self.each_symbols(table, MAX_FUNCTIONS_TABLE_BYTES, |symbols| {
                let functions = symbols.iter().filter(|entry| entry.kind == STT_FUNC);
                found.extend(functions.filter_map(|entry| Some(entry.definition?.address)));
                true
            });
            if read.is_err() {
                break;
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether the NUL-terminated text at this byte of the file is `name`.
    #[must_use]
    pub fn is_text(&self, offset: u64, name: &[u8]) -> bool {
        let mut buffer = [0; MAX_NAME];
        let Some(found) = buffer.get_mut(..=name.len()) else {
            return false;
        };
        self.reader.read_into(found, offset).is_ok() && found.strip_suffix(b"\0") == Some(name)
    }
}

fn take(entry: &SymbolEntry, wanted: &Wanted, search: &mut Search) {
    let Some(symbol) = entry.definition else { return };
    let is_it = search.occurrences.contains(&entry.name_at.into())
        && entry.kind == wanted.kind
        && (wanted.size == 0 || symbol.size == wanted.size);
    if is_it {
        search.is_ambiguous |= search.value.is_some_and(|known| known != symbol.address);
        search.value = Some(symbol.address);
    }
}
