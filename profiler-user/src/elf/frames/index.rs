//! Where the frame description entries (FDE) of a stretch of code are.
//!
//! With the sorted table of `.eh_frame_hdr` one stretch costs its own entries only, however large the file is; without it
//! (or with `.debug_frame`) all entries are gone through once.

use std::ops::Range;

use super::FrameSection;
use super::records::{FrameEntry, Records};
use super::window::{Position, Window, word};
use crate::elf::error::ElfError;
use crate::elf::file::ElfFile;

/// Entries of one stretch of code, at most.
const MAX_STRETCH_ENTRIES: usize = 1 << 14;
/// Entries of a file without a sorted table, at most.
const MAX_LISTED_ENTRIES: usize = 1 << 21;
/// `DW_EH_PE_datarel | DW_EH_PE_sdata4`, what linkers write. (LSB core specification, "DWARF exception header encoding".)
const SORTED_TABLE: u8 = 0x3b;
/// `DW_EH_PE_udata4`.
const COUNT: u8 = 0x03;
/// `DW_EH_PE_pcrel | DW_EH_PE_sdata4`: relative to its own place.
const POINTER: u8 = 0x1b;
/// Bytes of an entry of the sorted table: two 32-bit numbers, relative to the header.
const SORTED_ENTRY: u64 = 8;

/// The entries of a file.
#[derive(Debug)]
pub struct FrameIndex {
    order: Order,
    records: Records,
    /// For the table of `.eh_frame_hdr`.
    window: Window,
}

#[derive(Debug)]
enum Order {
    /// The table of `.eh_frame_hdr`, at this static address.
    Sorted { header: u64, table: u64, count: u64 },
    /// First instructions relative to a base, and positions relative to the section's start; sorted.
    List {
        base: u64,
        section: u64,
        entries: Vec<(u32, u32)>,
    },
}

impl FrameIndex {
    /// Finds the entries of a file; `None` when it has none. Where there is no sorted table, the first
    /// `max_listed_bytes` bytes of the section are gone through.
    ///
    /// # Errors
    /// [`ElfError`].
    pub fn new(file: &ElfFile, max_listed_bytes: u64) -> Result<Option<Self>, ElfError> {
        let Some(frames) = file.frame_section() else {
            return Ok(None);
        };
        let is_debug_frame = matches!(frames, FrameSection::DebugFrame(_));
        let mut index = Self {
            order: Order::List {
                base: 0,
                section: 0,
                entries: Vec::new(),
            },
            records: Records::new(is_debug_frame, file.architecture()),
            window: Window::new(false),
        };
        let section = match frames {
            FrameSection::Header(range) => match sorted_table(file, &range)? {
                Header::Sorted(order) => {
                    index.order = order;
                    return Ok(Some(index));
                }
                Header::Unsorted(section) => section,
                Header::Useless => return Ok(None),
            },
            FrameSection::EhFrame(section) | FrameSection::DebugFrame(section) => section,
        };
        index.list(file, section, max_listed_bytes)?;
        Ok(Some(index))
    }

    /// Positions of the entries that may describe code in `range` (static addresses), by first instruction; the first
    /// one usually begins before it.
    ///
    /// # Errors
    /// [`ElfError`]; [`ElfError::TooLarge`] when there are more than any code has.
    pub fn entries(&mut self, file: &ElfFile, range: &Range<u64>) -> Result<Vec<Position>, ElfError> {
        let (from, to) = (
            self.first_from(file, range.start)?,
            self.first_from(file, range.end)?,
        );
        let from = from.saturating_sub(1);
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        if count > MAX_STRETCH_ENTRIES {
            return Err(ElfError::TooLarge);
        }
        match &self.order {
            Order::Sorted { header, table, .. } => {
                let at = table.checked_add(from * SORTED_ENTRY).ok_or(OVERFLOW)?;
                let bytes = file.loaded(at, count * SORTED_ENTRY as usize)?;
                Ok(bytes
                    .chunks_exact(SORTED_ENTRY as usize)
                    .filter_map(|entry| relative(*header, entry.get(4..8)?))
                    .collect())
            }
            Order::List { section, entries, .. } => {
                let from = usize::try_from(from).unwrap_or(usize::MAX);
                let found = entries.iter().skip(from).take(count);
                Ok(found.map(|&(_, at)| section.wrapping_add(at.into())).collect())
            }
        }
    }

    /// The entry at a position, and the bytes that reading it took; `None` for what is not an entry, or cannot be read.
    ///
    /// # Errors
    /// [`ElfError`].
    pub fn entry(
        &mut self,
        file: &ElfFile,
        at: Position,
    ) -> Result<Option<(FrameEntry<'_>, usize)>, ElfError> {
        self.records.entry(file, at)
    }

