//! What unwinding needs of an ELF file's headers: where its text and its call frame information are, who it is.
//!
//! Used by [`super::file`] on the worker thread, and by [`super::spaces`] for each new file. Positioned reads of a few
//! kilobytes; the file is foreign, so every count has a cap and every sum is checked. The section table is only asked
//! where the program headers do not tell.

use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use object::LittleEndian as LE;
use object::elf::{self, FileHeader64, ProgramHeader64, SectionHeader64};
use object::pod::{from_bytes, slice_from_bytes};
use profiler_common::contract::unwind::{BLOCK_BYTES, BLOCK_SHIFT};
use rustix::io::Errno;

/// Program headers looked at; real files have about a dozen.
const MAX_SEGMENTS: usize = 256;
/// Sections looked at; linked files have a few dozen.
const MAX_SECTIONS: usize = 1024;
/// Bytes of the notes looked at.
const MAX_NOTE_BYTES: u64 = 64 << 10;
/// Bytes of a build id, at most; 20 are usual.
const MAX_BUILD_ID: usize = 64;
/// Blocks of one file, at most: 1 GiB of text.
pub(super) const MAX_FILE_BLOCKS: u64 = 1 << 14;

/// Why there are no tables of a file.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// Not ELF, or of another class, byte order or processor.
    #[error("not a 64-bit ELF file for x86-64 or aarch64")]
    NotSupported,
    /// The headers contradict each other or the file.
    #[error("malformed ELF file")]
    Malformed,
    /// More than any real file has.
    #[error("the file has more of something than is looked at")]
    TooLarge,
    /// The file could not be read.
    #[error("reading the file")]
    Io(#[from] std::io::Error),
}

/// The processor whose registers are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Machine {
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

/// Where a file's bytes are.
#[derive(Clone, Debug)]
pub enum Bytes {
    /// In an open file; never mapped.
    File(Arc<File>),
    /// In memory: the vDSO, tests.
    Memory(Arc<[u8]>),
}

impl Bytes {
    /// Fills `out` from `offset` as far as the file goes.
    fn read(&self, offset: u64, out: &mut [u8]) -> Result<usize, TableError> {
        match self {
            Self::File(file) => {
                let mut filled = 0;
                while filled < out.len() {
                    let at = offset.checked_add(filled as u64).ok_or(TableError::Malformed)?;
                    match file.read_at(&mut out[filled..], at) {
                        Ok(0) => break,
                        Ok(bytes) => filled += bytes,
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        Err(error) if Errno::from_io_error(&error) == Some(Errno::INVAL) => break,
                        Err(error) => return Err(error.into()),
                    }
                }
                Ok(filled)
            }
            Self::Memory(bytes) => {
                let rest = usize::try_from(offset)
                    .ok()
                    .and_then(|start| bytes.get(start..))
                    .unwrap_or_default();
                let count = rest.len().min(out.len());
                out[..count].copy_from_slice(&rest[..count]);
                Ok(count)
            }
        }
    }

    fn length(&self) -> Result<u64, TableError> {
        Ok(match self {
            Self::File(file) => file.metadata()?.len(),
            Self::Memory(bytes) => bytes.len() as u64,
        })
    }

    /// `bytes` bytes from `offset`, or fewer where the file ends.
    pub(super) fn up_to(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, TableError> {
        let mut out = Vec::new();
        self.read_up_to(offset, bytes, &mut out)?;
        Ok(out)
    }

    /// Makes `out` what [`Self::up_to`] returns.
    pub(super) fn read_up_to(&self, offset: u64, bytes: usize, out: &mut Vec<u8>) -> Result<(), TableError> {
        out.resize(bytes, 0);
        let filled = self.read(offset, out)?;
        out.truncate(filled);
        Ok(())
    }

    /// Exactly `bytes` bytes from `offset`.
    pub(super) fn exactly(&self, offset: u64, bytes: usize) -> Result<Vec<u8>, TableError> {
        let out = self.up_to(offset, bytes)?;
        if out.len() == bytes {
            Ok(out)
        } else {
            Err(TableError::Malformed)
        }
    }
}

/// A `PT_LOAD` segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) address: u64,
    pub(super) offset: u64,
    pub(super) file_bytes: u64,
    pub(super) executable: bool,
}

