//! What the headers of a foreign ELF file say: segments, sections, and where its debug information is. Used by
//! [`super::copy`] and [`super::plt`], in the worker process.
//!
//! Positioned reads within limits; a size is believed when it is known to be small.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use object::LittleEndian as LE;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::pod::{from_bytes, slice_from_bytes};

/// Sections of a file, at most; `-ffunction-sections` exists in object files only.
const MAX_SECTIONS: usize = 16 * 1024;
/// Program headers of a file, at most.
const MAX_SEGMENTS: usize = 1024;
/// Bytes of all section names, at most.
const MAX_SECTION_NAMES: u64 = 1 << 20;
/// Bytes of the name of a section that are looked at.
const MAX_NAME: usize = 64;
/// Bytes of a note section that is searched for the build-id.
const MAX_NOTE: u64 = 64 * 1024;

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
    pub(super) offset: u64,
    pub(super) file_bytes: u64,
    pub(super) address: u64,
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

/// Where in the file the dynamic linker's tables are: offset and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DynamicTables {
    pub(super) symbols: Option<(u64, u64)>,
    pub(super) strings: Option<(u64, u64)>,
    pub(super) relocations: [Option<(u64, u64)>; 2],
}

/// The headers.
pub(super) struct Headers {
    pub(super) file: FileHeader64<LE>,
    segments: Vec<ProgramHeader64<LE>>,
    pub(super) sections: Vec<SectionHeader64<LE>>,
    pub(super) names: Vec<u8>,
}

impl Headers {
    pub(super) fn read(source: &File) -> Result<Self, CopyError> {
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

    pub(super) fn name(&self, section: &SectionHeader64<LE>) -> &[u8] {
        let start = section.sh_name.get(LE) as usize;
        let rest = self.names.get(start..).unwrap_or(&[]);
        let rest = rest.get(..MAX_NAME).unwrap_or(rest);
        rest.split(|&byte| byte == 0).next().unwrap_or(&[])
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<&SectionHeader64<LE>> {
        self.sections
            .iter()
            .find(|section| has_content(section) && self.name(section) == name)
    }

    pub(super) fn segments(&self) -> Vec<Segment> {
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

    pub(super) fn code(&self) -> Vec<Section> {
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

    pub(super) fn dynamic(&self) -> DynamicTables {
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

    pub(super) fn reference(&self, source: &File) -> DebugReference {
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

pub(super) fn has_content(section: &SectionHeader64<LE>) -> bool {
    !matches!(section.sh_type.get(LE), elf::SHT_NOBITS | elf::SHT_NULL)
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

/// Past the end is what a lying header looks like, not a failing disk.
pub(super) fn sort(error: &io::Error) -> CopyError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => CopyError::NotElf,
        _ => CopyError::Unreadable,
    }
}
