//! A private copy of the parts of a foreign ELF file that names come from. Used by [`super::symbol_file`], in the worker
//! process.
//!
//! blazesym maps files into memory and follows links from one file to others. Neither may happen with a file that someone
//! else can write: one that shrinks while mapped kills the reader, and a link may lead anywhere. So the symbol and debug
//! sections alone are read, by position and within limits, into a file that only this process has: same addresses, no
//! links, nothing compressed ([`super::compressed`] says what becomes of that). Never maps the foreign file and never believes a size before it is known to be small.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

use object::LittleEndian as LE;
use object::elf::{self, CompressionHeader64, FileHeader64, SectionHeader64};
use object::pod::{bytes_of, from_bytes};

use super::compressed::{decompress, expands_within};
use super::reference::DebugReference;
use crate::elf::{ElfError, ElfFile, FileBytes, Reader, Section, Sections, Segment};
use crate::native::memory_file::memory_file;

/// Bytes of the symbol tables of one file, at most: five times those of an unstripped libLLVM.
const MAX_SYMBOL_BYTES: u64 = 384 << 20;
/// Bytes of debug information that is read, compressed and uncompressed; of a file with more only the symbol tables are.
const MAX_DEBUG_BYTES: u64 = 256 << 20;
/// Bytes of a compressed symbol table (`.gnu_debugdata`), at most: those of Fedora's largest libraries are 1 MB.
const MAX_MINI_DEBUG: u64 = 16 << 20;
/// Bytes that it becomes, at most.
const MAX_MINI_DEBUG_EXPANDED: u64 = 128 << 20;
/// Bytes read of one file for its names, at most: what is copied, and the tables beside it.
pub(super) const BUDGET_BYTES: u64 = MAX_SYMBOL_BYTES + MAX_DEBUG_BYTES + (256 << 20);
/// Where sections start in the copy: as aligned as any structure in them.
const ALIGNMENT: u64 = 16;

const SYMBOL_SECTIONS: &[&[u8]] = &[b".symtab", b".strtab", b".dynsym", b".dynstr", b".gnu_debugdata"];
const DEBUG_SECTIONS: &[&[u8]] = &[
    b".debug_abbrev",
    b".debug_addr",
    b".debug_aranges",
    b".debug_info",
    b".debug_line",
    b".debug_line_str",
    b".debug_ranges",
    b".debug_rnglists",
    b".debug_str",
    b".debug_str_offsets",
    b".debug_types",
];

/// A section of code, for what lies in which.
#[derive(Clone, Debug)]
pub(super) struct CodeSection {
    /// Its name, bytes that are not UTF-8 replaced.
    pub(super) name: String,
    pub(super) section: Section,
}

/// The copy, and what was learnt on the way.
#[derive(Debug)]
pub(super) struct SymbolCopy {
    /// An ELF file with the sections of [`SYMBOL_SECTIONS`] and, if they are not too large, [`DEBUG_SECTIONS`].
    pub(super) file: File,
    /// Equal for equal copies, in this process.
    pub(super) content: u64,
    /// Bytes of the copy.
    pub(super) bytes: u64,
    segments: Box<[Segment]>,
    /// Sections that are mapped executable.
    pub(super) code: Vec<CodeSection>,
    pub(super) reference: DebugReference,
    pub(super) has_debug_info: bool,
}

impl SymbolCopy {
    /// Copies `source`, a 64-bit file; with `with_debug_info` also its debug information.
    pub(super) fn new(
        source: &ElfFile,
        with_debug_info: bool,
        hasher: &RandomState,
    ) -> Result<Self, ElfError> {
        if !source.is_64_bit() {
            return Err(ElfError::Malformed("not a 64-bit file"));
        }
        let sections = source.section_table().map_err(Clone::clone)?;
        let mut keep = Keep::choose(source, sections, with_debug_info)?;
        let mut written = write(source, sections, &keep, hasher);
        if written.is_err() && keep.has_debug_info {
            // The symbol tables may be better than the debug information.
            keep = Keep::choose(source, sections, false)?;
            written = write(source, sections, &keep, hasher);
        }
        let (file, content, bytes) = written?;
        Ok(Self {
            file,
            content,
            bytes,
            segments: source.segments().into(),
            code: code(sections),
            reference: DebugReference::of(source),
            has_debug_info: keep.has_debug_info,
        })
    }

