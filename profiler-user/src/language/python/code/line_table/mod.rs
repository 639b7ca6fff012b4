//! Instruction offset to line. One decoder for each format, found through [`ALL`].
//!
//! The answer is the one that a traceback shows for an instruction, `PyCode_Addr2Line` of the interpreter itself
//! (`Objects/codeobject.c`), proven against real interpreters in `interpreters.rs`. Total: tables come from target
//! memory, so any bytes give some lines in time and space proportional to their number.

mod format;
mod lnotab;
mod locations;
mod ranges;

#[cfg(test)]
mod interpreters;
#[cfg(test)]
mod properties;

use core::ops::ControlFlow;
use serde::{Deserialize, Serialize};

use profiler_common::contract::records::NO_INSTRUCTION;

pub use self::format::{Format, Location};
use self::format::{LineEntry, Visit, line_number};

/// Every format, indexed by its [`profiler_common::contract::layout::line_table_format`] code.
pub const ALL: &[Format] = &[
    lnotab::FORMAT,
    ranges::FORMAT,
    locations::FORMAT,
    lnotab::UNSIGNED_FORMAT,
];

/// `co_firstlineno` is an `int`, carried as its bits.
fn first_line_number(first_line: u32) -> i64 {
    first_line.cast_signed().into()
}

/// The full location of one instruction. Scans the table: for lines of many instructions use [`LineTable`].
///
/// `instr_offset` is in bytes; [`NO_INSTRUCTION`] gives `first_line`.
#[must_use]
pub fn locate(format: u8, first_line: u32, bytes: &[u8], instr_offset: u32) -> Location {
    let first = first_line_number(first_line);
    if instr_offset == NO_INSTRUCTION {
        return Location::line(first);
    }
    let mut found = Location::default();
    each_entry(format, first, bytes, &mut |entry| {
        if instr_offset < entry.end {
            found = entry.location;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    found
}

fn each_entry(format: u8, first_line: i64, bytes: &[u8], visit: Visit<'_>) {
    if let Some(format) = ALL.get(usize::from(format)) {
        let _ = (format.entries)(first_line, bytes, visit);
    }
}

/// Consecutive instructions on one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Run {
    start: u32,
    line: u32,
}

/// [`Run::line`] of instructions without one; no line number is that large.
const NO_LINE: u32 = u32::MAX;

/// A decoded table: a lookup is one binary search. At most 8 bytes for each entry of the table it was made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LineTable {
    first_line: u32,
    /// Sorted by `start`, neighbours differ in `line`.
    runs: Box<[Run]>,
    /// Offset after the last instruction that the table speaks of, bytes.
    end: u32,
}

impl LineTable {
    /// Decodes a whole table. An unknown format gives a table without lines.
    #[must_use]
    pub fn decode(format: u8, first_line: u32, bytes: &[u8]) -> Self {
        let mut runs = Runs::default();
        each_entry(format, first_line_number(first_line), bytes, &mut |entry| {
            runs.push(entry)
        });
        runs.finish(first_line)
    }

    /// Decodes the beginning of a table.
    ///
    /// Its last entry is left out: it may itself have been cut, or go on (`co_lnotab`).
    #[must_use]
    pub fn decode_prefix(format: u8, first_line: u32, bytes: &[u8]) -> Self {
        let mut runs = Runs::default();
        let mut held_back: Option<LineEntry> = None;
        each_entry(format, first_line_number(first_line), bytes, &mut |entry| {
            held_back
                .replace(entry)
                .map_or(ControlFlow::Continue(()), |entry| runs.push(entry))
        });
        runs.finish(first_line)
    }

    /// The line of the instruction at byte offset `instr_offset`; the first line for [`NO_INSTRUCTION`].
    #[must_use]
    pub fn line(&self, instr_offset: u32) -> Option<u32> {
        if instr_offset == NO_INSTRUCTION {
            return line_number(first_line_number(self.first_line));
        }
        if instr_offset >= self.end {
            return None;
        }
        let behind = self.runs.partition_point(|run| run.start <= instr_offset);
        let run = self.runs.get(behind.checked_sub(1)?)?;
        (run.line != NO_LINE).then_some(run.line)
    }

    /// Whether the table speaks of this instruction; only then does a missing line mean that there is none.
    #[must_use]
    pub fn covers(&self, instr_offset: u32) -> bool {
        instr_offset == NO_INSTRUCTION || instr_offset < self.end
    }

    /// Bytes of heap memory.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        size_of_val(&*self.runs)
    }

    /// Whether this could have been decoded from some table: false for what only a broken message can hold.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let is_sorted = self
            .runs
            .windows(2)
            .all(|pair| pair[0].start < pair[1].start && pair[0].line != pair[1].line);
        is_sorted && self.runs.last().is_none_or(|last| last.start < self.end)
    }

    /// Whether this may be the beginning of `other`.
    #[must_use]
    pub fn is_prefix_of(&self, other: &Self) -> bool {
        let within = other.runs.iter().take_while(|run| run.start < self.end);
        self.first_line == other.first_line && self.end <= other.end && self.runs.iter().eq(within)
    }
}

