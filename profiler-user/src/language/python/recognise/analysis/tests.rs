//! ELF analysis of every real interpreter of this machine, and of files that lie.

use std::fs::File;

use super::*;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestRunner};

use crate::elf::Architecture;
use crate::language::python::recognise::anchors::GilVariable;
use crate::language::python::test_support::installed;

fn cpython_in(analysis: &Analysis) -> Option<&CPython> {
    match analysis.interpreter.as_ref()? {
        Implementation::CPython(found) => Some(found),
        Implementation::PyPy => None,
    }
}

#[test]
fn every_installed_interpreter_tells_its_full_version() {
    let pythons = installed();
    assert!(!pythons.is_empty(), "/usr/bin/python3 is not installed");
    for python in &pythons {
        let analysis = analyze(File::open(&python.file).expect("installed")).expect("a working library");
        let found = cpython_in(&analysis).expect("a CPython");
        assert_eq!(
            found.version,
            VersionEvidence::Known(python.release()),
            "{}",
            python.file.display()
        );
        assert_eq!(found.runtime.is_some(), python.minor() >= (3, 7));
        assert_eq!(found.debug_offsets.is_some(), python.minor() >= (3, 13));
        assert_eq!(found.object_header_bytes, Some(16));
    }
}

#[test]
fn the_minor_version_before_3_11_needs_no_soname() {
    // What a static build, which has no soname, would have to go by.
    for python in installed().iter().filter(|python| python.minor() >= (3, 6)) {
        let file = File::open(&python.file).expect("installed");
        let file = ElfFile::open(file.into(), BUDGET_BYTES).expect("a working library");
        let (major, minor) = python.minor();
        let tags: Vec<_> = version_texts::cache_tags(&file).into_iter().collect();
        assert_eq!(
            tags,
            [Version::minor_only(major, minor)],
            "{}",
            python.file.display()
        );
    }
}

#[test]
fn launchers_and_extension_modules_that_only_refer_to_the_runtime_are_no_interpreters() {
    let mut checked = 0;
    for python in installed() {
        if python.is_shared {
            let launcher = analyze(File::open(&python.program).expect("installed")).expect("a program");
            assert_eq!(launcher.interpreter, None, "{}", python.program.display());
            assert!(launcher.is_program && launcher.debug_slot.is_some());
            assert_eq!(launcher.libc, Some(Libc::Glibc));
        }
        let prefix = python
            .program
            .parent()
            .and_then(|bin| bin.parent())
            .expect("PREFIX/bin/python");
        let (major, minor) = python.minor();
        let modules = prefix.join(format!("lib/python{major}.{minor}/lib-dynload"));
        for module in std::fs::read_dir(modules).into_iter().flatten().flatten() {
            if module
                .path()
                .extension()
                .is_some_and(|extension| extension == "so")
            {
                let file = File::open(module.path()).expect("installed");
                assert_eq!(
                    analyze(file).expect("a library").interpreter,
                    None,
                    "{:?}",
                    module.path()
                );
                checked += 1;
            }
        }
    }
    assert!(checked > 20, "only {checked} extension modules found");
}

#[test]
fn a_file_analysed_from_memory_and_from_disk_is_the_same() {
    for python in installed() {
        let from_memory = analyze(std::fs::read(&python.file).expect("installed")).expect("valid");
        let from_disk = analyze(File::open(&python.file).expect("installed")).expect("valid");
        assert_eq!(from_memory, from_disk);
        assert_eq!(
            from_disk.is_program,
            !python.is_shared,
            "{}",
            python.file.display()
        );
        assert_eq!(from_disk.architecture, Architecture::X86_64);
        assert_eq!(from_disk.libc, Some(Libc::Glibc));
    }
}

/// Where the file's section headers say that they are: zeroing `e_shoff`, `e_shnum` and `e_shstrndx` is what
/// `sstrip` does.
fn without_sections(bytes: &mut [u8]) {
    bytes[0x28..0x30].fill(0);
    bytes[0x3c..0x40].fill(0);
}