    /// Static address of the first entry that does not begin before `address`.
    ///
    /// # Errors
    /// [`ElfError`].
    pub fn next_start(&mut self, file: &ElfFile, address: u64) -> Result<Option<u64>, ElfError> {
        let number = self.first_from(file, address)?;
        match &self.order {
            Order::List { base, entries, .. } => {
                let entry = usize::try_from(number)
                    .ok()
                    .and_then(|number| entries.get(number));
                Ok(entry.and_then(|&(start, _)| base.checked_add(start.into())))
            }
            &Order::Sorted { header, table, count } if number < count => {
                let at = table.checked_add(number * SORTED_ENTRY).ok_or(OVERFLOW)?;
                let bytes = self.window.get(file, at, 4)?;
                Ok(relative(header, bytes))
            }
            Order::Sorted { .. } => Ok(None),
        }
    }

    /// How many entries begin before this static address.
    fn first_from(&mut self, file: &ElfFile, address: u64) -> Result<u64, ElfError> {
        match &self.order {
            Order::List { base, entries, .. } => {
                let before = |&(start, _): &(u32, u32)| base.saturating_add(start.into()) < address;
                Ok(entries.partition_point(before) as u64)
            }
            &Order::Sorted { header, table, count } => {
                let (mut low, mut high) = (0, count);
                while low < high {
                    let middle = low + (high - low) / 2;
                    let at = table.checked_add(middle * SORTED_ENTRY).ok_or(OVERFLOW)?;
                    let bytes = self.window.get(file, at, 4)?;
                    if relative(header, bytes).is_some_and(|start| start < address) {
                        low = middle + 1;
                    } else {
                        high = middle;
                    }
                }
                Ok(low)
            }
        }
    }

    /// Goes through all records.
    fn list(&mut self, file: &ElfFile, section: Range<Position>, max_bytes: u64) -> Result<(), ElfError> {
        let mut found: Vec<(u64, u32)> = Vec::new();
        let bytes = max_bytes.min(u32::MAX.into());
        let end = section.end.min(section.start.saturating_add(bytes));
        self.records.begin_at(section.start);
        let mut at = section.start;
        while at < end {
            let Some(length) = self.records.length(file, at)? else {
                break;
            };
            if let Some((entry, _)) = self.records.entry(file, at)? {
                if found.len() == MAX_LISTED_ENTRIES {
                    return Err(ElfError::TooLarge);
                }
                found.push((
                    entry.start(),
                    u32::try_from(at - section.start).unwrap_or(u32::MAX),
                ));
            }
            at = at.checked_add(u64::from(length) + 4).ok_or(OVERFLOW)?;
        }
        found.sort_unstable();
        // Functions that the linker dropped begin at 0; code is not further than 4 GiB from where it begins.
        let code = file.segments().iter().filter(|segment| segment.executable);
        let base = code.map(|segment| segment.address).min().unwrap_or(0);
        let entries = found
            .into_iter()
            .filter_map(|(start, at)| Some((u32::try_from(start.checked_sub(base)?).ok()?, at)))
            .collect();
        self.order = Order::List {
            base,
            section: section.start,
            entries,
        };
        Ok(())
    }
}

const OVERFLOW: ElfError = ElfError::Malformed("call frame information beyond the last address");

/// What `.eh_frame_hdr` holds.
enum Header {
    Sorted(Order),
    /// No table that is understood, but where `.eh_frame` is.
    Unsorted(Range<u64>),
    Useless,
}

fn sorted_table(file: &ElfFile, range: &Range<u64>) -> Result<Header, ElfError> {
    let bytes = file.loaded(range.start, super::HEADER_BYTES as usize)?;
    let &[1, pointer_format, count_format, table_format, ..] = &bytes[..] else {
        return Ok(Header::Useless);
    };
    let (Some(pointer), Some(count)) = (
        bytes.get(4..8).and_then(word),
        bytes.get(8..12).and_then(word).map(u64::from),
    ) else {
        return Ok(Header::Useless);
    };
    if (count_format, table_format) == (COUNT, SORTED_TABLE) {
        let room = (range.end - range.start).saturating_sub(super::HEADER_BYTES) / SORTED_ENTRY;
        if count > 0 && count <= room {
            return Ok(Header::Sorted(Order::Sorted {
                header: range.start,
                table: range.start.saturating_add(super::HEADER_BYTES),
                count,
            }));
        }
    }
    if pointer_format != POINTER {
        return Ok(Header::Useless);
    }
    let start = range.start.wrapping_add(4).wrapping_add_signed(signed(pointer));
    Ok(match file.file_extent(start) {
        Some((_, left)) => Header::Unsorted(start..start.saturating_add(left)),
        None => Header::Useless,
    })
}

fn signed(word: u32) -> i64 {
    word.cast_signed().into()
}

/// A signed 32-bit number relative to the header.
fn relative(header: u64, bytes: &[u8]) -> Option<u64> {
    Some(header.wrapping_add_signed(signed(word(bytes)?)))
}
