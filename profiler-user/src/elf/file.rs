//! One ELF file: its headers, and the way to the rest.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;

use object::LittleEndian;
use object::elf::{self, EM_AARCH64, EM_X86_64, FileHeader32, FileHeader64, ProgramType};
use object::pod::slice_from_bytes;
use object::read::elf::FileHeader;

use super::bytes::FileBytes;
use super::class::{Class, LE};
use super::dynamic::Dynamic;
use super::error::ElfError;
use super::program::{ProgramHeader, Segment, program_header, segments};
use super::reader::Reader;
use super::sections::{Section, SectionTable, Sections};

/// Program headers, at most; real files have about a dozen.
const MAX_PROGRAM_HEADERS: u64 = 1024;

/// The processor a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// Another; `e_machine` (System V ABI).
    Other(u16),
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X86_64 => f.write_str("x86-64"),
            Self::Aarch64 => f.write_str("aarch64"),
            Self::Other(machine) => write!(f, "ELF machine {machine}"),
        }
    }
}

/// The thread-local variables of a file (`PT_TLS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadLocals {
    /// Static address of their initial values.
    pub address: u64,
    /// Bytes in each thread.
    pub memory_bytes: u64,
    /// Their alignment.
    pub alignment: u64,
}

/// An ELF file whose headers are well-formed. Everything else is read when it is asked for, once.
#[derive(Debug)]
pub struct ElfFile {
    pub(super) reader: Reader,
    pub(super) class: Class,
    architecture: Architecture,
    /// `ET_EXEC`
    is_fixed: bool,
    entry: u64,
    section_table: SectionTable,
    pub(super) program_headers: Box<[ProgramHeader]>,
    segments: Box<[Segment]>,
    sections: OnceCell<Result<Sections, ElfError>>,
    dynamic: OnceCell<Dynamic>,
}

impl ElfFile {
    /// Reads the headers of a file, of which `budget_bytes` bytes may be read in all.
    ///
    /// # Errors
    /// [`ElfError`]; only [`ElfError::Io`] can be different at the next try.
    pub fn open(bytes: FileBytes, budget_bytes: u64) -> Result<Self, ElfError> {
        let reader = Reader::new(bytes, budget_bytes)?;
        let mut ident = [0; 16];
        let is_read = reader.read_into(&mut ident, 0);
        match ident {
            [0x7f, b'E', b'L', b'F', 1, 1, 1, ..] => Self::parse::<FileHeader32<LittleEndian>>(reader),
            [0x7f, b'E', b'L', b'F', 2, 1, 1, ..] => Self::parse::<FileHeader64<LittleEndian>>(reader),
            [0x7f, b'E', b'L', b'F', 1 | 2, 2, ..] => Err(ElfError::BigEndian),
            [0x7f, b'E', b'L', b'F', ..] => Err(ElfError::Malformed("no such class, byte order or version")),
            // The budget, or the disk.
            _ if reader.failure().is_some() => is_read.and(Err(ElfError::NotElf)),
            _ => Err(ElfError::NotElf),
        }
    }

    fn parse<Elf: FileHeader<Endian = LittleEndian>>(reader: Reader) -> Result<Self, ElfError> {
        let header: Elf = reader.structure(0)?;
        let count = u64::from(header.e_phnum(LE));
        if count > MAX_PROGRAM_HEADERS {
            return Err(ElfError::TooLarge);
        }
        let entry_bytes = size_of::<Elf::ProgramHeader>();
        if count > 0 && usize::from(header.e_phentsize(LE)) != entry_bytes {
            return Err(ElfError::Malformed("program headers of another size"));
        }
        let start: u64 = header.e_phoff(LE).into();
        let end = start.checked_add(count * entry_bytes as u64);
        let table = reader.range(
            start..end.ok_or(ElfError::Malformed("program headers beyond the end of the file"))?,
            u64::MAX,
        )?;
        let (raw, _) = slice_from_bytes::<Elf::ProgramHeader>(&table, count as usize)
            .map_err(|()| ElfError::Malformed("program headers beyond the end of the file"))?;
        let length = reader.length();
        let program_headers: Box<[_]> = raw.iter().map(|raw| program_header(raw, length)).collect();
        let is_right_size = usize::from(header.e_shentsize(LE)) == size_of::<Elf::SectionHeader>();
        Ok(Self {
            class: if header.is_type_64() {
                Class::Bits64
            } else {
                Class::Bits32
            },
            architecture: match header.e_machine(LE) {
                EM_X86_64 => Architecture::X86_64,
                EM_AARCH64 => Architecture::Aarch64,
                other => Architecture::Other(other.0),
            },
            is_fixed: header.e_type(LE) == elf::ET_EXEC,
            entry: header.e_entry(LE).into(),
            section_table: SectionTable {
                offset: header.e_shoff(LE).into(),
                count: if is_right_size { header.e_shnum(LE) } else { 0 },
                names_index: header.e_shstrndx(LE).0,
            },
            segments: segments(&program_headers),
            program_headers,
            sections: OnceCell::new(),
            dynamic: OnceCell::new(),
            reader,
        })
    }

