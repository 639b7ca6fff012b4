//! A private copy of the parts of a foreign ELF file that names come from. Used by [`super::image`], in the worker process.
//!
//! blazesym maps files into memory and follows links from one file to others. Neither may happen with a file that someone
//! else can write: one that shrinks while mapped kills the reader, and a link may lead anywhere. So the symbol and debug
//! sections alone are read, by position and within limits, into a file that only this process has: same addresses, no
//! links. Never maps the foreign file and never believes a size before it is known to be small.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt;

use object::LittleEndian as LE;
use object::elf::{self, CompressionHeader64, FileHeader64, SectionHeader64};
use object::pod::{bytes_of, from_bytes};
use rustix::fs::MemfdFlags;

use super::headers::{
    CopyError, DebugReference, DynamicTables, Headers, Section, Segment, has_content, read, sort,
};

/// Bytes of the symbol tables of one file, at most: five times those of an unstripped libLLVM.
const MAX_SYMBOL_BYTES: u64 = 384 << 20;
/// Bytes of debug information that is read, compressed and uncompressed; of a file with more only the symbol tables are.
const MAX_DEBUG_BYTES: u64 = 256 << 20;
/// Bytes of a compressed symbol table (`.gnu_debugdata`), at most: those of Fedora's largest libraries are 1 MB.
const MAX_MINI_DEBUG: u64 = 16 << 20;
/// Bytes read at once.
const STEP: usize = 256 * 1024;
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

/// The copy, and what was learnt on the way.
#[derive(Debug)]
pub(super) struct Copy {
    /// An ELF file with the sections of [`SYMBOL_SECTIONS`] and, if they are not too large, [`DEBUG_SECTIONS`].
    pub(super) file: File,
    /// Equal for equal copies, in this process.
    pub(super) content: u64,
    /// Bytes of the copy, and of what is compressed in it.
    pub(super) bytes: u64,
    pub(super) segments: Vec<Segment>,
    /// Sections that are mapped executable.
    pub(super) code: Vec<Section>,
    pub(super) reference: DebugReference,
    pub(super) has_debug_info: bool,
    /// What the stubs of the procedure linkage table lead to, in the original file.
    pub(super) dynamic: DynamicTables,
}

