//! Call frame information (`.eh_frame`) that never ends, leads in circles or lies about its size.

use super::image::{CODE_ADDRESS, Image, PROGBITS, Section};

/// A common entry whose augmentation has a megabyte, and 4,000 entries that refer to it.
#[must_use]
pub fn large_common_entry() -> Image {
    let mut augmentation = b"zR".to_vec();
    augmentation.extend(vec![b'S'; 1 << 20]);
    image(frames(&augmentation, &[0x0c, 7, 8, 0x90, 1], &[], 4000))
}

/// A common entry with a megabyte of instructions, which hold for each of 4,000 entries.
#[must_use]
pub fn long_common_program() -> Image {
    let mut program = vec![0x0c, 7, 8, 0x90, 1];
    // DW_CFA_remember_state and DW_CFA_restore_state.
    program.extend([0x0a, 0x0b].repeat(1 << 19));
    image(frames(b"zR", &program, &[], 4000))
}

/// A million states that are remembered and never restored.
#[must_use]
pub fn states_without_end() -> Image {
    image(frames(b"zR", &[0x0c, 7, 8, 0x90, 1], &vec![0x0a; 1 << 20], 16))
}

/// An entry with a million rows of one byte of code each.
#[must_use]
pub fn rows_without_end() -> Image {
    // DW_CFA_advance_loc 1, DW_CFA_def_cfa_offset in turns.
    let steps = [0x41, 0x0e, 0x10, 0x41, 0x0e, 0x18].repeat(1 << 18);
    image(frames(b"zR", &[0x0c, 7, 8, 0x90, 1], &steps, 8))
}

/// Entries whose common entry is themselves, or one another.
#[must_use]
pub fn circular() -> Image {
    let mut bytes = Vec::new();
    for index in 0..10_000u32 {
        bytes.extend(20u32.to_le_bytes());
        // The distance back to the common entry: to this entry, or to the one before.
        bytes.extend(if index % 2 == 0 { 4u32 } else { 28 }.to_le_bytes());
        bytes.extend([0; 16]);
    }
    image(bytes)
}

/// An expression of a megabyte in each entry.
#[must_use]
pub fn long_expressions() -> Image {
    // DW_CFA_def_cfa_expression of DW_OP_lit0.
    let mut program = vec![0x0f, 0x80, 0x80, 0x40];
    program.extend(vec![0x30; 1 << 20]);
    image(frames(b"zR", &[0x0c, 7, 8, 0x90, 1], &program, 16))
}

/// An index (`.eh_frame_hdr`) that says it has 2^32 entries, and entries that say they have 2^32 bytes.
#[must_use]
pub fn largest_index() -> Image {
    let mut image = image(frames(b"zR", &[0x0c, 7, 8, 0x90, 1], &[], 100));
    let mut header = vec![1, 0x1b, 0x03, 0x3b];
    header.extend([0xff; 4]);
    header.extend(u32::MAX.to_le_bytes());
    header.extend(vec![0x80; 4096]);
    let bytes = header.len() as u64;
    image.push(Section::new(".eh_frame_hdr", PROGBITS, header));
    image.segments.push((0x6474_e550, 0x2000, bytes));
    image
}

fn image(frames: Vec<u8>) -> Image {
    let mut image = Image::like_python();
    let mut section = Section::new(".eh_frame", PROGBITS, frames);
    section.flags = 2;
    image.push(section);
    image
}

/// One common entry, and `count` that refer to it and hold for all of the code.
fn frames(augmentation: &[u8], common_program: &[u8], program: &[u8], count: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut common = 0u32.to_le_bytes().to_vec();
    common.push(1);
    common.extend(augmentation);
    common.push(0);
    // Factors 1 and -8, return address 16; absolute addresses of 8 bytes.
    common.extend([1, 0x78, 16, 1, 0]);
    common.extend(common_program);
    push(&mut bytes, &common);
    for _ in 0..count {
        let mut entry = (bytes.len() as u32 + 4).to_le_bytes().to_vec();
        entry.extend(CODE_ADDRESS.to_le_bytes());
        entry.extend(0x10_0000u64.to_le_bytes());
        entry.push(0);
        entry.extend(program);
        push(&mut bytes, &entry);
    }
    bytes.extend([0; 4]);
    bytes
}

fn push(bytes: &mut Vec<u8>, entry: &[u8]) {
    let padded = entry.len().next_multiple_of(8) + 4;
    bytes.extend((padded as u32).to_le_bytes());
    bytes.extend(entry);
    bytes.resize(bytes.len() + padded - entry.len(), 0);
}
