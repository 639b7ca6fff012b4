//! Call frame information: where a file has it, and the entries of a stretch of code.
//!
//! What an entry says is for those who unwind; here it is found and its bytes are cut out, so that `gimli` never sees more
//! of a foreign file than one entry.

mod index;
mod records;
mod window;

use std::ops::Range;

use object::elf;

use super::file::ElfFile;

pub use self::index::FrameIndex;
pub use self::records::{FrameEntry, Slice};
pub use self::window::Position;

/// Bytes of `.eh_frame_hdr` without its table.
const HEADER_BYTES: u64 = 12;

/// Where the call frame information is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FrameSection {
    /// `.eh_frame_hdr`, static addresses.
    Header(Range<u64>),
    /// `.eh_frame` without the sorted table, static addresses.
    EhFrame(Range<u64>),
    /// `.debug_frame`, bytes of the file.
    DebugFrame(Range<u64>),
}

impl ElfFile {
    /// Where its call frame information is. The section table is only asked where the program headers do not tell.
    #[must_use]
    pub fn frame_section(&self) -> Option<FrameSection> {
        self.frame_header().or_else(|| self.find_frame_section())
    }

    /// A header without its table is as good as none.
    fn frame_header(&self) -> Option<FrameSection> {
        let header = self.program_header(elf::PT_GNU_EH_FRAME)?;
        let is_there = header.file_bytes >= HEADER_BYTES && self.file_offset(header.address).is_some();
        let end = header.address.saturating_add(header.file_bytes);
        is_there.then_some(FrameSection::Header(header.address..end))
    }

    fn find_frame_section(&self) -> Option<FrameSection> {
        let sections = self.sections()?;
        // An empty one has its terminator only.
        let section = sections.find(b".eh_frame").filter(|section| section.size > 4);
        if let Some(section) = section {
            let end = section.address.checked_add(section.size)?;
            return Some(FrameSection::EhFrame(section.address..end));
        }
        let section = sections.find(b".debug_frame")?;
        let is_usable = section.size > 0 && !section.is_compressed();
        is_usable.then(|| FrameSection::DebugFrame(section.range()))
    }
}

#[cfg(test)]
mod tests;