impl Copy {
    /// Copies `source`; with `with_debug_info` also its debug information.
    pub(super) fn new(source: &File, with_debug_info: bool, hasher: &RandomState) -> Result<Self, CopyError> {
        let headers = Headers::read(source)?;
        let keep = headers.choose(source, with_debug_info)?;
        let (file, content, bytes) = headers.write(source, &keep, hasher)?;
        Ok(Self {
            file,
            content,
            bytes: bytes + keep.expansion,
            segments: headers.segments(),
            code: headers.code(),
            reference: headers.reference(source),
            has_debug_info: keep.has_debug_info,
            dynamic: headers.dynamic(),
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
        self.code.iter().find(|section| section.contains(address))
    }
}

/// Which sections go into the copy.
struct Keep {
    sections: Vec<usize>,
    has_debug_info: bool,
    /// Bytes that the compressed ones become.
    expansion: u64,
}

impl Headers {
    fn choose(&self, source: &File, with_debug_info: bool) -> Result<Keep, CopyError> {
        let (symbols, symbol_bytes, _) = self.select(source, SYMBOL_SECTIONS);
        if symbol_bytes > MAX_SYMBOL_BYTES {
            return Err(CopyError::TooLarge);
        }
        let (debug, stored, expanded) = self.select(source, DEBUG_SECTIONS);
        let fits = stored.saturating_add(expanded) <= MAX_DEBUG_BYTES;
        let has_debug_info = with_debug_info && fits && self.find(b".debug_info").is_some();
        let mut sections = symbols;
        if has_debug_info {
            sections.extend(debug);
        }
        sections.sort_unstable();
        Ok(Keep {
            sections,
            has_debug_info,
            expansion: if has_debug_info { expanded } else { 0 },
        })
    }

    /// The sections with these names, their bytes, and how many more they become when decompressed.
    fn select(&self, source: &File, wanted: &[&[u8]]) -> (Vec<usize>, u64, u64) {
        let mut selected = Vec::new();
        let (mut stored, mut expanded) = (0u64, 0u64);
        let mut seen = vec![false; wanted.len()];
        for (index, section) in self.sections.iter().enumerate() {
            let name = self.name(section);
            let Some(position) = wanted.iter().position(|wanted| *wanted == name) else {
                continue;
            };
            let size = section.sh_size.get(LE);
            let too_large = name == b".gnu_debugdata" && size > MAX_MINI_DEBUG;
            if !has_content(section) || too_large || std::mem::replace(&mut seen[position], true) {
                continue;
            }
            stored = stored.saturating_add(size);
            if section.sh_flags.get(LE).0 & elf::SHF_COMPRESSED.0 != 0 {
                expanded = expanded.saturating_add(uncompressed_size(source, section));
            }
            selected.push(index);
        }
        (selected, stored, expanded)
    }

    /// Header, program headers, section headers, section names, sections.
    fn write(&self, source: &File, keep: &Keep, hasher: &RandomState) -> Result<(File, u64, u64), CopyError> {
        let unwritable = |_| CopyError::Unreadable;
        let file = memory_file("pyebpf-symbols").map_err(unwritable)?;
        let mut hash = hasher.build_hasher();
        let mut sections = vec![empty_section(); self.sections.len().max(1)];
        let names_index = self.file.e_shstrndx.get(LE);

        let header_end = size_of::<FileHeader64<LE>>() as u64;
        let table_bytes = (sections.len() * size_of::<SectionHeader64<LE>>()) as u64;
        let mut position = align(header_end + table_bytes);
        if let Some(section) = sections.get_mut(usize::from(names_index.0)) {
            section.sh_type.set(LE, elf::SHT_STRTAB);
            section.sh_offset.set(LE, position);
            section.sh_size.set(LE, self.names.len() as u64);
            file.write_all_at(&self.names, position).map_err(unwritable)?;
            position = align(position + self.names.len() as u64);
        }
        for &index in &keep.sections {
            let original = &self.sections[index];
            let size = original.sh_size.get(LE);
            hash.write(self.name(original));
            hash.write_u64(size);
            copy_range(
                source,
                original.sh_offset.get(LE),
                size,
                &file,
                position,
                &mut hash,
            )?;
            sections[index] = *original;
            sections[index].sh_offset.set(LE, position);
            position = align(position + size);
        }
        let mut header = self.file;
        header.e_shoff.set(LE, header_end);
        header
            .e_shnum
            .set(LE, u16::try_from(sections.len()).unwrap_or(u16::MAX));
        header.e_phnum.set(LE, 0);
        header.e_phoff.set(LE, 0);
        // A relocatable file would have relocations applied, which are not copied.
        header.e_type.set(LE, elf::ET_DYN);
        file.write_all_at(bytes_of(&header), 0).map_err(unwritable)?;
        file.write_all_at(object::pod::bytes_of_slice(&sections), header_end)
            .map_err(unwritable)?;
        file.set_len(position).map_err(unwritable)?;
        for segment in self.segments() {
            hash.write_u64(segment.offset);
            hash.write_u64(segment.file_bytes);
            hash.write_u64(segment.address);
        }
        Ok((file, hash.finish(), position))
    }
}

fn empty_section() -> SectionHeader64<LE> {
    let bytes = [0; size_of::<SectionHeader64<LE>>()];
    // All zero is `SHT_NULL`, and bytes have no alignment to miss: see the feature `unaligned` of object.
    from_bytes(&bytes)
        .map(|(section, _)| *section)
        .unwrap_or_else(|()| unreachable!("the size is that of the structure"))
}

/// What the compression header says; a lie ends with the memory limit of the process.
fn uncompressed_size(source: &File, section: &SectionHeader64<LE>) -> u64 {
    let header = read(
        source,
        section.sh_offset.get(LE),
        size_of::<CompressionHeader64<LE>>() as u64,
    );
    header
        .ok()
        .and_then(|bytes| {
            Some(
                from_bytes::<CompressionHeader64<LE>>(&bytes)
                    .ok()?
                    .0
                    .ch_size
                    .get(LE),
            )
        })
        .unwrap_or(u64::MAX)
}

/// A file that only this process has.
pub(super) fn memory_file(name: &str) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL;
    let file = rustix::fs::memfd_create(name, flags)
        // Kernels before 6.3 do not know that flag.
        .or_else(|_| rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC))?;
    Ok(File::from(file))
}

/// CRC-32 of a whole file, as `.gnu_debuglink` has it; `None` when it is larger than what would be read of it.
pub(super) fn crc_of(source: &File) -> Option<u32> {
    let length = source.metadata().ok()?.len();
    if length > 2 * (MAX_DEBUG_BYTES + MAX_SYMBOL_BYTES) {
        return None;
    }
    let mut hasher = crc32fast::Hasher::new();
    in_steps(source, 0, length, |part| {
        hasher.update(part);
        Ok(())
    })
    .ok()?;
    Some(hasher.finalize())
}

fn copy_range(
    source: &File,
    offset: u64,
    size: u64,
    target: &File,
    to: u64,
    hash: &mut impl Hasher,
) -> Result<(), CopyError> {
    let mut position = to;
    in_steps(source, offset, size, |part| {
        hash.write(part);
        target
            .write_all_at(part, position)
            .map_err(|_| CopyError::Unreadable)?;
        position += part.len() as u64;
        Ok(())
    })
}

fn in_steps(
    source: &File,
    offset: u64,
    size: u64,
    mut step: impl FnMut(&[u8]) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let mut buffer = vec![0; STEP];
    let mut done = 0;
    while done < size {
        let bytes = usize::try_from(size - done).unwrap_or(STEP).min(STEP);
        let at = offset.checked_add(done).ok_or(CopyError::NotElf)?;
        source
            .read_exact_at(&mut buffer[..bytes], at)
            .map_err(|error| sort(&error))?;
        step(&buffer[..bytes])?;
        done += bytes as u64;
    }
    Ok(())
}

fn align(position: u64) -> u64 {
    position.next_multiple_of(ALIGNMENT)
}

/// Puts bytes that came from elsewhere than a file (the memory of a process) where a file can be.
pub(super) fn file_of_bytes(bytes: &[u8]) -> io::Result<File> {
    let mut file = memory_file("pyebpf-image")?;
    file.write_all(bytes)?;
    Ok(file)
}
