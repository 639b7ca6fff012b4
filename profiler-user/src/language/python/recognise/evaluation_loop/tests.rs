//! The loops of every interpreter of this machine, and tables that lie.

use std::path::PathBuf;

use gimli::{BaseAddresses, CieOrFde, EhFrame, LittleEndian};
use object::{Object as _, ObjectSection as _};
use proptest::prelude::*;

use super::*;
use crate::elf::frames::FrameSection;
use crate::language::python::test_support::{installed, not_tested, unpacked_files};

fn with_file<T>(bytes: &[u8], look: impl FnOnce(&ElfFile) -> T) -> Option<T> {
    let file = ElfFile::open(bytes.into(), 64 << 20).ok()?;
    Some(look(&file))
}

/// Every file here that defines an evaluation loop by an exported name.
fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = installed().into_iter().map(|python| python.file).collect();
    files.extend(unpacked_files());
    files.sort();
    files.dedup();
    files
}

/// The code of the largest entry of the unwind table, read by other means.
fn largest(bytes: &[u8]) -> Range<u64> {
    let elf = object::File::parse(bytes).expect("a working library");
    let section = elf.section_by_name(".eh_frame").expect("it has a table");
    let bases = BaseAddresses::default().set_eh_frame(section.address());
    let mut table = EhFrame::new(section.data().expect("in the file"), LittleEndian);
    table.set_address_size(8);
    let mut entries = table.entries(&bases);
    let mut largest = 0..0;
    while let Some(entry) = entries.next().expect("well-formed") {
        if let CieOrFde::Fde(partial) = entry {
            let entry = partial.parse(EhFrame::cie_from_offset).expect("well-formed");
            let range = entry.initial_address()..entry.end_address();
            if range.end - range.start > largest.end - largest.start {
                largest = range;
            }
        }
    }
    largest
}

/// Bytes of the piece of code at this address.
fn piece_bytes(file: &ElfFile, address: u64) -> u64 {
    let mut table = Table::open(file).expect("it has a table");
    let range = table.piece(address).expect("a function").range;
    range.end - range.start
}

#[test]
fn the_loop_of_every_interpreter_is_found_whole() {
    let mut checked = 0;
    for file in files() {
        let bytes = std::fs::read(&file).expect("installed");
        let Some(Some((function, found, largest))) = with_file(&bytes, |elf| {
            let exported = NAMES.iter().find_map(|name| elf.dynamic_symbol(name))?;
            (elf.architecture() == Architecture::X86_64).then(|| (exported, find(elf), largest(&bytes)))
        }) else {
            continue;
        };
        let name = file.display();
        assert!(found.is_ok(), "{name}: {found:?}");
        let pieces = found.unwrap_or_default();
        assert!(pieces[0].contains(&function.address), "{name}: {pieces:x?}");
        assert_eq!(pieces[0].end - pieces[0].start, function.size, "{name}");
        // Where the symbol covers little of it, the rest is the largest function of the file.
        assert!(
            function.size > 28_000 || pieces.contains(&largest),
            "{name}: {pieces:x?}, {largest:x?}"
        );
        eprintln!("{name}: {pieces:x?}");
        checked += 1;
    }
    if checked == 0 {
        not_tested("evaluation loops: no interpreter under pyenv, /usr/bin or ~/.cache/pyebpf");
    }
}

#[test]
fn cold_parts_that_symbols_name_are_part_of_the_loop_and_nothing_else_is() {
    const COLD: &[u8] = b"_PyEval_EvalFrameDefault.cold";
    let mut checked = 0;
    for file in files() {
        let bytes = std::fs::read(&file).expect("installed");
        let Some((cold, pieces)) = with_file(&bytes, |elf| {
            let (kind, size) = (STT_FUNC, 0);
            let wanted = [COLD, b"_PyRun_SimpleFileObject"].map(|name| Wanted { name, kind, size });
            let [cold, other] = elf.static_symbols(wanted);
            // What is there may be the end of a path that cannot be taken, without a call.
            let cold = cold.filter(|&cold| piece_bytes(elf, cold) > 16);
            // Only a file with local symbols can say that there is no cold part.
            other.and(find(elf).ok()).map(|pieces| (cold, pieces))
        })
        .flatten() else {
            continue;
        };
        let name = file.display();
        assert_eq!(
            pieces.len(),
            1 + usize::from(cold.is_some()),
            "{name}: {pieces:x?}"
        );
        if let Some(cold) = cold {
            assert_eq!(pieces[1].start, cold, "{name}: {pieces:x?}");
        }
        checked += 1;
    }
    if checked == 0 {
        not_tested("cold parts: no interpreter with local symbols");
    }
}

#[test]
fn a_file_says_why_its_loop_is_not_known() {
    let Some(python) = installed().into_iter().next_back() else {
        return not_tested("no interpreter");
    };
    let bytes = std::fs::read(&python.file).expect("installed");
    with_file(&bytes, |elf| {
        assert!(find(elf).is_ok());
    });
    let mut without_table = bytes.clone();
    let wanted = object::elf::PT_GNU_EH_FRAME.0.to_le_bytes();
    // Program headers of 56 bytes follow the file header.
    let header = (64..4096)
        .step_by(56)
        .find(|&at| bytes[at..at + 4] == wanted)
        .expect("it has a table");
    without_table[header..header + 4].fill(0);
    with_file(&without_table, |elf| {
        assert_eq!(find(elf), with_file(&bytes, find).expect("as before"));
    });
    // Nor sections: `e_shoff`.
    without_table[40..48].fill(0);
    let reason = with_file(&without_table, |elf| find(elf).map(|_| ()));
    assert_eq!(reason, Some(Err(NoLoop::NoTable)));
    let program = std::fs::read("/proc/self/exe").expect("this test");
    assert_eq!(
        with_file(&program, |elf| find(elf).map(|_| ())),
        Some(Err(NoLoop::Unnamed))
    );
}

#[test]
fn a_table_that_lies_harms_nobody() {
    let Some(python) = installed().into_iter().next_back() else {
        return not_tested("no interpreter");
    };
    let bytes = std::fs::read(&python.file).expect("installed");
    let places = with_file(&bytes, |elf| {
        let function = named(elf).expect("exported");
        let mut table = Table::open(elf).expect("it has a table");
        let positions = table
            .index
            .entries(elf, &(function..function + 1))
            .expect("readable");
        let Some(FrameSection::Header(header)) = elf.frame_section() else {
            unreachable!("linked dynamically");
        };
        let section = elf.loaded_section(b".eh_frame").expect("it has one").address;
        let entry = *positions.last().expect("it is there");
        [header.start, section, entry].map(|address| elf.file_offset(address).expect("loaded") as usize)
    })
    .expect("a working library");
    proptest!(|(
        which in 0..places.len(),
        changes in prop::collection::vec((0..48usize, any::<u8>()), 1..12),
    )| {
        let mut changed = bytes.clone();
        for (at, byte) in changes {
            changed[places[which] + at] = byte;
        }
        if let Some(Ok(pieces)) = with_file(&changed, find) {
            let sum: u64 = pieces.iter().map(|piece| piece.end - piece.start).sum();
            prop_assert!(sum <= MAX_BYTES && pieces.len() <= MAX_PIECES);
        }
    });
}
