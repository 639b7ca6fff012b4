//! Where the code of CPython's evaluation loop is.
//!
//! Used by [`super`] for every CPython, and by the merge of native and Python frames: up to 3.11 nothing but its code says
//! which native frame is the loop. Symbols mislead: GCC moves parts of a function that it thinks cold out of it, in Debian's
//! 3.14 nearly all of the loop, under a name that stripped files do not have. What the unwind table describes from its first
//! to its last byte is one piece of code, and a piece that does not begin like a function is a part of the one that jumps
//! into it. Reads the file only.

use std::ops::Range;

use gimli::{
    BaseAddresses, CfaRule, CieOrFde, EhFrame, EhFrameHdr, EhFrameOffset, EndianSlice, FrameDescriptionEntry,
    UnwindContext, UnwindSection as _, X86_64,
};
use iced_x86::{Decoder, DecoderOptions, FlowControl};
use object::LittleEndian;
use object::elf::STT_FUNC;
use object::read::elf::FileHeader;

use crate::elf::image::Image;
use crate::elf::source::Source;
use crate::elf::static_symbols::Wanted;
use crate::elf::{Architecture, architecture};

/// The function, from 3.6 on and before (`Python/ceval.c`).
const NAMES: [&[u8]; 2] = [b"_PyEval_EvalFrameDefault", b"PyEval_EvalFrameEx"];
/// From 3.6 on the second of [`NAMES`] is a wrapper of some 30 bytes; loops have 28 KiB (2.7) to 150 KiB.
const MIN_BYTES: u64 = 8 << 10;
/// Bytes of code looked at.
const MAX_BYTES: u64 = 1 << 20;
/// Bytes of the unwind table looked at; the largest interpreter of a distribution has 600 KB.
const MAX_TABLE_BYTES: u64 = 16 << 20;
/// Pieces of the loop; two are known.
const MAX_PIECES: usize = 8;
/// Jumps out of the loop looked up; there is one for each place where a cold part is entered.
const MAX_JUMPS: usize = 4096;

/// Why the evaluation loop was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NoLoop {
    /// Stripped, and not exported.
    #[error("the file does not name its evaluation loop")]
    Unnamed,
    /// No `.eh_frame`, or one that cannot be read.
    #[error("the file has no usable unwind table")]
    NoTable,
    /// The table does not know the function, or as something too small or too large.
    #[error("the unwind table does not describe the evaluation loop")]
    Undescribed,
}

/// Static addresses of the code of the loop, the named piece first.
///
/// # Errors
/// [`NoLoop`]
pub(super) fn find<Elf: FileHeader<Endian = LittleEndian>, S: Source>(
    image: &Image<'_, Elf, S>,
) -> Result<Box<[Range<u64>]>, NoLoop> {
    let function = named(image).ok_or(NoLoop::Unnamed)?;
    let section = Section::read(image).ok_or(NoLoop::NoTable)?;
    let table = section.parse().ok_or(NoLoop::NoTable)?;
    let main = table.piece(function).ok_or(NoLoop::Undescribed)?.range;
    let mut pieces = vec![main.clone()];
    if architecture(image.header.e_machine(LittleEndian)) == Architecture::X86_64 {
        for target in jumps_out(image, main).unwrap_or_default() {
            if pieces.len() == MAX_PIECES {
                break;
            }
            if !pieces.iter().any(|piece| piece.contains(&target))
                && let Some(piece) = table.piece(target)
                && !piece.begins_like_a_function
            {
                pieces.push(piece.range);
            }
        }
    }
    let bytes = pieces
        .iter()
        .fold(0u64, |sum, piece| sum.saturating_add(piece.end - piece.start));
    if (MIN_BYTES..=MAX_BYTES).contains(&bytes) {
        Ok(pieces.into())
    } else {
        Err(NoLoop::Undescribed)
    }
}

/// The static address of the loop's function.
fn named<Elf: FileHeader<Endian = LittleEndian>, S: Source>(image: &Image<'_, Elf, S>) -> Option<u64> {
    let exported = NAMES.map(|name| image.dynamic_symbol(name).map(|symbol| symbol.address));
    if let [Some(address), _] = exported {
        return Some(address);
    }
    let (kind, size) = (STT_FUNC, 0);
    let local = image.static_symbols(NAMES.map(|name| Wanted { name, kind, size }));
    local[0].or(exported[1]).or(local[1])
}

type Bytes<'a> = EndianSlice<'a, gimli::LittleEndian>;

/// `.eh_frame` and what follows it, with its static address.
struct Section {
    start: u64,
    bytes: Vec<u8>,
}

impl Section {
    fn read<Elf: FileHeader<Endian = LittleEndian>, S: Source>(image: &Image<'_, Elf, S>) -> Option<Self> {
        let range = match image.unwind_index {
            Some(header) => by_header(image, header)?,
            // Programs that are linked statically have no `.eh_frame_hdr`.
            None => {
                let section = image.section(b".eh_frame")?;
                section.address..section.address.checked_add(section.size)?
            }
        };
        let start = range.start;
        let bytes = read(image, start..range.end.min(start.saturating_add(MAX_TABLE_BYTES)))?;
        Some(Self { start, bytes })
    }

