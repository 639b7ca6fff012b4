//! Debug information that leads in circles, deep down, or on and on.

use super::image::{CODE_ADDRESS, CODE_BYTES, Image, PROGBITS, Section, uleb};

/// Sections of debug information.
pub(super) const SECTIONS: &[&str] = &[
    ".debug_info",
    ".debug_abbrev",
    ".debug_line",
    ".debug_str",
    ".debug_ranges",
    ".debug_aranges",
];

/// Bytes before the first entry of a unit (DWARF 4, section 7.5.1.1).
const UNIT_HEADER: u32 = 11;
/// Entries by their numbers in `.debug_abbrev`.
const UNIT: u8 = 1;
const FUNCTION: u8 = 2;
const INLINED: u8 = 3;

/// A function whose origin is another one, whose origin is the first.
#[must_use]
pub fn circular_origins() -> Image {
    let mut entries = unit();
    let first = UNIT_HEADER + entries.len() as u32;
    let one = function(first + FUNCTION_BYTES);
    entries.extend(one);
    entries.extend(function(first));
    entries.extend([0, 0, 0]);
    with_debug(&entries, line_program(&[]))
}

/// A function that is its own origin, of which itself is inlined.
#[must_use]
pub fn own_origin() -> Image {
    let mut entries = unit();
    let first = UNIT_HEADER + entries.len() as u32;
    entries.extend(function(first));
    entries.extend(inlined(first));
    entries.extend([0, 0, 0]);
    with_debug(&entries, line_program(&[]))
}

/// 200,000 calls inlined into each other.
#[must_use]
pub fn deep() -> Image {
    let mut entries = unit();
    let first = UNIT_HEADER + entries.len() as u32;
    entries.extend(function(first));
    for _ in 0..200_000 {
        entries.extend(inlined(first));
    }
    entries.extend(vec![0; 200_002]);
    with_debug(&entries, line_program(&[]))
}

/// Entries that have no end: children of children until the file ends.
#[must_use]
pub fn unfinished() -> Image {
    let mut entries = unit();
    let first = UNIT_HEADER + entries.len() as u32;
    entries.extend(function(first).repeat(50_000));
    with_debug(&entries, line_program(&[]))
}

/// 16 million lines of the same code.
#[must_use]
pub fn lines_without_end() -> Image {
    let mut entries = unit();
    entries.push(0);
    with_debug(&entries, line_program(&vec![0x0d; 16 << 20]))
}

/// 20,000 units, each of which says that it has all of the code, and the same lines.
#[must_use]
pub fn units_without_end() -> Image {
    let mut one = unit();
    one.push(0);
    let info = with_header(&one).repeat(20_000);
    image(info, line_program(&vec![0x0d; 1 << 16]))
}

/// Abbreviations with numbers up to 2^63 and attributes without end.
#[must_use]
pub fn strange_abbreviations() -> Image {
    let mut abbreviations = Vec::new();
    for index in 0..100_000u64 {
        abbreviations.extend(uleb((1 << 63) | index));
        abbreviations.extend([0x2e, 1]);
        // DW_FORM_indirect, again and again.
        abbreviations.extend([0x03, 0x16].repeat(20));
        abbreviations.extend([0, 0]);
    }
    let mut image = with_debug(&unit(), line_program(&[]));
    for section in &mut image.sections {
        if section.name == ".debug_abbrev" {
            section.bytes.clone_from(&abbreviations);
        }
    }
    image
}

fn with_debug(entries: &[u8], lines: Vec<u8>) -> Image {
    image(with_header(entries), lines)
}

fn image(info: Vec<u8>, lines: Vec<u8>) -> Image {
    let abbreviations = [
        // A unit with children: name, address, size, lines.
        &[
            UNIT, 0x11, 1, 0x03, 0x08, 0x11, 0x01, 0x12, 0x07, 0x10, 0x17, 0, 0,
        ][..],
        // A function with children: address, size, origin.
        &[FUNCTION, 0x2e, 1, 0x11, 0x01, 0x12, 0x07, 0x31, 0x13, 0, 0],
        // An inlined call with children: origin, address, size, file and line of the call.
        &[
            INLINED, 0x1d, 1, 0x31, 0x13, 0x11, 0x01, 0x12, 0x07, 0x58, 0x0b, 0x59, 0x0b, 0, 0,
        ],
        &[0],
    ];
    let mut image = Image::like_python();
    image
        .push(Section::new(".debug_info", PROGBITS, info))
        .push(Section::new(".debug_abbrev", PROGBITS, abbreviations.concat()))
        .push(Section::new(".debug_line", PROGBITS, lines));
    image
}

fn with_header(entries: &[u8]) -> Vec<u8> {
    let mut unit = (entries.len() as u32 + UNIT_HEADER - 4).to_le_bytes().to_vec();
    unit.extend([4, 0, 0, 0, 0, 0, 8]);
    unit.extend(entries);
    unit
}

fn unit() -> Vec<u8> {
    let mut entry = vec![UNIT];
    entry.extend(b"unit.c\0");
    entry.extend(range());
    entry.extend(0u32.to_le_bytes());
    entry
}

fn range() -> Vec<u8> {
    let mut range = CODE_ADDRESS.to_le_bytes().to_vec();
    range.extend(CODE_BYTES.to_le_bytes());
    range
}

const FUNCTION_BYTES: u32 = 21;

fn function(origin: u32) -> Vec<u8> {
    let mut entry = vec![FUNCTION];
    entry.extend(range());
    entry.extend(origin.to_le_bytes());
    entry
}

fn inlined(origin: u32) -> Vec<u8> {
    let mut entry = vec![INLINED];
    entry.extend(origin.to_le_bytes());
    entry.extend(range());
    entry.extend([1, 7]);
    entry
}

/// A program of lines that sets the address of the code and then is `steps` (DWARF 4, section 6.2).
fn line_program(steps: &[u8]) -> Vec<u8> {
    let lengths = [0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1];
    let mut header = vec![1, 1, 1, 0xfb, 14, 13];
    header.extend(lengths);
    header.extend(b"\0unit.c\0\0\0\0\0");
    let mut program = vec![0, 9, 2];
    program.extend(CODE_ADDRESS.to_le_bytes());
    program.extend(steps);
    program.extend([2, 16, 0, 1, 1]);
    let mut bytes = (2 + 4 + header.len() as u32 + program.len() as u32)
        .to_le_bytes()
        .to_vec();
    bytes.extend([4, 0]);
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    bytes.extend(program);
    bytes
}
