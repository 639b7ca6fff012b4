//! Where the frame description entries (FDE) of a stretch of text are, and their bytes.
//!
//! Used by [`super::file`]. With the sorted table of `.eh_frame_hdr` one stretch costs its own entries only, however large
//! the file is; without it (or with `.debug_frame`) all entries are gone through once.

use std::collections::HashMap;
use std::ops::Range;

use gimli::{
    BaseAddresses, DebugFrame, EhFrame, EndianSlice, FrameDescriptionEntry, LittleEndian, UnwindSection as _,
    Vendor,
};

use super::image::{FrameSection, Image, Machine, TableError};

/// Bytes of one entry, at most. The largest functions have some ten thousand.
const MAX_ENTRY_BYTES: usize = 1 << 20;
/// Entries of one stretch of text, at most.
const MAX_STRETCH_ENTRIES: usize = 1 << 14;
/// Entries of a file without a sorted table, at most.
const MAX_LISTED_ENTRIES: usize = 1 << 21;
/// Bytes gone through for such a list, at most.
const MAX_LISTED_BYTES: u64 = 256 << 20;
/// Bytes read at once of what is read in order.
const WINDOW_BYTES: usize = 64 << 10;
/// Bytes read at once after a jump.
const JUMP_BYTES: usize = 4 << 10;
/// Common information entries (CIE) remembered, at most; files have a few, each file that was linked in its own.
const MAX_COMMON: usize = 256;
/// `DW_EH_PE_datarel | DW_EH_PE_sdata4`, what linkers write. (LSB core specification, "DWARF exception header encoding".)
const SORTED_TABLE: u8 = 0x3b;
/// `DW_EH_PE_udata4`.
const COUNT: u8 = 0x03;
/// Bytes of an entry of the sorted table: two 32-bit numbers, relative to the header.
const SORTED_ENTRY: u64 = 8;

pub(super) type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// The entries of a file.
#[derive(Debug)]
pub(super) struct Index {
    order: Order,
    is_debug_frame: bool,
    vendor: Vendor,
    window: Window,
    /// The same for the table of `.eh_frame_hdr`.
    table_window: Window,
    common: HashMap<u64, Box<[u8]>>,
    /// A section of one CIE and one FDE, which `gimli` reads.
    scratch: Vec<u8>,
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

/// A position in the section: a static address in `.eh_frame`, a byte of the file in `.debug_frame`.
pub(super) type Position = u64;

/// An FDE with the section that its expressions are read from.
pub(super) enum Entry<'a> {
    Eh(
        EhFrame<Slice<'a>>,
        FrameDescriptionEntry<Slice<'a>>,
        BaseAddresses,
    ),
    Debug(
        DebugFrame<Slice<'a>>,
        FrameDescriptionEntry<Slice<'a>>,
        BaseAddresses,
    ),
}

impl Entry<'_> {
    fn initial_address(&self) -> u64 {
        match self {
            Self::Eh(_, entry, _) | Self::Debug(_, entry, _) => entry.initial_address(),
        }
    }
}

impl Index {
    /// Finds the entries of a file; `None` when it has none.
    pub(super) fn new(image: &Image) -> Result<Option<Self>, TableError> {
        let Some(frames) = &image.frames else {
            return Ok(None);
        };
        let mut index = Self {
            order: Order::List {
                base: 0,
                section: 0,
                entries: Vec::new(),
            },
            is_debug_frame: matches!(frames, FrameSection::DebugFrame(_)),
            vendor: match image.machine {
                Machine::X86_64 => Vendor::Default,
                Machine::Aarch64 => Vendor::AArch64,
            },
            window: Window::default(),
            table_window: Window::default(),
            common: HashMap::new(),
            scratch: Vec::new(),
        };
        match frames {
            FrameSection::Header(range) => match sorted_table(image, range)? {
                Header::Sorted(order) => index.order = order,
                Header::Unsorted(section) => index.list(image, section)?,
                Header::Useless => return Ok(None),
            },
            FrameSection::EhFrame(range) | FrameSection::DebugFrame(range) => {
                index.list(image, range.clone())?;
            }
        }
        Ok(Some(index))
    }

