//! `co_linetable` of 3.10 (PEP 626): pairs of a length and a signed line step.
//!
//! `Objects/lnotab_notes.txt`. A step of -128 says that the range has no line.

use core::ops::ControlFlow;

use profiler_common::contract::layout::line_table_format;

use super::format::{Format, LineEntry, Location, Visit};

pub(super) const FORMAT: Format = Format {
    code: line_table_format::RANGES,
    name: "co_linetable (3.10)",
    entries,
};

/// Line step of a range without a line.
const NO_LINE: i8 = -128;

fn entries(first_line: i64, bytes: &[u8], visit: Visit<'_>) -> ControlFlow<()> {
    let mut line = first_line;
    let mut start = 0u32;
    for pair in bytes.chunks_exact(2) {
        let end = start.saturating_add(pair[0].into());
        let step = pair[1].cast_signed();
        if step != NO_LINE {
            line = line.saturating_add(step.into());
        }
        let location = if step == NO_LINE {
            Location::default()
        } else {
            Location::line(line)
        };
        if end > start {
            visit(LineEntry { start, end, location })?;
        }
        start = end;
    }
    ControlFlow::Continue(())
}