#[test]
fn an_interpreter_without_a_section_table_is_still_recognised() {
    for python in installed() {
        let mut bytes = std::fs::read(&python.file).expect("installed");
        let intact = analyze(&bytes[..]).expect("valid");
        without_sections(&mut bytes);
        let mut without = analyze(&bytes[..]).expect("still loadable");
        if let (Some(Implementation::CPython(left)), Some(had)) =
            (&mut without.interpreter, cpython_in(&intact))
        {
            // Only the static symbols name it, and the sections lead to these.
            assert_eq!(left.anchors.gc_collecting, None);
            left.anchors.gc_collecting = had.anchors.gc_collecting;
            if let Some(GilVariable::At { .. }) = had.anchors.gil {
                assert_eq!(left.anchors.gil, None);
                left.anchors.gil = had.anchors.gil;
            }
        }
        assert_eq!(without, intact, "{}", python.file.display());
    }
}

/// Renames a dynamic symbol, as if it had been hidden.
fn hide(bytes: &mut [u8], name: &[u8]) {
    let mut terminated = vec![0];
    terminated.extend_from_slice(name);
    terminated.push(0);
    let at = memchr::memmem::find(bytes, &terminated).expect("in .dynstr");
    bytes[at + 1] = b'X';
}

#[test]
fn a_hidden_runtime_is_found_by_its_section_or_in_the_static_symbols() {
    for python in installed().iter().filter(|python| python.minor() >= (3, 7)) {
        let mut bytes = std::fs::read(&python.file).expect("installed");
        let intact = analyze(&bytes[..]).expect("valid");
        hide(&mut bytes, b"_PyRuntime");
        let hidden = analyze(&bytes[..]).expect("valid");
        assert_eq!(
            hidden.interpreter,
            intact.interpreter,
            "{}",
            python.file.display()
        );
        // The section is part of 3.10 and later; pyenv does not strip the static symbols.
        without_sections(&mut bytes);
        assert_eq!(analyze(&bytes[..]).expect("valid").interpreter, None);
    }
}

