//! Where the code of CPython's evaluation loop is.
//!
//! Used by [`super`] for every CPython, and by the merge of native and Python frames: up to 3.11 nothing but its code says
//! which native frame is the loop. Symbols mislead: GCC moves parts of a function that it thinks cold out of it, in Debian's
//! 3.14 nearly all of the loop, under a name that stripped files do not have. What the unwind table describes from its first
//! to its last byte is one piece of code, and a piece that does not begin like a function is a part of the one that jumps
//! into it. Reads the file only.

use serde::{Deserialize, Serialize};
use std::ops::Range;

use gimli::{CfaRule, FrameDescriptionEntry, UnwindContext, UnwindSection, X86_64};
use iced_x86::{Decoder, DecoderOptions, FlowControl};
use object::elf::STT_FUNC;

use crate::elf::frames::{FrameEntry, FrameIndex, Slice};
use crate::elf::{Architecture, ElfError, ElfFile, Wanted};

/// The function, from 3.6 on and before (`Python/ceval.c`).
const NAMES: [&[u8]; 2] = [b"_PyEval_EvalFrameDefault", b"PyEval_EvalFrameEx"];
/// From 3.6 on the second of [`NAMES`] is a wrapper of some 30 bytes; loops have 28 KiB (2.7) to 150 KiB.
const MIN_BYTES: u64 = 8 << 10;
/// Bytes of code looked at.
const MAX_BYTES: u64 = 1 << 20;
/// Bytes of an unwind table without an index that are gone through; the largest interpreter of a distribution has 600 KB.
const MAX_TABLE_BYTES: u64 = 16 << 20;
/// Pieces of the loop; two are known.
const MAX_PIECES: usize = 8;
/// Jumps out of the loop looked up; there is one for each place where a cold part is entered.
const MAX_JUMPS: usize = 4096;

/// Why the evaluation loop was not found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error, Serialize, Deserialize)]
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
pub(super) fn find(file: &ElfFile) -> Result<Box<[Range<u64>]>, NoLoop> {
    let function = named(file).ok_or(NoLoop::Unnamed)?;
    let mut table = Table::open(file).ok_or(NoLoop::NoTable)?;
    let main = table.piece(function).ok_or(NoLoop::Undescribed)?.range;
    let mut pieces = vec![main.clone()];
    if file.architecture() == Architecture::X86_64 {
        for target in jumps_out(file, main).unwrap_or_default() {
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
fn named(file: &ElfFile) -> Option<u64> {
    let exported = NAMES.map(|name| file.dynamic_symbol(name).map(|symbol| symbol.address));
    if let [Some(address), _] = exported {
        return Some(address);
    }
    let (kind, size) = (STT_FUNC, 0);
    let local = file.static_symbols(NAMES.map(|name| Wanted { name, kind, size }));
    local[0].or(exported[1]).or(local[1])
}

/// The file's unwind table.
struct Table<'f> {
    file: &'f ElfFile,
    index: FrameIndex,
}

/// One entry of the unwind table.
struct CodePiece {
    range: Range<u64>,
    /// The return address is all that is on the stack.
    begins_like_a_function: bool,
}

impl<'f> Table<'f> {
    fn open(file: &'f ElfFile) -> Option<Self> {
        // Half of what is left: the loop can be done without, in a file that is too large.
        let bytes = MAX_TABLE_BYTES.min(file.reader().spare_bytes() / 2);
        let index = FrameIndex::new(file, bytes).ok()??;
        Some(Self { file, index })
    }

    /// The piece of code that this address is in.
    fn piece(&mut self, address: u64) -> Option<CodePiece> {
        self.look(address).ok()?
    }

    fn look(&mut self, address: u64) -> Result<Option<CodePiece>, ElfError> {
        let positions = self
            .index
            .entries(self.file, &(address..address.saturating_add(1)))?;
        for position in positions.into_iter().rev() {
            let Some((entry, _)) = self.index.entry(self.file, position)? else {
                continue;
            };
            let range = entry.start()..entry.end();
            if range.contains(&address) {
                return Ok(Some(CodePiece {
                    range,
                    begins_like_a_function: begins_like_a_function(&entry),
                }));
            }
        }
        Ok(None)
    }
}

fn begins_like_a_function(entry: &FrameEntry<'_>) -> bool {
    fn of<'a, S: UnwindSection<Slice<'a>>>(
        section: &S,
        entry: &FrameDescriptionEntry<Slice<'a>>,
        bases: &gimli::BaseAddresses,
    ) -> bool {
        let mut context = UnwindContext::new();
        let Ok(mut rows) = entry.rows(section, bases, &mut context) else {
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
    match entry {
        FrameEntry::Eh(section, entry, bases) => of(section, entry, bases),
        FrameEntry::Debug(section, entry, bases) => of(section, entry, bases),
    }
}

/// Where direct jumps lead out of this code, ascending.
fn jumps_out(file: &ElfFile, code: Range<u64>) -> Option<Vec<u64>> {
    let size = code.end - code.start;
    if size > MAX_BYTES || file.reader().spare_bytes() < size {
        return None;
    }
    let bytes = file.loaded(code.start, usize::try_from(size).ok()?).ok()?;
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
