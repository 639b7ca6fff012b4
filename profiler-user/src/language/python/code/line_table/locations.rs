//! `co_linetable` of 3.11+ (PEP 657): entries of a head byte and a payload, with columns.
//!
//! `Objects/locations.md`. The head is the only byte with its top bit set, so an entry ends where the next head is,
//! whatever its payload says.

use core::ops::ControlFlow;

use profiler_common::contract::layout::line_table_format;

use super::format::{Format, LineEntry, Location, Visit, line_number};

pub(super) const FORMAT: Format = Format {
    code: line_table_format::LOCATIONS,
    name: "co_linetable (3.11)",
    entries,
};

/// Top bit of a head: `1 cccc nnn`, code `c`, `n + 1` code units.
const HEAD: u8 = 0x80;
/// Bytes of a code unit.
const UNIT_BYTES: u32 = 2;

/// Codes of the forms.
mod form {
    /// Up to here: on the running line, columns from the code and one byte.
    pub(super) const SHORT_LAST: u8 = 9;
    /// The first of three: code - 10 lines on, one byte for each column.
    pub(super) const ONE_LINE_FIRST: u8 = 10;
    /// The last of the three.
    pub(super) const ONE_LINE_LAST: u8 = 12;
    /// A line step without columns.
    pub(super) const NO_COLUMNS: u8 = 13;
    /// Everything as variable-length integers.
    pub(super) const LONG: u8 = 14;
}

fn entries(first_line: i64, bytes: &[u8], visit: Visit<'_>) -> ControlFlow<()> {
    let mut line = first_line;
    let mut start = 0u32;
    let mut rest = bytes;
    while let Some((head, tail)) = rest.split_first() {
        let payload_bytes = tail
            .iter()
            .position(|byte| byte & HEAD != 0)
            .unwrap_or(tail.len());
        let (payload, next) = tail.split_at(payload_bytes);
        rest = next;
        let units = u32::from(head & 7) + 1;
        let end = start.saturating_add(units * UNIT_BYTES);
        let location = location((head >> 3) & 15, &mut line, Payload(payload.iter()));
        visit(LineEntry { start, end, location })?;
        start = end;
    }
    ControlFlow::Continue(())
}

/// The location of one entry; moves the running line.
fn location(code: u8, line: &mut i64, mut payload: Payload<'_>) -> Location {
    let (end_line_step, column, end_column) = match code {
        ..=form::SHORT_LAST => {
            let columns = payload.byte();
            let column = columns.map(|byte| u32::from(code) * 8 + (byte >> 4));
            (
                0,
                column,
                columns.zip(column).map(|(byte, column)| column + (byte & 15)),
            )
        }
        form::ONE_LINE_FIRST..=form::ONE_LINE_LAST => {
            *line = line.saturating_add(i64::from(code - form::ONE_LINE_FIRST));
            (0, payload.byte(), payload.byte())
        }
        form::NO_COLUMNS => {
            *line = line.saturating_add(payload.signed());
            (0, None, None)
        }
        form::LONG => {
            *line = line.saturating_add(payload.signed());
            let end_line_step = payload.unsigned().unwrap_or(0);
            (end_line_step, payload.optional(), payload.optional())
        }
        _ => return Location::default(),
    };
    let end_line = line_number(line.saturating_add(end_line_step.into()));
    Location {
        line: line_number(*line),
        end_line,
        column,
        end_column,
    }
}

/// The bytes of an entry after its head.
struct Payload<'a>(core::slice::Iter<'a, u8>);

impl Payload<'_> {
    fn byte(&mut self) -> Option<u32> {
        self.0.next().map(|byte| (*byte).into())
    }

    /// Groups of 6 bits, least significant first; bit 6 says that another follows. Bits beyond 32 are dropped.
    fn unsigned(&mut self) -> Option<u32> {
        let mut value = 0;
        let mut shift = 0u32;
        loop {
            let byte = self.byte()?;
            value |= (byte & 63).checked_shl(shift).unwrap_or(0);
            shift = shift.saturating_add(6);
            if byte & 64 == 0 {
                return Some(value);
            }
        }
    }

    /// Bit 0 is the sign.
    fn signed(&mut self) -> i64 {
        let value = self.unsigned().unwrap_or(0);
        let magnitude = i64::from(value >> 1);
        if value & 1 == 1 { -magnitude } else { magnitude }
    }

    /// One more than the value; 0 for none.
    fn optional(&mut self) -> Option<u32> {
        self.unsigned().and_then(|value| value.checked_sub(1))
    }
}
