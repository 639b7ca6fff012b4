//! A line table of any bytes decodes to lines that agree with a scan of the same bytes, and its beginning never
//! contradicts the whole.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use pyebpf::language::python::code::line_table::{LineTable, locate};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    format: u8,
    first_line: u32,
    cut: u16,
    offsets: [u32; 4],
    table: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let Input {
        first_line,
        table: bytes,
        ..
    } = input;
    // The three formats, and one that does not exist.
    let format = input.format % 4;
    let table = LineTable::decode(format, first_line, bytes);
    assert!(table.heap_bytes() <= 8 * (bytes.len() + 1));

    let part = LineTable::decode_prefix(format, first_line, &bytes[..bytes.len().min(input.cut.into())]);
    assert!(part.is_prefix_of(&table));

    // Offsets beyond the table are rare in a u32, offsets within it are few: try both.
    for offset in input
        .offsets
        .into_iter()
        .chain(input.offsets.map(|offset| offset % 256))
    {
        let line = table.line(offset);
        assert_eq!(line, locate(format, first_line, bytes, offset).line);
        assert!(!part.covers(offset) || part.line(offset) == line);
        assert!(line.is_none_or(|line| i32::try_from(line).is_ok()));
    }
});