    /// The address that byte `offset` of the file is meant to be at.
    pub(super) fn address_of(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = offset.checked_sub(segment.offset)?;
            (into < segment.file_bytes).then(|| segment.address.checked_add(into))?
        })
    }

    /// The executable section at an address.
    pub(super) fn section_of(&self, address: u64) -> Option<&Section> {
        let mut sections = self.code.iter().map(|code| &code.section);
        sections.find(|section| section.contains(address))
    }
}

fn code(sections: &Sections) -> Vec<CodeSection> {
    let is_code = |section: &&Section| section.is_code() && section.address != 0;
    let code = sections.all().iter().filter(is_code);
    code.map(|section| CodeSection {
        name: String::from_utf8_lossy(sections.name(section)).into_owned(),
        section: *section,
    })
    .collect()
}

/// Which sections go into the copy.
struct Keep {
    sections: Vec<usize>,
    has_debug_info: bool,
}

impl Keep {
    fn choose(source: &ElfFile, sections: &Sections, with_debug_info: bool) -> Result<Self, ElfError> {
        let (symbols, stored, expanded) = select(source, sections, SYMBOL_SECTIONS);
        if stored.saturating_add(expanded) > MAX_SYMBOL_BYTES {
            return Err(ElfError::TooLarge);
        }
        let (debug, stored, expanded) = select(source, sections, DEBUG_SECTIONS);
        let fits = stored.saturating_add(expanded) <= MAX_DEBUG_BYTES;
        let has_debug_info = with_debug_info && fits && sections.find(b".debug_info").is_some();
        let mut chosen = symbols;
        if has_debug_info {
            chosen.extend(debug);
        }
        chosen.sort_unstable();
        Ok(Self {
            sections: chosen,
            has_debug_info,
        })
    }
}

/// The sections with these names, their bytes, and how many more they become when decompressed.
fn select(source: &ElfFile, sections: &Sections, wanted: &[&[u8]]) -> (Vec<usize>, u64, u64) {
    let mut selected = Vec::new();
    let (mut stored, mut expanded) = (0u64, 0u64);
    let mut seen = vec![false; wanted.len()];
    for (index, section) in sections.all().iter().enumerate() {
        let name = sections.name(section);
        let Some(position) = wanted.iter().position(|wanted| *wanted == name) else {
            continue;
        };
        let too_large = name == b".gnu_debugdata" && !is_small_archive(source, section);
        if !section.has_content() || too_large || std::mem::replace(&mut seen[position], true) {
            continue;
        }
        stored = stored.saturating_add(section.size);
        if section.is_compressed() {
            expanded = expanded.saturating_add(uncompressed_size(source, section));
        }
        selected.push(index);
    }
    (selected, stored, expanded)
}

/// Whether `.gnu_debugdata` is as small as those of distributions, as it is and as what it becomes: blazesym decompresses it.
fn is_small_archive(source: &ElfFile, section: &Section) -> bool {
    section.size <= MAX_MINI_DEBUG
        && source
            .reader()
            .range(section.range(), MAX_MINI_DEBUG)
            .is_ok_and(|bytes| expands_within(&bytes, MAX_MINI_DEBUG_EXPANDED))
}