    /// Positions of the entries that may describe code in `range` (static addresses), by first instruction; the first
    /// one usually begins before it.
    pub(super) fn entries(&mut self, image: &Image, range: &Range<u64>) -> Result<Vec<Position>, TableError> {
        let (from, to) = (
            self.first_from(image, range.start)?,
            self.first_from(image, range.end)?,
        );
        let from = from.saturating_sub(1);
        let count = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        if count > MAX_STRETCH_ENTRIES {
            return Err(TableError::TooLarge);
        }
        match &self.order {
            Order::Sorted { header, table, .. } => {
                let at = table
                    .checked_add(from * SORTED_ENTRY)
                    .ok_or(TableError::Malformed)?;
                let bytes = image.loaded(at, count * SORTED_ENTRY as usize)?;
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

    /// Static address of the first entry that does not begin before `address`.
    pub(super) fn next_start(&mut self, image: &Image, address: u64) -> Result<Option<u64>, TableError> {
        let number = self.first_from(image, address)?;
        match &self.order {
            Order::List { base, entries, .. } => {
                let entry = usize::try_from(number)
                    .ok()
                    .and_then(|number| entries.get(number));
                Ok(entry.and_then(|&(start, _)| base.checked_add(start.into())))
            }
            &Order::Sorted { header, table, count } if number < count => {
                let at = table
                    .checked_add(number * SORTED_ENTRY)
                    .ok_or(TableError::Malformed)?;
                let bytes = self.table_window.get(image, false, at, 4)?;
                Ok(relative(header, bytes))
            }
            Order::Sorted { .. } => Ok(None),
        }
    }

    /// How many entries begin before this static address.
    fn first_from(&mut self, image: &Image, address: u64) -> Result<u64, TableError> {
        match &self.order {
            Order::List { base, entries, .. } => {
                let (base, bound) = (*base, entries.as_slice());
                let before = |&(start, _): &(u32, u32)| base.saturating_add(start.into()) < address;
                Ok(bound.partition_point(before) as u64)
            }
            &Order::Sorted { header, table, count } => {
                let (mut low, mut high) = (0, count);
                while low < high {
                    let middle = low + (high - low) / 2;
                    let at = table
                        .checked_add(middle * SORTED_ENTRY)
                        .ok_or(TableError::Malformed)?;
                    let bytes = self.table_window.get(image, false, at, 4)?;
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

    /// The entry at a position; `None` for what is none, or cannot be read.
    pub(super) fn entry(&mut self, image: &Image, at: Position) -> Result<Option<Entry<'_>>, TableError> {
        let section = match &self.order {
            Order::List { section, .. } => *section,
            Order::Sorted { .. } => 0,
        };
        let Some(record) = self.record(image, at)? else {
            return Ok(None);
        };
        // Where the CIE is: before this word in `.eh_frame`, from the start in `.debug_frame`.
        let Some(pointer) = record.get(4..8).and_then(word) else {
            return Ok(None);
        };
        let common_at = if self.is_debug_frame {
            section.checked_add(pointer.into())
        } else {
            (at + 4).checked_sub(pointer.into())
        };
        let (Some(common_at), false) = (common_at, self.is_common(pointer)) else {
            return Ok(None);
        };
        if !self.common.contains_key(&common_at) {
            let Some(common) = self.record(image, common_at)? else {
                return Ok(None);
            };
            if self.common.len() >= MAX_COMMON {
                self.common.clear();
            }
            self.common.insert(common_at, common.into());
        }
        let common = self.common.get(&common_at).map(AsRef::as_ref).unwrap_or_default();
        let entry_at = common.len();
        self.scratch.clear();
        self.scratch.extend_from_slice(common);
        self.scratch.extend_from_slice(&record);
        let pointer = if self.is_debug_frame { 0 } else { entry_at + 4 };
        let Some(slot) = self.scratch.get_mut(entry_at + 4..entry_at + 8) else {
            return Ok(None);
        };
        slot.copy_from_slice(&u32::try_from(pointer).unwrap_or(u32::MAX).to_le_bytes());
        Ok(self.parse(at, entry_at))
    }

    /// Reads the scratch section, whose FDE really is at `at`.
    fn parse(&self, at: Position, entry_at: usize) -> Option<Entry<'_>> {
        let bases = BaseAddresses::default().set_eh_frame(at.wrapping_sub(entry_at as u64));
        if self.is_debug_frame {
            let mut section = DebugFrame::new(&self.scratch, LittleEndian);
            section.set_vendor(self.vendor);
            let entry = section
                .fde_from_offset(&bases, entry_at.into(), DebugFrame::cie_from_offset)
                .ok()?;
            Some(Entry::Debug(section, entry, bases))
        } else {
            let mut section = EhFrame::new(&self.scratch, LittleEndian);
            section.set_vendor(self.vendor);
            let entry = section
                .fde_from_offset(&bases, entry_at.into(), EhFrame::cie_from_offset)
                .ok()?;
            Some(Entry::Eh(section, entry, bases))
        }
    }

    /// Whether this word says that the record is a CIE.
    fn is_common(&self, word: u32) -> bool {
        word == if self.is_debug_frame { u32::MAX } else { 0 }
    }

    /// The bytes of a record with its length; `None` at the end, and for what is too long. (Records of 4 GiB, the 64-bit
    /// format, are too long.)
    fn record(&mut self, image: &Image, at: Position) -> Result<Option<Vec<u8>>, TableError> {
        let length = word(self.window.get(image, self.is_debug_frame, at, 4)?).unwrap_or(0) as usize;
        if !(8..=MAX_ENTRY_BYTES).contains(&length) {
            return Ok(None);
        }
        let bytes = self.window.get(image, self.is_debug_frame, at, length + 4)?;
        Ok((bytes.len() == length + 4).then(|| bytes.to_vec()))
    }

    /// Goes through all records.
    fn list(&mut self, image: &Image, section: Range<Position>) -> Result<(), TableError> {
        let mut found: Vec<(u64, u32)> = Vec::new();
        let end = section.end.min(
            section
                .start
                .saturating_add(MAX_LISTED_BYTES.min(u32::MAX.into())),
        );
        self.order = Order::List {
            base: 0,
            section: section.start,
            entries: Vec::new(),
        };
        let mut at = section.start;
        while at < end {
            let Some(length) = word(self.window.get(image, self.is_debug_frame, at, 4)?) else {
                break;
            };
            if length == 0 && !self.is_debug_frame {
                break;
            }
            if let Some(entry) = self.entry(image, at)?.map(|entry| entry.initial_address()) {
                if found.len() == MAX_LISTED_ENTRIES {
                    return Err(TableError::TooLarge);
                }
                found.push((entry, u32::try_from(at - section.start).unwrap_or(u32::MAX)));
            }
            at = at
                .checked_add(u64::from(length) + 4)
                .ok_or(TableError::Malformed)?;
        }
        found.sort_unstable();
        // Functions that the linker dropped begin at 0; text is not further than 4 GiB from where it begins.
        let base = image
            .segments
            .iter()
            .filter(|segment| segment.executable)
            .map(|segment| segment.address)
            .min()
            .unwrap_or(0);
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

/// What `.eh_frame_hdr` holds.
enum Header {
    Sorted(Order),
    /// No table that is understood, but where `.eh_frame` is.
    Unsorted(Range<u64>),
    Useless,
}

fn sorted_table(image: &Image, range: &Range<u64>) -> Result<Header, TableError> {
    let bytes = image.loaded(range.start, 12)?;
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
        let room = (range.end - range.start).saturating_sub(12) / SORTED_ENTRY;
        if count > 0 && count <= room {
            return Ok(Header::Sorted(Order::Sorted {
                header: range.start,
                table: range.start.saturating_add(12),
                count,
            }));
        }
    }
    // `DW_EH_PE_pcrel | DW_EH_PE_sdata4`: relative to its own place.
    if pointer_format != 0x1b {
        return Ok(Header::Useless);
    }
    let start = range.start.wrapping_add(4).wrapping_add_signed(signed(pointer));
    Ok(match image.file_extent(start) {
        Some((_, left)) => Header::Unsorted(start..start.saturating_add(left)),
        None => Header::Useless,
    })
}

fn signed(word: u32) -> i64 {
    word.cast_signed().into()
}

fn word(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?))
}

/// A signed 32-bit number relative to the header.
fn relative(header: u64, bytes: &[u8]) -> Option<u64> {
    Some(header.wrapping_add_signed(signed(word(bytes)?)))
}

/// The last stretch that was read: neighbours are asked for one after the other.
#[derive(Debug, Default)]
struct Window {
    start: Position,
    bytes: Vec<u8>,
}

impl Window {
    /// `count` bytes at the position, fewer where the file or segment ends.
    fn get(
        &mut self,
        image: &Image,
        is_offset: bool,
        at: Position,
        count: usize,
    ) -> Result<&[u8], TableError> {
        let distance = at
            .checked_sub(self.start)
            .and_then(|distance| usize::try_from(distance).ok());
        let held = distance.and_then(|from| {
            let to = from.checked_add(count)?;
            (to <= self.bytes.len()).then_some(from..to)
        });
        let range = match held {
            Some(range) => range,
            None => {
                // Entries of parts of functions that were moved away are all over the section: little is read of each.
                let is_next = distance.is_some_and(|distance| distance <= self.bytes.len());
                let wanted = count.max(if is_next { WINDOW_BYTES } else { JUMP_BYTES });
                self.start = at;
                if is_offset {
                    image.bytes.read_up_to(at, wanted, &mut self.bytes)?;
                } else {
                    image.read_loaded(at, wanted, &mut self.bytes)?;
                }
                0..count.min(self.bytes.len())
            }
        };
        Ok(&self.bytes[range])
    }
}