#[test]
fn what_is_not_elf_is_refused_by_type() {
    for bytes in [&b""[..], b"\x7f", b"\x7fELF", b"#!/bin/sh\n", &[0; 4096]] {
        let error = analyze(bytes).expect_err("no ELF file");
        assert!(
            matches!(error, ElfError::NotElf | ElfError::Malformed(_)),
            "{error:?}"
        );
    }
    let mut header = [0u8; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x02\x01");
    assert!(matches!(analyze(&header[..]), Err(ElfError::BigEndian)));
}

#[test]
fn a_file_cut_off_anywhere_is_refused_or_no_interpreter_but_never_a_panic() {
    let python = installed().pop().expect("/usr/bin/python3 is not installed");
    let bytes = std::fs::read(&python.file).expect("installed");
    let mut cuts: Vec<usize> = (0..70).collect();
    cuts.extend((1..60).map(|part| bytes.len() / 60 * part));
    for cut in cuts {
        let _ = analyze(&bytes[..cut]);
    }
}

/// Headers that claim the most: every count and size at its maximum.
#[test]
fn boundless_claims_cost_bounded_work() {
    for python in installed() {
        let bytes = std::fs::read(&python.file).expect("installed");
        for (offset, width) in [
            (0x20, 8),
            (0x28, 8),
            (0x36, 2),
            (0x38, 2),
            (0x3a, 2),
            (0x3c, 2),
            (0x3e, 2),
        ] {
            let mut lying = bytes.clone();
            lying[offset..offset + width].fill(0xff);
            let _ = analyze(&lying[..]);
        }
    }
}

#[test]
fn a_sparse_file_of_a_terabyte_is_refused_without_reading_it() {
    let file = tempfile::tempfile().expect("a writable temporary directory");
    let mut header = [0u8; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    header[0x10] = 3; // ET_DYN
    header[0x14] = 1; // EV_CURRENT
    header[0x20] = 64; // e_phoff
    header[0x28] = 64; // e_shoff
    header[0x34] = 64; // e_ehsize
    header[0x36] = 56; // e_phentsize
    header[0x38..0x3a].fill(0xff); // e_phnum: PN_XNUM, the count is in section 0
    header[0x3a] = 64; // e_shentsize
    std::os::unix::fs::FileExt::write_all_at(&file, &header, 0).expect("writable");
    // Section 0: sh_size (sections) and sh_info (segments).
    std::os::unix::fs::FileExt::write_all_at(&file, &u32::MAX.to_le_bytes(), 64 + 0x20).expect("writable");
    std::os::unix::fs::FileExt::write_all_at(&file, &u32::MAX.to_le_bytes(), 64 + 0x2c).expect("writable");
    if file.set_len(1 << 40).is_err() {
        file.set_len(1 << 33).expect("a sparse file of 8 GiB");
    }
    let error = analyze(file).expect_err("its headers would be 240 GB");
    assert!(
        matches!(error, ElfError::Malformed(_) | ElfError::TooLarge),
        "{error:?}"
    );
}

/// Bytes changed where the analysis looks: file header, program headers, dynamic tables, static symbols and
/// sections.
fn damage(length: usize, section_table: usize) -> impl Strategy<Value = Vec<(usize, u8)>> {
    let place = prop_oneof![0..64usize, 64..864usize, 0..64 * 1024usize, section_table..length];
    let byte = prop_oneof![Just(0xff), any::<u8>()];
    proptest::collection::vec((place, byte), 1..12)
}

#[test]
fn damaged_files_never_panic() {
    let pythons: Vec<_> = installed()
        .into_iter()
        .filter(|python| [(3, 8), (3, 10), (3, 13)].contains(&python.minor()))
        .collect();
    for python in &pythons {
        let bytes = std::fs::read(&python.file).expect("installed");
        let section_table = u64::from_le_bytes(bytes[0x28..0x30].try_into().expect("8 bytes")) as usize;
        let damaged = std::cell::RefCell::new(bytes.clone());
        TestRunner::new(Config::with_cases(60))
            .run(&damage(bytes.len(), section_table), |changes| {
                let mut damaged = damaged.borrow_mut();
                for &(place, byte) in &changes {
                    damaged[place] = byte;
                }
                let _ = analyze(&damaged[..]);
                for &(place, _) in &changes {
                    damaged[place] = bytes[place];
                }
                Ok(())
            })
            .expect("no damage makes it panic");
    }
}

/// The smallest library whose GNU hash table sends every lookup in circles, and whose System V chain points
/// at itself.
#[test]
fn hash_chains_without_an_end_are_left() {
    for gnu in [true, false] {
        let bytes = endless_library(gnu);
        let analysis = analyze(&bytes[..]).expect("its headers are valid");
        assert_eq!(analysis.interpreter, None);
    }
}

fn endless_library(gnu: bool) -> Vec<u8> {
    let mut bytes = vec![0u8; 4096];
    let mut put = |at: usize, value: u64, width: usize| {
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
    };
    put(0, u64::from_le_bytes(*b"\x7fELF\x02\x01\x01\0"), 8);
    for (at, value, width) in [
        (0x10, 3, 2),
        (0x12, 62, 2),
        (0x14, 1, 4),
        (0x20, 64, 8),
        (0x34, 64, 2),
        (0x36, 56, 2),
        (0x38, 2, 2),
    ] {
        put(at, value, width);
    }
    for (at, kind, offset, size) in [(64, 1, 0, 4096), (120, 2, 512, 256)] {
        put(at, kind, 4);
        put(at + 4, 5, 4);
        for (field, value) in [
            (8, offset),
            (16, offset),
            (24, offset),
            (32, size),
            (40, size),
            (48, 8),
        ] {
            put(at + field, value, 8);
        }
    }
    let table_tag = if gnu { 0x6fff_fef5 } else { 4 };
    for (index, (tag, value)) in [(5u64, 2048u64), (6, 2304), (table_tag, 1024), (0, 0)]
        .into_iter()
        .enumerate()
    {
        put(512 + index * 16, tag, 8);
        put(512 + index * 16 + 8, value, 8);
    }
    if gnu {
        // One bucket, one bloom word with every bit, and chain values that never end (their low bit is clear).
        for (at, value) in [(1024, 1), (1028, 1), (1032, 1), (1036, 0)] {
            put(at, value, 4);
        }
        put(1040, u64::MAX, 8);
        put(1048, 1, 4);
    } else {
        // One bucket that starts at symbol 1, whose successor is symbol 1.
        for (at, value) in [(1024, 1), (1028, 2), (1032, 1), (1036, 0), (1040, 1)] {
            put(at, value, 4);
        }
    }
    bytes
}