/// Header, section headers, section names, sections.
fn write(
    source: &ElfFile,
    all: &Sections,
    keep: &Keep,
    hasher: &RandomState,
) -> Result<(File, u64, u64), ElfError> {
    let file = memory_file("pyebpf-symbols")?;
    let mut hash = hasher.build_hasher();
    let mut sections = vec![empty_section(); all.all().len().max(1)];

    let header_end = size_of::<FileHeader64<LE>>() as u64;
    let table_bytes = (sections.len() * size_of::<SectionHeader64<LE>>()) as u64;
    let mut position = align(header_end + table_bytes);
    if let Some(section) = sections.get_mut(all.names_index()) {
        section.sh_type.set(LE, elf::SHT_STRTAB);
        section.sh_offset.set(LE, position);
        section.sh_size.set(LE, all.names().len() as u64);
        file.write_all_at(all.names(), position)?;
        position = align(position + all.names().len() as u64);
    }
    for &index in &keep.sections {
        let Some(original) = all.all().get(index) else {
            continue;
        };
        hash.write(all.name(original));
        hash.write_u64(original.size);
        let mut copied = *original;
        if original.is_compressed() {
            copied.flags = original.flags.without(elf::SHF_COMPRESSED);
            copied.size = decompress(source.reader(), original, &file, position, &mut hash)?;
        } else {
            copy_range(source.reader(), original.range(), &file, position, &mut hash)?;
        }
        sections[index] = section_header(&copied, position);
        position = align(position + copied.size);
    }
    let mut header: FileHeader64<LE> = source.reader().structure(0)?;
    header.e_shoff.set(LE, header_end);
    header
        .e_shnum
        .set(LE, u16::try_from(sections.len()).unwrap_or(u16::MAX));
    header.e_phnum.set(LE, 0);
    header.e_phoff.set(LE, 0);
    // A relocatable file would have relocations applied, which are not copied.
    header.e_type.set(LE, elf::ET_DYN);
    file.write_all_at(bytes_of(&header), 0)?;
    file.write_all_at(object::pod::bytes_of_slice(&sections), header_end)?;
    file.set_len(position)?;
    for segment in source.segments() {
        hash.write_u64(segment.offset);
        hash.write_u64(segment.file_bytes);
        hash.write_u64(segment.address);
    }
    Ok((file, hash.finish(), position))
}

/// The same section at another place.
fn section_header(section: &Section, offset: u64) -> SectionHeader64<LE> {
    let mut header = empty_section();
    header.sh_name.set(LE, section.name_at);
    header.sh_type.set(LE, section.kind);
    header.sh_flags.set(LE, section.flags);
    header.sh_addr.set(LE, section.address);
    header.sh_offset.set(LE, offset);
    header.sh_size.set(LE, section.size);
    header.sh_link.set(LE, section.link);
    header.sh_info.set(LE, section.info);
    header.sh_addralign.set(LE, section.alignment);
    header.sh_entsize.set(LE, section.entry_bytes);
    header
}

fn empty_section() -> SectionHeader64<LE> {
    let bytes = [0; size_of::<SectionHeader64<LE>>()];
    // All zero is `SHT_NULL`, and bytes have no alignment to miss: see the feature `unaligned` of object.
    from_bytes(&bytes)
        .map(|(section, _)| *section)
        .unwrap_or_else(|()| unreachable!("the size is that of the structure"))
}

/// What the compression header says; a lie is found out when the section is decompressed.
fn uncompressed_size(source: &ElfFile, section: &Section) -> u64 {
    let header = source
        .reader()
        .structure::<CompressionHeader64<LE>>(section.offset);
    header.map_or(u64::MAX, |header| header.ch_size.get(LE))
}

/// CRC-32 of a whole file, as `.gnu_debuglink` has it; `None` when it is larger than what would be read of it.
pub(super) fn crc_of(source: &FileBytes) -> Option<u32> {
    let reader = Reader::new(source.clone(), 2 * (MAX_DEBUG_BYTES + MAX_SYMBOL_BYTES)).ok()?;
    let mut hasher = crc32fast::Hasher::new();
    let whole = reader.stream(0..reader.length(), 0, |part| {
        hasher.update(part);
        true
    });
    whole.ok().map(|()| hasher.finalize())
}

fn copy_range(
    source: &Reader,
    range: Range<u64>,
    target: &File,
    to: u64,
    hash: &mut impl Hasher,
) -> Result<(), ElfError> {
    if range.end > source.length() {
        return Err(ElfError::Malformed("a section lies beyond the end of the file"));
    }
    let mut position = to;
    let mut written: io::Result<()> = Ok(());
    source.stream(range, 0, |part| {
        hash.write(part);
        written = target.write_all_at(part, position);
        position += part.len() as u64;
        written.is_ok()
    })?;
    Ok(written?)
}

fn align(position: u64) -> u64 {
    position.next_multiple_of(ALIGNMENT)
}