/// Where the call frame information is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FrameSection {
    /// `.eh_frame_hdr`, static addresses.
    Header(Range<u64>),
    /// `.eh_frame` without the sorted table, static addresses.
    EhFrame(Range<u64>),
    /// `.debug_frame`, bytes of the file.
    DebugFrame(Range<u64>),
}

/// An ELF file's headers.
#[derive(Debug)]
pub struct Image {
    pub(super) bytes: Bytes,
    pub(super) machine: Machine,
    pub(super) segments: Vec<Segment>,
    pub(super) entry: u64,
    pub(super) frames: Option<FrameSection>,
    build_id: Option<Box<[u8]>>,
    digest: u64,
    text: Range<u64>,
}

impl Image {
    /// Reads the headers.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn open(bytes: Bytes) -> Result<Self, TableError> {
        let header_bytes = bytes.up_to(0, size_of::<FileHeader64<LE>>())?;
        let (header, _) =
            from_bytes::<FileHeader64<LE>>(&header_bytes).map_err(|()| TableError::NotSupported)?;
        let ident = &header.e_ident;
        if ident.magic != elf::ELFMAG || ident.class != elf::ELFCLASS64 || ident.data != elf::ELFDATA2LSB {
            return Err(TableError::NotSupported);
        }
        let machine = match header.e_machine.get(LE) {
            elf::EM_X86_64 => Machine::X86_64,
            elf::EM_AARCH64 => Machine::Aarch64,
            _ => return Err(TableError::NotSupported),
        };
        let count = usize::from(header.e_phnum.get(LE));
        if count > MAX_SEGMENTS || usize::from(header.e_phentsize.get(LE)) != size_of::<ProgramHeader64<LE>>()
        {
            return Err(TableError::Malformed);
        }
        let table = bytes.exactly(header.e_phoff.get(LE), count * size_of::<ProgramHeader64<LE>>())?;
        let (headers, _) =
            slice_from_bytes::<ProgramHeader64<LE>>(&table, count).map_err(|()| TableError::Malformed)?;
        let entry = header.e_entry.get(LE);
        let mut digest = DefaultHasher::new();
        (&table, entry).hash(&mut digest);
        let mut image = Self {
            bytes,
            machine,
            segments: Vec::new(),
            entry,
            frames: None,
            build_id: None,
            digest: digest.finish(),
            text: 0..0,
        };
        let length = image.bytes.length()?;
        for header in headers {
            image.take_segment(header, length);
        }
        if !image.has_frame_header() {
            image.frames = image.find_frame_section(header);
        }
        image.text = image.find_text()?;
        Ok(image)
    }

    fn take_segment(&mut self, header: &ProgramHeader64<LE>, length: u64) {
        let address = header.p_vaddr.get(LE);
        let offset = header.p_offset.get(LE);
        let bytes = header.p_filesz.get(LE).min(length.saturating_sub(offset));
        match header.p_type.get(LE) {
            elf::PT_LOAD => self.segments.push(Segment {
                address,
                offset,
                file_bytes: bytes,
                executable: header.p_flags.get(LE).contains(elf::PF_X),
            }),
            elf::PT_GNU_EH_FRAME if bytes >= 12 => {
                self.frames = Some(FrameSection::Header(address..address.saturating_add(bytes)));
            }
            elf::PT_NOTE if self.build_id.is_none() => {
                self.build_id = self.find_build_id(offset, bytes, header.p_align.get(LE));
            }
            _ => {}
        }
    }

    /// A malformed note is no note: it only decides who shares tables.
    fn find_build_id(&self, offset: u64, bytes: u64, alignment: u64) -> Option<Box<[u8]>> {
        let notes = self
            .bytes
            .up_to(offset, usize::try_from(bytes.min(MAX_NOTE_BYTES)).ok()?)
            .ok()?;
        let alignment = if alignment == 8 { 8 } else { 4 };
        let mut rest = &notes[..];
        while let Some((head, after)) = rest.split_at_checked(12) {
            let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
            let (name_bytes, value_bytes) = (word(0)? as usize, word(4)? as usize);
            let value_at = name_bytes.checked_next_multiple_of(4)?;
            // What follows is aligned relative to the start of the note, whose head has 12 bytes.
            let value_at = (value_at + 12).checked_next_multiple_of(alignment)? - 12;
            let value = after.get(value_at..value_at.checked_add(value_bytes)?)?;
            if word(8)? == elf::NT_GNU_BUILD_ID.0 && after.get(..name_bytes)? == b"GNU\0" {
                return (!value.is_empty() && value.len() <= MAX_BUILD_ID).then(|| value.into());
            }
            let end = (value_at + value_bytes + 12).checked_next_multiple_of(alignment)? - 12;
            rest = after.get(end..)?;
        }
        None
    }

    /// A header without its table is as good as none.
    fn has_frame_header(&self) -> bool {
        let Some(FrameSection::Header(range)) = &self.frames else {
            return false;
        };
        self.file_offset(range.start).is_some()
    }

    fn find_frame_section(&self, header: &FileHeader64<LE>) -> Option<FrameSection> {
        let count = usize::from(header.e_shnum.get(LE)).min(MAX_SECTIONS);
        if usize::from(header.e_shentsize.get(LE)) != size_of::<SectionHeader64<LE>>() {
            return None;
        }
        let table = self
            .bytes
            .exactly(header.e_shoff.get(LE), count * size_of::<SectionHeader64<LE>>())
            .ok()?;
        let (sections, _) = slice_from_bytes::<SectionHeader64<LE>>(&table, count).ok()?;
        let strings = sections
            .get(usize::from(header.e_shstrndx.get(LE).0))?
            .sh_offset
            .get(LE);
        let mut found = None;
        for section in sections {
            let name_at = strings.checked_add(section.sh_name.get(LE).into())?;
            let name = self.bytes.up_to(name_at, 16).ok()?;
            let (address, offset) = (section.sh_addr.get(LE), section.sh_offset.get(LE));
            let (size, flags) = (section.sh_size.get(LE), section.sh_flags.get(LE));
            if section.sh_type.get(LE) == elf::SHT_NOBITS || size == 0 {
                continue;
            }
            if name.starts_with(b".eh_frame\0") && size > 4 {
                return Some(FrameSection::EhFrame(address..address.checked_add(size)?));
            }
            if name.starts_with(b".debug_frame\0") && !flags.contains(elf::SHF_COMPRESSED) {
                found = Some(FrameSection::DebugFrame(offset..offset.checked_add(size)?));
            }
        }
        found
    }

    /// From the first byte of code to the last.
    fn find_text(&self) -> Result<Range<u64>, TableError> {
        let code = || {
            self.segments
                .iter()
                .filter(|segment| segment.executable && segment.file_bytes > 0)
        };
        let start = code().map(|segment| segment.address).min().unwrap_or(0);
        let ends = code().map(|segment| segment.address.checked_add(segment.file_bytes));
        let end = ends
            .collect::<Option<Vec<_>>>()
            .ok_or(TableError::Malformed)?
            .into_iter()
            .max()
            .unwrap_or(0);
        let is_far = u32::try_from(end >> BLOCK_SHIFT).is_err();
        if is_far || (end >> BLOCK_SHIFT) - (start >> BLOCK_SHIFT) >= MAX_FILE_BLOCKS {
            return Err(TableError::TooLarge);
        }
        Ok(start..end)
    }

    /// The same without the open file, to be kept.
    pub(super) fn closed(mut self) -> Self {
        self.bytes = Bytes::Memory(Arc::new([]));
        self
    }

    /// The processor.
    #[must_use]
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// The build id, as the linker wrote it.
    #[must_use]
    pub fn build_id(&self) -> Option<&[u8]> {
        self.build_id.as_deref()
    }

    /// Tells apart files that have one build id but are laid out differently (patched or stripped ones).
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// Whether it has call frame information of some kind.
    #[must_use]
    pub fn has_frame_information(&self) -> bool {
        self.frames.is_some()
    }

    /// What the first block begins with, as `Mapping::text_block`.
    #[must_use]
    pub fn text_block(&self) -> u32 {
        u32::try_from(self.text.start >> BLOCK_SHIFT).unwrap_or(u32::MAX)
    }

    /// Blocks.
    #[must_use]
    pub fn block_count(&self) -> u32 {
        if self.text.is_empty() {
            return 0;
        }
        let last = (self.text.end - 1) >> BLOCK_SHIFT;
        u32::try_from(last - (self.text.start >> BLOCK_SHIFT) + 1).unwrap_or(0)
    }

    /// Bytes from the first byte of code to the last.
    #[must_use]
    pub fn text_bytes(&self) -> u64 {
        self.text.end - self.text.start
    }

    /// Static addresses of a block.
    pub(super) fn block_range(&self, block: u32) -> Option<Range<u64>> {
        if block >= self.block_count() {
            return None;
        }
        let start = ((self.text.start >> BLOCK_SHIFT) + u64::from(block)) << BLOCK_SHIFT;
        Some(start..start.checked_add(BLOCK_BYTES)?)
    }

    /// What to subtract from an address in a mapping of `offset` at `start` to get a static one.
    #[must_use]
    pub fn bias(&self, start: u64, offset: u64, bytes: u64) -> Option<u64> {
        let end = offset.checked_add(bytes)?;
        let covers = |segment: &&Segment| {
            segment.file_bytes > 0
                && segment.offset < end
                && segment.offset.saturating_add(segment.file_bytes) > offset
        };
        let mut candidates = self.segments.iter().filter(covers);
        let first = candidates.next()?;
        // Two segments can share a page of the file; the mapping is executable, so is its segment.
        let segment = if first.executable {
            first
        } else {
            candidates.find(|segment| segment.executable).unwrap_or(first)
        };
        let address = segment.address.wrapping_add(offset.wrapping_sub(segment.offset));
        Some(start.wrapping_sub(address))
    }

    /// Where the file holds what is loaded at the static address, and how many bytes of it there are.
    pub(super) fn file_extent(&self, address: u64) -> Option<(u64, u64)> {
        self.segments.iter().find_map(|segment| {
            let distance = address.checked_sub(segment.address)?;
            let left = segment
                .file_bytes
                .checked_sub(distance)
                .filter(|&left| left > 0)?;
            Some((segment.offset.checked_add(distance)?, left))
        })
    }

    fn file_offset(&self, address: u64) -> Option<u64> {
        self.file_extent(address).map(|(offset, _)| offset)
    }

    /// Up to `bytes` bytes of what is loaded at the static address.
    pub(super) fn loaded(&self, address: u64, bytes: usize) -> Result<Vec<u8>, TableError> {
        let mut out = Vec::new();
        self.read_loaded(address, bytes, &mut out)?;
        Ok(out)
    }

    /// Makes `out` what [`Self::loaded`] returns.
    pub(super) fn read_loaded(
        &self,
        address: u64,
        bytes: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), TableError> {
        out.clear();
        let Some((offset, left)) = self.file_extent(address) else {
            return Ok(());
        };
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(bytes);
        self.bytes.read_up_to(offset, bytes, out)
    }
}