    /// The file, to read on in it.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// The processor it is for.
    #[must_use]
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Whether its pointers have 64 bits.
    #[must_use]
    pub fn is_64_bit(&self) -> bool {
        self.class == Class::Bits64
    }

    /// Static address of its first instruction; 0 where it has none.
    #[must_use]
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// What is loaded.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Its sections: none in a file without.
    ///
    /// # Errors
    /// When the table or the names are beyond the file or the limits.
    pub fn section_table(&self) -> Result<&Sections, &ElfError> {
        let read = || Sections::read(&self.reader, self.class, self.section_table);
        self.sections.get_or_init(read).as_ref()
    }

    /// Its sections; `None` where they cannot be read.
    #[must_use]
    pub fn sections(&self) -> Option<&Sections> {
        self.section_table().ok()
    }

    /// The section of this name that is part of the running program.
    #[must_use]
    pub fn loaded_section(&self, name: &[u8]) -> Option<&Section> {
        self.sections()?.find(name).filter(|section| section.is_loaded())
    }

    /// The dynamic table; empty where there is none.
    pub(super) fn dynamic(&self) -> &Dynamic {
        self.dynamic.get_or_init(|| {
            let header = self.program_header(elf::PT_DYNAMIC);
            header.map_or_else(Dynamic::default, |header| {
                Dynamic::read(&self.reader, self.class, header)
            })
        })
    }

    /// Whether this is a program, not a library.
    #[must_use]
    pub fn is_program(&self) -> bool {
        self.is_fixed || self.dynamic().is_program()
    }

    /// Its thread-local variables, if it has any.
    #[must_use]
    pub fn thread_locals(&self) -> Option<ThreadLocals> {
        self.program_header(elf::PT_TLS).map(|header| ThreadLocals {
            address: header.address,
            memory_bytes: header.memory_bytes,
            alignment: header.alignment,
        })
    }

    /// Static addresses that the loader makes read-only once it has written to them (`PT_GNU_RELRO`).
    #[must_use]
    pub fn written_once(&self) -> Range<u64> {
        self.program_header(elf::PT_GNU_RELRO).map_or(0..0, |header| {
            header.address..header.address.saturating_add(header.memory_bytes)
        })
    }

    /// The last one of this type, as the dynamic loader does.
    pub(super) fn program_header(&self, kind: ProgramType) -> Option<&ProgramHeader> {
        self.program_headers.iter().rfind(|header| header.kind == kind)
    }

    /// Where the file holds what is loaded at the static address, and how many bytes of it there are; `None` for what it
    /// does not hold (`.bss`).
    #[must_use]
    pub fn file_extent(&self, address: u64) -> Option<(u64, u64)> {
        self.segments
            .iter()
            .find_map(|segment| segment.file_extent(address))
    }

    /// The first half of [`Self::file_extent`].
    #[must_use]
    pub fn file_offset(&self, address: u64) -> Option<u64> {
        self.file_extent(address).map(|(offset, _)| offset)
    }

    /// Fills `out` with what is loaded at the static address; `None` when the file does not hold all of it.
    #[must_use]
    pub fn read_address(&self, address: u64, out: &mut [u8]) -> Option<()> {
        self.reader.read_into(out, self.file_offset(address)?).ok()
    }

    /// Makes `out` up to `bytes` bytes of what is loaded at the static address: fewer where its segment ends.
    ///
    /// # Errors
    /// As [`Reader::read_up_to`].
    pub fn read_loaded(&self, address: u64, bytes: usize, out: &mut Vec<u8>) -> Result<(), ElfError> {
        out.clear();
        let Some((offset, left)) = self.file_extent(address) else {
            return Ok(());
        };
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(bytes);
        self.reader.read_up_to(offset, bytes, out)
    }

    /// What [`Self::read_loaded`] reads.
    ///
    /// # Errors
    /// As [`Reader::read_up_to`].
    pub fn loaded(&self, address: u64, bytes: usize) -> Result<Vec<u8>, ElfError> {
        let mut out = Vec::new();
        self.read_loaded(address, bytes, &mut out)?;
        Ok(out)
    }
}
