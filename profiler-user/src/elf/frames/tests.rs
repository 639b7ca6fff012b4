//! Call frame information made to take long.

use std::process::Command;

use super::FrameIndex;
use crate::elf::{ElfFile, FileBytes};

/// Entries that all refer to one common entry, whose augmentation has `augmentation` bytes more than usual.
fn library(entries: usize, augmentation: usize) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a writable temporary directory");
    let (source, library) = (folder.path().join("a.s"), folder.path().join("a.so"));
    let text = format!(
        r#"
            .text
            .globl f
            .hidden f
            .type f, @function
        f:  .rept 4096
            nop
            .endr
            ret
            .section .eh_frame, "a", @progbits
        common:
            .long 2f - 1f
        1:  .long 0
            .byte 1
            .ascii "zR"
            .fill {augmentation}, 1, 'S'
            .byte 0
            .uleb128 1
            .sleb128 -8
            .byte 16
            .uleb128 1
            .byte 0x1b
            .byte 0x0c, 7, 8, 0x90, 1
            .balign 8
        2:  .rept {entries}
            .long 20
            .long . - common
            .long f - .
            .long 16
            .uleb128 0
            .zero 7
            .endr
            .long 0
        "#
    );
    std::fs::write(&source, text).expect("writable");
    let status = Command::new("cc")
        .args(["-shared", "-nostdlib", "-Wl,--no-eh-frame-hdr", "-o"])
        .args([&library, &source])
        .status()
        .expect("there is a C compiler");
    assert!(status.success());
    std::fs::read(&library).expect("just built")
}

/// Entries found, and bytes read for that.
fn listed(bytes: &[u8]) -> (usize, u64) {
    let file = ElfFile::open(FileBytes::from(bytes), 64 << 20).expect("well-formed");
    let before = file.reader().spare_bytes();
    let mut index = FrameIndex::new(&file, 16 << 20)
        .expect("within the budget")
        .expect("a table");
    let read = before - file.reader().spare_bytes();
    let code = file
        .segments()
        .iter()
        .find(|segment| segment.executable)
        .expect("it has code");
    let range = code.address..code.address + code.memory_bytes;
    let found = index.entries(&file, &range).expect("within the limits");
    (found.len(), read)
}

#[test]
fn a_common_entry_of_a_megabyte_is_not_read_once_for_each_entry() {
    const ENTRIES: usize = 4000;
    let usual = library(ENTRIES, 0);
    let (found, read) = listed(&usual);
    assert_eq!(found, ENTRIES);
    assert!(read < 1 << 20, "{read}");
    let huge = library(ENTRIES, 1_000_000);
    let (found, read) = listed(&huge);
    assert_eq!(found, 0, "no compiler writes such");
    let file = huge.len() as u64;
    assert!(read < 2 * file, "{read} bytes of a file of {file}");
}
