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
use object::elf::{self, CompressionHeader64, FileHeader64, ProgramHeader64, SectionHeader64};
use object::pod::{bytes_of, from_bytes, slice_from_bytes};
use rustix::fs::MemfdFlags;

/// Sections of a file, at most; `-ffunction-sections` exists in object files only.
const MAX_SECTIONS: usize = 16 * 1024;
/// Program headers of a file, at most.
const MAX_SEGMENTS: usize = 1024;
/// Bytes of all section names, at most.
const MAX_SECTION_NAMES: u64 = 1 << 20;
/// Bytes of the symbol tables of one file, at most: five times those of an unstripped libLLVM.
const MAX_SYMBOL_BYTES: u64 = 384 << 20;
/// Bytes of debug information that is read, compressed and uncompressed; of a file with more only the symbol tables are.
const MAX_DEBUG_BYTES: u64 = 256 << 20;
/// Bytes of a note section that is searched for the build-id.
const MAX_NOTE: u64 = 64 * 1024;
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

/// Why a file gives no names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum CopyError {
    /// It cannot be read.
    #[error("the file cannot be read")]
    Unreadable,
    /// It is no 64-bit little-endian ELF file, or contradicts itself.
    #[error("not a well-formed 64-bit ELF file")]
    NotElf,
    /// Beyond the limits.
    #[error("the symbol tables are too large")]
    TooLarge,
}

/// Part of a file that is mapped as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    offset: u64,
    file_bytes: u64,
    address: u64,
}

/// A section, for what lies in which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    /// Its name, bytes that are not UTF-8 replaced.
    pub(super) name: String,
    /// First address.
    pub(super) address: u64,
    /// Bytes.
    pub(super) size: u64,
    /// Where in the file; `None` for a section without content, as most are in a debug file.
    pub(super) offset: Option<u64>,
    /// Bytes of one entry, if it is a table of entries.
    pub(super) entry_bytes: u64,
}

impl Section {
    pub(super) fn contains(&self, address: u64) -> bool {
        address
            .checked_sub(self.address)
            .is_some_and(|offset| offset < self.size)
    }
}

/// What a file refers to for its debug information.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DebugReference {
    /// `NT_GNU_BUILD_ID`, hexadecimal, 2 to 64 digits pairs.
    pub(super) build_id: Option<String>,
    /// `.gnu_debuglink`: a file name without folders, and the CRC-32 of that file.
    pub(super) link: Option<(String, u32)>,
}

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

/// Where in the file the dynamic linker's tables are: offset and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DynamicTables {
    pub(super) symbols: Option<(u64, u64)>,
    pub(super) strings: Option<(u64, u64)>,
    pub(super) relocations: [Option<(u64, u64)>; 2],
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

struct Headers {
    file: FileHeader64<LE>,
    segments: Vec<ProgramHeader64<LE>>,
    sections: Vec<SectionHeader64<LE>>,
    names: Vec<u8>,
}

impl Headers {
    fn read(source: &File) -> Result<Self, CopyError> {
        let bytes = read(source, 0, size_of::<FileHeader64<LE>>() as u64)?;
        let (file, _) = from_bytes::<FileHeader64<LE>>(&bytes).map_err(|()| CopyError::NotElf)?;
        let ident = &file.e_ident;
        if ident.magic != elf::ELFMAG || ident.class != elf::ELFCLASS64 || ident.data != elf::ELFDATA2LSB {
            return Err(CopyError::NotElf);
        }
        let segments = table(
            source,
            file.e_phoff.get(LE),
            file.e_phnum.get(LE).into(),
            MAX_SEGMENTS,
        )?;
        let sections: Vec<SectionHeader64<LE>> = table(
            source,
            file.e_shoff.get(LE),
            file.e_shnum.get(LE).into(),
            MAX_SECTIONS,
        )?;
        let names = sections.get(usize::from(file.e_shstrndx.get(LE).0));
        let names = match names.map(|names| (names.sh_offset.get(LE), names.sh_size.get(LE))) {
            Some((_, size)) if size > MAX_SECTION_NAMES => return Err(CopyError::TooLarge),
            Some((offset, size)) => read(source, offset, size)?,
            // A file without sections is mapped like any other; it only has no names.
            None => Vec::new(),
        };
        Ok(Self {
            file: *file,
            segments,
            sections,
            names,
        })
    }

    fn name(&self, section: &SectionHeader64<LE>) -> &[u8] {
        let start = section.sh_name.get(LE) as usize;
        let rest = self.names.get(start..).unwrap_or(&[]);
        rest.split(|&byte| byte == 0).next().unwrap_or(&[])
    }

    fn find(&self, name: &[u8]) -> Option<&SectionHeader64<LE>> {
        self.sections
            .iter()
            .find(|section| has_content(section) && self.name(section) == name)
    }

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

    fn segments(&self) -> Vec<Segment> {
        let loaded = self
            .segments
            .iter()
            .filter(|segment| segment.p_type.get(LE) == elf::PT_LOAD);
        loaded
            .map(|segment| Segment {
                offset: segment.p_offset.get(LE),
                file_bytes: segment.p_filesz.get(LE),
                address: segment.p_vaddr.get(LE),
            })
            .collect()
    }

