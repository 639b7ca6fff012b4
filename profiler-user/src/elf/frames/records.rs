//! One frame description entry (FDE) with the common information entry (CIE) that it needs, cut out of a section.

use std::collections::HashMap;

use gimli::{
    BaseAddresses, DebugFrame, EhFrame, EndianSlice, FrameDescriptionEntry, LittleEndian, UnwindSection as _,
    Vendor,
};

use super::window::{Position, Window, word};
use crate::elf::error::ElfError;
use crate::elf::file::{Architecture, ElfFile};

/// Bytes of one FDE, at most. The largest functions have some ten thousand.
const MAX_ENTRY_BYTES: usize = 1 << 20;
/// Bytes of one CIE, at most; real ones have a few dozen. Every FDE that refers to it reads it again.
const MAX_COMMON_BYTES: usize = 4 << 10;
/// CIEs remembered, at most; files have a few, each file that was linked in its own.
const MAX_COMMON: usize = 256;

/// What `gimli` reads.
pub type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// An FDE with the section that its expressions are read from.
pub enum FrameEntry<'a> {
    /// Of `.eh_frame`.
    Eh(
        EhFrame<Slice<'a>>,
        FrameDescriptionEntry<Slice<'a>>,
        BaseAddresses,
    ),
    /// Of `.debug_frame`.
    Debug(
        DebugFrame<Slice<'a>>,
        FrameDescriptionEntry<Slice<'a>>,
        BaseAddresses,
    ),
}

impl FrameEntry<'_> {
    /// Static address of the first instruction that it is about.
    #[must_use]
    pub fn start(&self) -> u64 {
        match self {
            Self::Eh(_, entry, _) | Self::Debug(_, entry, _) => entry.initial_address(),
        }
    }

    /// Static address after the last one.
    #[must_use]
    pub fn end(&self) -> u64 {
        match self {
            Self::Eh(_, entry, _) | Self::Debug(_, entry, _) => entry.end_address(),
        }
    }
}

/// The records of one section.
#[derive(Debug)]
pub(super) struct Records {
    is_debug_frame: bool,
    /// Where the section begins; only `.debug_frame` is read from there.
    section: Position,
    vendor: Vendor,
    window: Window,
    /// By position; `None` for what cannot be read, which others refer to as well.
    common: HashMap<Position, Option<Box<[u8]>>>,
    /// A section of one CIE and one FDE.
    scratch: Vec<u8>,
}

impl Records {
    pub(super) fn new(is_debug_frame: bool, architecture: Architecture) -> Self {
        Self {
            is_debug_frame,
            section: 0,
            vendor: match architecture {
                Architecture::Aarch64 => Vendor::AArch64,
                _ => Vendor::Default,
            },
            window: Window::new(is_debug_frame),
            common: HashMap::new(),
            scratch: Vec::new(),
        }
    }

    /// Says where the section begins.
    pub(super) fn begin_at(&mut self, section: Position) {
        self.section = section;
    }

    /// Bytes of the record at a position, without the word that says so; `None` at the end of the section.
    pub(super) fn length(&mut self, file: &ElfFile, at: Position) -> Result<Option<u32>, ElfError> {
        let length = word(self.window.get(file, at, 4)?);
        Ok(length.filter(|&length| length != 0 || self.is_debug_frame))
    }

    /// The entry at a position, and the bytes that it and its CIE have; `None` for what is not an entry, or cannot be read.
    pub(super) fn entry(
        &mut self,
        file: &ElfFile,
        at: Position,
    ) -> Result<Option<(FrameEntry<'_>, usize)>, ElfError> {
        let Some(record) = self.record(file, at, MAX_ENTRY_BYTES)? else {
            return Ok(None);
        };
        // Where the CIE is: before this word in `.eh_frame`, from the start in `.debug_frame`.
        let Some(pointer) = record.get(4..8).and_then(word) else {
            return Ok(None);
        };
        let common_at = if self.is_debug_frame {
            self.section.checked_add(pointer.into())
        } else {
            (at + 4).checked_sub(pointer.into())
        };
        let (Some(common_at), false) = (common_at, self.is_common(pointer)) else {
            return Ok(None);
        };
        if !self.common.contains_key(&common_at) {
            let common = self.record(file, common_at, MAX_COMMON_BYTES)?;
            if self.common.len() >= MAX_COMMON {
                self.common.clear();
            }
            self.common.insert(common_at, common.map(Into::into));
        }
        let Some(Some(common)) = self.common.get(&common_at) else {
            return Ok(None);
        };
        let entry_at = common.len();
        self.scratch.clear();
        self.scratch.extend_from_slice(common);
        self.scratch.extend_from_slice(&record);
        let pointer = if self.is_debug_frame { 0 } else { entry_at + 4 };
        let Some(slot) = self.scratch.get_mut(entry_at + 4..entry_at + 8) else {
            return Ok(None);
        };
        slot.copy_from_slice(&u32::try_from(pointer).unwrap_or(u32::MAX).to_le_bytes());
        let bytes = self.scratch.len();
        Ok(self.parse(at, entry_at).map(|entry| (entry, bytes)))
    }

    /// Reads the scratch section, whose FDE really is at `at`.
    fn parse(&self, at: Position, entry_at: usize) -> Option<FrameEntry<'_>> {
        let bases = BaseAddresses::default().set_eh_frame(at.wrapping_sub(entry_at as u64));
        if self.is_debug_frame {
            let mut section = DebugFrame::new(&self.scratch, LittleEndian);
            section.set_vendor(self.vendor);
            let entry = section
                .fde_from_offset(&bases, entry_at.into(), DebugFrame::cie_from_offset)
                .ok()?;
            Some(FrameEntry::Debug(section, entry, bases))
        } else {
            let mut section = EhFrame::new(&self.scratch, LittleEndian);
            section.set_vendor(self.vendor);
            let entry = section
                .fde_from_offset(&bases, entry_at.into(), EhFrame::cie_from_offset)
                .ok()?;
            Some(FrameEntry::Eh(section, entry, bases))
        }
    }

    /// Whether this word says that the record is a CIE.
    fn is_common(&self, word: u32) -> bool {
        word == if self.is_debug_frame { u32::MAX } else { 0 }
    }

    /// The bytes of a record with its length; `None` at the end, and for what is too long. (Records of 4 GiB, the 64-bit
    /// format, are too long.)
    fn record(
        &mut self,
        file: &ElfFile,
        at: Position,
        max_bytes: usize,
    ) -> Result<Option<Vec<u8>>, ElfError> {
        let length = word(self.window.get(file, at, 4)?).unwrap_or(0) as usize;
        if !(8..=max_bytes).contains(&length) {
            return Ok(None);
        }
        let bytes = self.window.get(file, at, length + 4)?;
        Ok((bytes.len() == length + 4).then(|| bytes.to_vec()))
    }
}
