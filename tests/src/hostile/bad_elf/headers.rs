//! Headers and tables that lie: sizes at their extremes, tables in each other, circles, more entries than anybody has.

use super::image::{CODE_ADDRESS, Image, NOTE, PROGBITS, STRTAB, SYMTAB, Section, symbol};

/// Offsets in a section header.
const OFFSET: usize = 24;
const SIZE: usize = 32;
const LINK: usize = 40;
const ENTRY_BYTES: usize = 56;

/// Every size and offset of every section is as large as it can be.
#[must_use]
pub fn largest_sections() -> Image {
    let mut image = with_all_tables();
    for index in 1..=image.sections.len() {
        image.header_patches.push((index, SIZE, u64::MAX));
        if index % 2 == 0 {
            image.header_patches.push((index, OFFSET, u64::MAX - 7));
        }
    }
    image
}

/// Sizes just below what overflows when an offset is added.
#[must_use]
pub fn overflowing_sections() -> Image {
    let mut image = with_all_tables();
    for index in 1..=image.sections.len() {
        image.header_patches.push((index, SIZE, (1 << 63) - 1));
        image
            .header_patches
            .push((index, ENTRY_BYTES, [0, 1, u64::MAX][index % 3]));
    }
    image
}

/// All sections are the whole file.
#[must_use]
pub fn overlapping_sections() -> Image {
    let mut image = with_all_tables();
    for index in 1..=image.sections.len() {
        image.header_patches.push((index, OFFSET, 0));
        image.header_patches.push((index, SIZE, 0x3000));
    }
    image
}

/// Each table's strings are the table itself, or the next table.
#[must_use]
pub fn circular_links() -> Image {
    let mut image = with_all_tables();
    let count = image.sections.len() as u64;
    for index in 1..=image.sections.len() {
        let link = if index % 2 == 0 {
            index as u64
        } else {
            index as u64 % count + 1
        };
        image.header_patches.push((index, LINK, link | link << 32));
    }
    image
}

/// The header says that there are 65,535 of everything, at the end of the file.
#[must_use]
pub fn most_headers() -> Image {
    let mut image = Image::like_python();
    // e_phnum stays, or the kernel refuses it; e_shnum 0 and e_shstrndx SHN_XINDEX send readers to the first section.
    image.patches.push((60, vec![0, 0, 0xff, 0xff]));
    image.header_patches.push((0, SIZE, u64::from(u32::MAX)));
    image.header_patches.push((0, LINK, u64::from(u32::MAX)));
    image
}

/// A million symbols.
#[must_use]
pub fn million_symbols() -> Image {
    let mut symbols = vec![0; 24];
    let mut names = vec![0];
    for index in 0..1_000_000u64 {
        symbols.extend(symbol(
            names.len() as u32,
            CODE_ADDRESS + index % 4096,
            1 + index % 64,
        ));
        names.extend(format!("function_number_{index}\0").as_bytes());
    }
    let mut image = Image::default();
    image.push_symbols(symbols, names);
    image
}

/// 300,000 symbols of which each has a name of 16 MB: all have the same, from a byte further on.
#[must_use]
pub fn long_names() -> Image {
    let mut symbols = vec![0; 24];
    for index in 0..300_000u64 {
        symbols.extend(symbol(1 + index as u32, CODE_ADDRESS + index % 64, 64));
    }
    let mut image = Image::default();
    image.push_symbols(symbols, vec![b'n'; 16 << 20]);
    image
}

/// Notes that are empty, a million of them, and at the end one that says it has 4 GiB.
#[must_use]
pub fn notes_without_end() -> Image {
    let mut notes = Vec::new();
    for _ in 0..1_000_000 {
        notes.extend([0; 12]);
    }
    notes.extend([0xff; 12]);
    let mut image = Image::like_python();
    let bytes = notes.len() as u64;
    image.push(Section::new(".note.gnu.build-id", NOTE, notes));
    // The same as a segment; where the section lies is known: behind the two pages and the two tables.
    image.segments.push((4, 0x2000, bytes));
    image
}

/// A build id of a megabyte, one of no bytes, and one that goes on behind the end of the file.
#[must_use]
pub fn strange_build_ids() -> Image {
    let mut notes = Vec::new();
    for (bytes, there) in [(1u32 << 20, 1 << 20), (0, 0), (u32::MAX - 3, 64)] {
        for word in [4, bytes, 3] {
            notes.extend(word.to_le_bytes());
        }
        notes.extend(b"GNU\0");
        notes.extend(vec![0x2e; there]);
    }
    let mut image = Image::like_python();
    image.push(Section::new(".note.gnu.build-id", NOTE, notes));
    image
}

/// `.gnu.hash` whose chains have no end, and a dynamic section without one.
#[must_use]
pub fn circular_hashes() -> Image {
    let mut hash = Vec::new();
    for word in [4096u32, 1, 1, 6] {
        hash.extend(word.to_le_bytes());
    }
    hash.extend([0xff; 8]);
    hash.extend(vec![1; 4 * 4096 * 2]);
    let mut image = Image::like_python();
    image.push(Section::new(".gnu.hash", 0x6fff_fff6, hash));
    let mut dynamic = Vec::new();
    for _ in 0..100_000 {
        // DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, none of them the last.
        for (tag, value) in [
            (1u64, u64::MAX),
            (4, CODE_ADDRESS),
            (5, u64::MAX - 4),
            (6, CODE_ADDRESS),
        ] {
            dynamic.extend(tag.to_le_bytes());
            dynamic.extend(value.to_le_bytes());
        }
    }
    let bytes = dynamic.len() as u64;
    image.push(Section::new(".dynamic", 6, dynamic));
    image.segments.push((2, 0x2000, bytes));
    image
}

/// A million relocations of symbols that do not exist.
#[must_use]
pub fn million_relocations() -> Image {
    let mut relocations = Vec::new();
    for index in 0..1_000_000u64 {
        for word in [CODE_ADDRESS + index, index << 32 | 6, u64::MAX] {
            relocations.extend(word.to_le_bytes());
        }
    }
    let mut image = Image::like_python();
    let mut section = Section::new(".rela.dyn", 4, relocations);
    (section.link, section.entry_bytes) = (1, 24);
    image.push(section);
    image
}

fn with_all_tables() -> Image {
    let mut image = Image::like_python();
    let kinds = [
        (".dynsym", SYMTAB),
        (".dynstr", STRTAB),
        (".note.gnu.build-id", NOTE),
        (".eh_frame", PROGBITS),
        (".eh_frame_hdr", PROGBITS),
        (".gnu_debuglink", PROGBITS),
        (".gnu_debugdata", PROGBITS),
        (".debug_info", PROGBITS),
        (".debug_abbrev", PROGBITS),
        (".debug_line", PROGBITS),
        (".rela.dyn", 4),
        (".dynamic", 6),
    ];
    for (name, kind) in kinds {
        image.push(Section::new(name, kind, vec![0x41; 256]));
    }
    image
}
