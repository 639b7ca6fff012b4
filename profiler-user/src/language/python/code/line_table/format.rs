//! What a format of line tables is: a decoder that hands on entries.

use core::ops::ControlFlow;

/// One format.
#[derive(Clone, Copy, Debug)]
pub struct Format {
    /// A [`profiler_common::contract::layout::line_table_format`] code.
    pub code: u8,
    /// The attribute of a code object that has it, and since which version.
    pub name: &'static str,
    pub(super) entries: fn(first_line: i64, bytes: &[u8], visit: Visit<'_>) -> ControlFlow<()>,
}

/// Receives entries in the order of their offsets, without gaps.
pub(super) type Visit<'a> = &'a mut dyn FnMut(LineEntry) -> ControlFlow<()>;

/// Instructions that share a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineEntry {
    /// Bytecode offset of the first, bytes.
    pub(super) start: u32,
    /// Bytecode offset after the last, bytes.
    pub(super) end: u32,
    pub(super) location: Location,
}

/// A place in a source file. `None` where the table has nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location {
    /// 1-based; 0 for the first instruction of a module (3.11+).
    pub line: Option<u32>,
    /// 1-based (3.11+).
    pub end_line: Option<u32>,
    /// UTF-8 bytes from the start of `line`, 0-based (3.11+).
    pub column: Option<u32>,
    /// UTF-8 bytes from the start of `end_line`, 0-based (3.11+).
    pub end_column: Option<u32>,
}

impl Location {
    /// A line without columns; outside of `int`'s non-negative range there is no such line.
    pub(super) fn line(line: i64) -> Self {
        Self {
            line: line_number(line),
            ..Self::default()
        }
    }
}

/// CPython counts lines in an `int`, and a negative one means none.
pub(super) fn line_number(line: i64) -> Option<u32> {
    i32::try_from(line).ok().and_then(|line| u32::try_from(line).ok())
}
