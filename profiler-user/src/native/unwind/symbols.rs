//! Where functions begin, as the file's symbol tables say.
//!
//! Used by [`super::gaps`] for code that nothing else describes. A file without them, or with wrong ones, has none: nothing
//! here is an error.

use object::LittleEndian as LE;
use object::elf::{self, FileHeader64, SectionHeader64, Sym64};
use object::pod::{from_bytes, slice_from_bytes};
use object::read::elf::Sym as _;

use super::image::{Image, TableError};

/// Sections looked at; linked files have a few dozen.
const MAX_SECTIONS: usize = 1024;
/// Bytes of one symbol table looked at: 170,000 symbols.
const MAX_SYMBOL_BYTES: u64 = 4 << 20;

/// Static addresses of functions, sorted.
pub(super) fn functions(image: &Image) -> Vec<u64> {
    let mut found = read(image).unwrap_or_default();
    found.sort_unstable();
    found.dedup();
    found
}

fn read(image: &Image) -> Result<Vec<u64>, TableError> {
    let bytes = image.bytes.exactly(0, size_of::<FileHeader64<LE>>())?;
    let (header, _) = from_bytes::<FileHeader64<LE>>(&bytes).map_err(|()| TableError::Malformed)?;
    let count = usize::from(header.e_shnum.get(LE)).min(MAX_SECTIONS);
    if usize::from(header.e_shentsize.get(LE)) != size_of::<SectionHeader64<LE>>() {
        return Err(TableError::Malformed);
    }
    let table = image
        .bytes
        .exactly(header.e_shoff.get(LE), count * size_of::<SectionHeader64<LE>>())?;
    let (sections, _) =
        slice_from_bytes::<SectionHeader64<LE>>(&table, count).map_err(|()| TableError::Malformed)?;
    let mut found = Vec::new();
    for section in sections {
        let kind = section.sh_type.get(LE);
        if kind != elf::SHT_SYMTAB && kind != elf::SHT_DYNSYM {
            continue;
        }
        let bytes = section.sh_size.get(LE).min(MAX_SYMBOL_BYTES);
        let count = usize::try_from(bytes).unwrap_or(0) / size_of::<Sym64<LE>>();
        let table = image
            .bytes
            .exactly(section.sh_offset.get(LE), count * size_of::<Sym64<LE>>())?;
        let (symbols, _) =
            slice_from_bytes::<Sym64<LE>>(&table, count).map_err(|()| TableError::Malformed)?;
        let functions = symbols
            .iter()
            .filter(|symbol| symbol.st_type() == elf::STT_FUNC && symbol.st_shndx(LE) != elf::SHN_UNDEF);
        found.extend(functions.map(|symbol| symbol.st_value(LE)));
    }
    Ok(found)
}