    fn parse(&self) -> Option<Table<'_>> {
        let bases = BaseAddresses::default().set_eh_frame(self.start);
        let mut entries = EhFrame::new(&self.bytes, gimli::LittleEndian);
        entries.set_address_size(8);
        let index = index(&entries, &bases);
        (!index.is_empty()).then_some(Table {
            bases,
            index,
            entries,
        })
    }
}

/// From the start of `.eh_frame`, as `.eh_frame_hdr` tells it, to the end of what is loaded with it.
fn by_header<Elf: FileHeader<Endian = LittleEndian>, S: Source>(
    image: &Image<'_, Elf, S>,
    header: crate::elf::image::Table,
) -> Option<Range<u64>> {
    let bytes = read(image, header.address..header.address.checked_add(header.size)?)?;
    let bases = BaseAddresses::default().set_eh_frame_hdr(header.address);
    let header = EhFrameHdr::new(&bytes, gimli::LittleEndian)
        .parse(&bases, 8)
        .ok()?;
    let start = header.eh_frame_ptr().direct().ok()?;
    let segment = image
        .segments
        .iter()
        .find(|segment| segment.file_offset(start).is_some())?;
    Some(start..segment.address.checked_add(segment.file_bytes)?)
}

/// The first address of each entry, ascending, and where the entry is; up to the first that cannot be read. The search
/// table of `.eh_frame_hdr` would do, but gimli 0.34 reckons with its numbers unchecked.
fn index(entries: &EhFrame<Bytes<'_>>, bases: &BaseAddresses) -> Vec<(u64, EhFrameOffset)> {
    let mut index = Vec::new();
    let mut all = entries.entries(bases);
    while let Ok(Some(entry)) = all.next() {
        if let CieOrFde::Fde(partial) = entry {
            let Ok(entry) = partial.parse(EhFrame::cie_from_offset) else {
                break;
            };
            index.push((entry.initial_address(), EhFrameOffset(entry.offset())));
        }
    }
    index.sort_unstable_by_key(|known| known.0);
    index
}

/// What is loaded at these static addresses, if it is not too much.
fn read<Elf: FileHeader<Endian = LittleEndian>, S: Source>(
    image: &Image<'_, Elf, S>,
    range: Range<u64>,
) -> Option<Vec<u8>> {
    let size = range.end.checked_sub(range.start)?;
    let offset = image.file_offset(range.start)?;
    // Before memory is set aside for it.
    let is_there = offset.checked_add(size)? <= object::read::ReadRef::len(image.data).ok()?;
    if size > MAX_TABLE_BYTES || !is_there || !image.data.can_spare(size) {
        return None;
    }
    let mut bytes = vec![0; usize::try_from(size).ok()?];
    image.data.read_into(&mut bytes, offset)?;
    Some(bytes)
}

struct Table<'a> {
    bases: BaseAddresses,
    index: Vec<(u64, EhFrameOffset)>,
    entries: EhFrame<Bytes<'a>>,
}

/// One entry of the unwind table.
struct Piece {
    range: Range<u64>,
    /// The return address is all that is on the stack.
    begins_like_a_function: bool,
}

impl Table<'_> {
    /// The piece of code that this address is in.
    fn piece(&self, address: u64) -> Option<Piece> {
        let entry = self
            .entries
            .fde_from_offset(&self.bases, self.offset(address)?, EhFrame::cie_from_offset)
            .ok()?;
        let range = entry.initial_address()..entry.end_address();
        range.contains(&address).then(|| Piece {
            range,
            begins_like_a_function: self.begins_like_a_function(&entry),
        })
    }

    /// Where the last entry is that begins at this address or before.
    fn offset(&self, address: u64) -> Option<EhFrameOffset> {
        let behind = self.index.partition_point(|known| known.0 <= address);
        Some(self.index.get(behind.checked_sub(1)?)?.1)
    }

    fn begins_like_a_function(&self, entry: &FrameDescriptionEntry<Bytes<'_>>) -> bool {
        let mut context = UnwindContext::new();
        let Ok(mut rows) = entry.rows(&self.entries, &self.bases, &mut context) else {
            return true;
        };
        let Ok(Some(first)) = rows.next_row() else {
            return true;
        };
        matches!(
            first.cfa(),
            CfaRule::RegisterAndOffset {
                register: X86_64::RSP,
                offset: 8
            }
        )
    }
}

/// Where direct jumps lead out of this code, ascending.
fn jumps_out<Elf: FileHeader<Endian = LittleEndian>, S: Source>(
    image: &Image<'_, Elf, S>,
    code: Range<u64>,
) -> Option<Vec<u64>> {
    if code.end - code.start > MAX_BYTES {
        return None;
    }
    let bytes = read(image, code.clone())?;
    let mut targets: Vec<u64> = Decoder::with_ip(64, &bytes, code.start, DecoderOptions::NONE)
        .iter()
        .filter(|instruction| {
            matches!(
                instruction.flow_control(),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
            )
        })
        .map(|instruction| instruction.near_branch_target())
        .filter(|target| !code.contains(target))
        .take(MAX_JUMPS)
        .collect();
    targets.sort_unstable();
    targets.dedup();
    Some(targets)
}

#[cfg(test)]
mod tests;