    fn code(&self) -> Vec<Section> {
        let is_code = |section: &&SectionHeader64<LE>| {
            section.sh_flags.get(LE).0 & elf::SHF_EXECINSTR.0 != 0 && section.sh_addr.get(LE) != 0
        };
        self.sections
            .iter()
            .filter(is_code)
            .map(|section| Section {
                name: String::from_utf8_lossy(self.name(section)).into_owned(),
                address: section.sh_addr.get(LE),
                size: section.sh_size.get(LE),
                offset: has_content(section).then(|| section.sh_offset.get(LE)),
                entry_bytes: section.sh_entsize.get(LE),
            })
            .collect()
    }

    fn dynamic(&self) -> DynamicTables {
        let range = |name: &[u8]| {
            self.find(name)
                .map(|section| (section.sh_offset.get(LE), section.sh_size.get(LE)))
        };
        DynamicTables {
            symbols: range(b".dynsym"),
            strings: range(b".dynstr"),
            relocations: [range(b".rela.plt"), range(b".rela.dyn")],
        }
    }

    fn reference(&self, source: &File) -> DebugReference {
        DebugReference {
            build_id: self.build_id(source),
            link: self.debug_link(source),
        }
    }

    fn build_id(&self, source: &File) -> Option<String> {
        let of_section = self.find(b".note.gnu.build-id");
        let range = of_section.map(|section| (section.sh_offset.get(LE), section.sh_size.get(LE)));
        let notes = self
            .segments
            .iter()
            .filter(|segment| segment.p_type.get(LE) == elf::PT_NOTE)
            .map(|segment| (segment.p_offset.get(LE), segment.p_filesz.get(LE)));
        range
            .into_iter()
            .chain(notes)
            .take(8)
            .filter(|(_, size)| *size <= MAX_NOTE)
            .find_map(|(offset, size)| build_id_of_notes(&read(source, offset, size).ok()?))
    }

    fn debug_link(&self, source: &File) -> Option<(String, u32)> {
        let section = self.find(b".gnu_debuglink")?;
        if section.sh_size.get(LE) > 4096 {
            return None;
        }
        let bytes = read(source, section.sh_offset.get(LE), section.sh_size.get(LE)).ok()?;
        let end = bytes.iter().position(|&byte| byte == 0)?;
        let name = std::str::from_utf8(&bytes[..end]).ok()?;
        let crc = bytes.get((end + 4) & !3..)?.first_chunk()?;
        let is_plain = !name.is_empty() && name != "." && name != ".." && !name.contains('/');
        is_plain.then(|| (name.to_owned(), u32::from_le_bytes(*crc)))
    }
}

fn empty_section() -> SectionHeader64<LE> {
    let bytes = [0; size_of::<SectionHeader64<LE>>()];
    // All zero is `SHT_NULL`, and bytes have no alignment to miss: see the feature `unaligned` of object.
    from_bytes(&bytes)
        .map(|(section, _)| *section)
        .unwrap_or_else(|()| unreachable!("the size is that of the structure"))
}

fn has_content(section: &SectionHeader64<LE>) -> bool {
    !matches!(section.sh_type.get(LE), elf::SHT_NOBITS | elf::SHT_NULL)
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

/// The first `NT_GNU_BUILD_ID` of owner `GNU`, hexadecimal.
fn build_id_of_notes(mut notes: &[u8]) -> Option<String> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?) as usize);
    loop {
        let (name_size, content_size, kind) = (word(notes, 0)?, word(notes, 4)?, word(notes, 8)?);
        let name_end = 12usize.checked_add(name_size)?;
        let content_start = name_end.checked_next_multiple_of(4)?;
        let content_end = content_start.checked_add(content_size)?;
        let name = notes.get(12..name_end)?;
        let content = notes.get(content_start..content_end)?;
        if name == b"GNU\0" && kind == elf::NT_GNU_BUILD_ID.0 as usize {
            let fits = (2..=64).contains(&content.len());
            return fits.then(|| content.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        notes = notes.get(content_end.checked_next_multiple_of(4)?..)?;
    }
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

fn table<T: object::Pod + Clone>(
    source: &File,
    offset: u64,
    count: usize,
    max: usize,
) -> Result<Vec<T>, CopyError> {
    if count > max {
        return Err(CopyError::TooLarge);
    }
    let bytes = read(source, offset, (count * size_of::<T>()) as u64)?;
    let (items, _) = slice_from_bytes::<T>(&bytes, count).map_err(|()| CopyError::NotElf)?;
    Ok(items.to_vec())
}

/// Reads a range that was checked to be small.
pub(super) fn read(source: &File, offset: u64, size: u64) -> Result<Vec<u8>, CopyError> {
    let mut bytes = vec![0; usize::try_from(size).map_err(|_| CopyError::TooLarge)?];
    source
        .read_exact_at(&mut bytes, offset)
        .map_err(|error| sort(&error))?;
    Ok(bytes)
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

/// Past the end is what a lying header looks like, not a failing disk.
fn sort(error: &io::Error) -> CopyError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => CopyError::NotElf,
        _ => CopyError::Unreadable,
    }
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