/// A [`LineTable`] in the making.
#[derive(Default)]
struct Runs {
    runs: Vec<Run>,
    end: u32,
}

impl Runs {
    fn push(&mut self, entry: LineEntry) -> ControlFlow<()> {
        let line = entry.location.line.unwrap_or(NO_LINE);
        self.end = entry.end;
        if entry.start < entry.end && self.runs.last().is_none_or(|last| last.line != line) {
            self.runs.push(Run {
                start: entry.start,
                line,
            });
        }
        ControlFlow::Continue(())
    }

    fn finish(self, first_line: u32) -> LineTable {
        LineTable {
            first_line,
            runs: self.runs.into_boxed_slice(),
            end: self.end,
        }
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::layout::line_table_format;
    use profiler_common::contract::records::NO_INSTRUCTION;

    use super::{ALL, LineTable, Location, locate};

    #[test]
    fn the_registry_is_indexed_by_code() {
        for (index, format) in ALL.iter().enumerate() {
            assert_eq!(usize::from(format.code), index, "{}", format.name);
        }
    }

    #[test]
    fn before_the_first_instruction_it_is_the_first_line() {
        for format in ALL {
            let table = LineTable::decode(format.code, 7, &[]);
            assert_eq!(table.line(NO_INSTRUCTION), Some(7), "{}", format.name);
            assert_eq!(
                locate(format.code, 7, &[], NO_INSTRUCTION).line,
                Some(7),
                "{}",
                format.name
            );
        }
    }

    #[test]
    fn an_unknown_format_has_no_lines() {
        let table = LineTable::decode(200, 7, &[1, 2, 3, 4]);
        assert_eq!(table.line(0), None);
        assert!(!table.covers(0));
    }

    #[test]
    fn an_empty_lnotab_means_the_first_line_everywhere() {
        let table = LineTable::decode(line_table_format::LNOTAB, 7, &[]);
        assert_eq!(table.line(0), Some(7));
        assert_eq!(table.line(1000), Some(7));
        let unknown = LineTable::decode_prefix(line_table_format::LNOTAB, 7, &[]);
        assert!(!unknown.covers(0), "a beginning of no bytes says nothing");
    }

    #[test]
    fn a_negative_first_line_is_none() {
        let table = LineTable::decode(line_table_format::LNOTAB, u32::MAX, &[2, 5]);
        assert_eq!(table.line(0), None);
        assert_eq!(table.line(2), Some(4));
        assert_eq!(table.line(NO_INSTRUCTION), None);
    }

    #[test]
    fn a_range_without_a_line_does_not_move_the_running_line() {
        let table = LineTable::decode(line_table_format::RANGES, 10, &[2, 1, 4, 0x80, 2, 1]);
        let lines: Vec<_> = (0..10).step_by(2).map(|offset| table.line(offset)).collect();
        assert_eq!(lines, [Some(11), None, None, Some(12), None]);
        assert!(table.covers(2) && !table.covers(8));
    }

    #[test]
    fn columns_come_from_all_forms_of_locations() {
        let bytes = [
            0x80 | (2 << 3),
            0x35, // short: columns 19 to 24
            0x80 | (11 << 3),
            4,
            9, // next line, columns 4 to 9
            0x80 | (13 << 3),
            0x05, // two lines back, no columns
            0x80 | (14 << 3),
            0x44,
            0x01,
            0x02,
            0x00,
            0x0b,                 // 34 lines on, two lines long, no column, end column 10
            0x80 | (15 << 3) | 1, // nothing, two units
        ];
        let at = |offset| locate(line_table_format::LOCATIONS, 100, &bytes, offset);
        let place = |line, end_line, column, end_column| Location {
            line,
            end_line,
            column,
            end_column,
        };
        assert_eq!(at(0), place(Some(100), Some(100), Some(19), Some(24)));
        assert_eq!(at(2), place(Some(101), Some(101), Some(4), Some(9)));
        assert_eq!(at(4), place(Some(99), Some(99), None, None));
        assert_eq!(at(6), place(Some(133), Some(135), None, Some(10)));
        assert_eq!(at(10), Location::default());
        assert_eq!(at(12), Location::default());
    }
}
