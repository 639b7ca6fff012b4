//! `co_lnotab` (2.7 to 3.9): pairs of an unsigned offset step and a line step, which is signed from 3.6 on.
//!
//! `Objects/lnotab_notes.txt`. A line lasts until a later pair changes it, the last one without end.

use core::ops::ControlFlow;

use profiler_common::contract::layout::line_table_format;

use super::format::{Format, LineEntry, Location, Visit};

pub(super) const FORMAT: Format = Format {
    code: line_table_format::LNOTAB,
    name: "co_lnotab (3.6)",
    entries: |first_line, bytes, visit| entries(first_line, bytes, |step| step.cast_signed().into(), visit),
};

pub(super) const UNSIGNED_FORMAT: Format = Format {
    code: line_table_format::UNSIGNED_LNOTAB,
    name: "co_lnotab (2.7)",
    entries: |first_line, bytes, visit| entries(first_line, bytes, i64::from, visit),
};

fn entries(first_line: i64, bytes: &[u8], line_step: fn(u8) -> i64, visit: Visit<'_>) -> ControlFlow<()> {
    let mut line = first_line;
    let mut start = 0u32;
    for pair in bytes.chunks_exact(2) {
        let end = start.saturating_add(pair[0].into());
        if end > start {
            visit(LineEntry {
                start,
                end,
                location: Location::line(line),
            })?;
            start = end;
        }
        line = line.saturating_add(line_step(pair[1]));
    }
    visit(LineEntry {
        start,
        end: u32::MAX,
        location: Location::line(line),
    })
}
