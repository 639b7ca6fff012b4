//! Local symbols of `.symtab`, several names at a time.
//!
//! Used to find what leads to a thread's state, for interpreters only: it reads the whole table of names. A name that is
//! defined twice with different values is no name.

use memchr::memmem;
use object::LittleEndian;
use object::elf::{self, SymbolType};
use object::pod::slice_from_bytes;
use object::read::elf::{FileHeader, SectionHeader as _, Sym};

use super::image::Image;
use super::source::Source;

/// Sections looked at; linked files have a few dozen.
const MAX_SECTIONS: usize = 1024;
/// Bytes of `.symtab`, and of its names, looked at: 350,000 symbols.
const MAX_TABLE_BYTES: u64 = 8 << 20;
/// Symbols in one read.
const SYMBOLS_PER_READ: usize = 8192;
/// Places at which a name occurs in the table of names: as one, or as the end of another.
const MAX_PLACES: usize = 64;
/// Bytes of a name.
const MAX_NAME: usize = 64;

const LE: LittleEndian = LittleEndian;

/// A symbol to look for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// Its name; up to 63 bytes.
    pub(crate) name: &'static [u8],
    /// `STT_OBJECT`, `STT_FUNC` or `STT_TLS`.
    pub(crate) kind: SymbolType,
    /// Bytes of the object; 0 for any.
    pub(crate) size: u64,
}

#[derive(Clone, Debug, Default)]
struct Search {
    /// Bytes of the table of names at which the name occurs.
    places: Vec<u64>,
    /// Values of the symbols found.
    value: Option<u64>,
    is_ambiguous: bool,
}

impl<Elf: FileHeader<Endian = LittleEndian>, S: Source> Image<'_, Elf, S> {
    /// The values of these symbols, in their order; all `None` in a stripped file.
    pub(crate) fn static_symbols<const N: usize>(&self, wanted: [Wanted; N]) -> [Option<u64>; N] {
        let mut searches = [const {
            Search {
                places: Vec::new(),
                value: None,
                is_ambiguous: false,
            }
        }; N];
        // What was found before a read failed counts: the budget says so if it was the disk.
        let _ = self.search(&wanted, &mut searches);
        searches.map(|search| search.value.filter(|_| !search.is_ambiguous))
    }

    fn search(&self, wanted: &[Wanted], searches: &mut [Search]) -> Option<()> {
        let sections = self.header.section_headers(LE, self.data).ok()?;
        let table = sections
            .iter()
            .take(MAX_SECTIONS)
            .find(|section| section.sh_type(LE) == elf::SHT_SYMTAB)?;
        let names = sections.get(table.sh_link(LE) as usize)?;
        if !self.data.can_spare(2 * MAX_TABLE_BYTES) {
            return None;
        }
        self.find_names(
            names.sh_offset(LE).into(),
            names.sh_size(LE).into(),
            wanted,
            searches,
        )?;
        if searches.iter().all(|search| search.places.is_empty()) {
            return None;
        }
        self.find_symbols(
            table.sh_offset(LE).into(),
            table.sh_size(LE).into(),
            wanted,
            searches,
        )
    }

    fn find_names(&self, start: u64, size: u64, wanted: &[Wanted], searches: &mut [Search]) -> Option<()> {
        let mut position = 0;
        let end = start.checked_add(size.min(MAX_TABLE_BYTES))?;
        self.data.stream(start..end, MAX_NAME, |piece| {
            for (wanted, search) in wanted.iter().zip(searches.iter_mut()) {
                for at in memmem::find_iter(piece, wanted.name) {
                    let is_whole = piece.get(at + wanted.name.len()) == Some(&0);
                    let place = position + at as u64;
                    if is_whole && search.places.len() < MAX_PLACES && !search.places.contains(&place) {
                        search.places.push(place);
                    }
                }
            }
            position += piece.len().saturating_sub(MAX_NAME) as u64;
            true
        })
    }

    fn find_symbols(&self, start: u64, size: u64, wanted: &[Wanted], searches: &mut [Search]) -> Option<()> {
        let entry = size_of::<Elf::Sym>();
        let mut left = usize::try_from(size.min(MAX_TABLE_BYTES)).ok()? / entry;
        let mut position = start;
        let mut bytes = vec![0; SYMBOLS_PER_READ.min(left) * entry];
        while left > 0 {
            let count = left.min(SYMBOLS_PER_READ);
            bytes.truncate(count * entry);
            self.data.read_into(&mut bytes, position)?;
            let (symbols, _) = slice_from_bytes::<Elf::Sym>(&bytes, count).ok()?;
            for symbol in symbols {
                for (wanted, search) in wanted.iter().zip(searches.iter_mut()) {
                    take(symbol, wanted, search);
                }
            }
            left -= count;
            position = position.checked_add(bytes.len() as u64)?;
        }
        Some(())
    }
}

fn take(symbol: &impl Sym<Endian = LittleEndian>, wanted: &Wanted, search: &mut Search) {
    let is_it = search.places.contains(&symbol.st_name(LE).into())
        && symbol.st_type() == wanted.kind
        && symbol.st_shndx(LE) != elf::SHN_UNDEF
        && (wanted.size == 0 || symbol.st_size(LE).into() == wanted.size);
    if is_it {
        let value = symbol.st_value(LE).into();
        search.is_ambiguous |= search.value.is_some_and(|known| known != value);
        search.value = Some(value);
    }
}
