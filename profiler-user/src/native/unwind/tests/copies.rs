//! Copies of a file: what is equal in their tables is kept once, and what one of them claims is no other one's concern.

use object::{Object as _, ObjectSection as _};
use profiler_common::contract::unwind::{BLOCK_LOADED, Mapping};

use super::live::{CAPACITY, Program, assert_call_chain, settle};
use super::maps::{FakeMaps, enter as enter_found, tables_of, unwind};
use crate::ids::ProcessKey;
use crate::native::unwind::Tables;
use crate::proc::memory::ProcMemory;

fn key(program: &Program) -> ProcessKey {
    ProcessKey {
        tgid: program.child.id(),
        incarnation: 1,
    }
}

/// Enters a process; the mapping of its program's code.
fn enter(maps: &mut FakeMaps, tables: &mut Tables, program: &Program) -> Mapping {
    let key = key(program);
    let space = enter_found(maps, tables, key);
    let list = &maps.mappings[space.first_mapping as usize..][..space.mapping_count as usize];
    let path = program.path.as_os_str().as_encoded_bytes();
    let mapping = list.iter().find(|mapping| {
        let located = tables.locate(key, mapping.start).expect("in the list");
        &*located.mapping.path == path
    });
    *mapping.expect("the program is mapped")
}

#[test]
fn two_copies_of_a_library_with_one_build_id_share_their_tables() {
    let mut maps = FakeMaps::new(CAPACITY);
    let mut tables = tables_of(CAPACITY);
    let programs = [(); 2].map(|()| Program::start("cc", &["-Wl,--build-id"], "plain"));
    let first = enter(&mut maps, &mut tables, &programs[0]);
    settle(&mut maps, &mut tables);
    let before = tables.statistics();
    let second = enter(&mut maps, &mut tables, &programs[1]);
    settle(&mut maps, &mut tables);
    assert_eq!(first.block_count, second.block_count);
    for index in 0..first.block_count {
        let [one, other] =
            [&first, &second].map(|mapping| maps.blocks[(mapping.first_block + index) as usize]);
        assert!(one.flags & BLOCK_LOADED != 0);
        assert_eq!(one, other, "block {index}");
    }
    let after = tables.statistics();
    assert_eq!((after.rows, after.row_bytes), (before.rows, before.row_bytes));
    assert!(after.loaded_blocks > before.loaded_blocks, "{after:?}");
}

/// Changes what every function's call frame information begins with: `DW_CFA_def_cfa rsp, 8`.
fn spoil(path: &std::path::Path) {
    const BEGIN: &[u8] = &[0x0c, 7, 8];
    let mut bytes = std::fs::read(path).expect("readable");
    let file = object::File::parse(&*bytes).expect("valid");
    let section = file.section_by_name(".eh_frame").expect("it has one");
    let (start, size) = section.file_range().expect("it is in the file");
    let places: Vec<usize> = (start as usize..(start + size) as usize)
        .filter(|&at| bytes[at..].starts_with(BEGIN))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 2] = 16;
    }
    std::fs::write(path, bytes).expect("own file");
}

#[test]
fn a_copy_with_other_call_frame_information_does_not_spoil_the_original() {
    let original = Program::start("cc", &["-Wl,--build-id"], "plain");
    let directory = tempfile::tempdir().expect("temporary files");
    let path = directory.path().join("program");
    std::fs::copy(&original.path, &path).expect("readable and writable");
    spoil(&path);
    let twin = Program::run(directory, path, "plain");

    let mut maps = FakeMaps::new(CAPACITY);
    let mut tables = tables_of(CAPACITY);
    // The twin comes first: its tables are there when the original is seen.
    let spoilt = enter(&mut maps, &mut tables, &twin);
    settle(&mut maps, &mut tables);
    let good = enter(&mut maps, &mut tables, &original);
    settle(&mut maps, &mut tables);
    assert_eq!(spoilt.block_count, good.block_count);
    let rows = |maps: &FakeMaps, mapping: &Mapping| -> Vec<_> {
        (0..mapping.block_count)
            .map(|index| maps.block_rows(maps.blocks[(mapping.first_block + index) as usize]))
            .collect()
    };
    assert_ne!(rows(&maps, &spoilt), rows(&maps, &good), "the twin is spoilt");

    let key = key(&original);
    let memory = ProcMemory::open(key.tgid).expect("the child is ours");
    let (pcs, is_complete) = unwind(&mut maps, &mut tables, key, &memory, original.registers());
    let names = original.names(&tables, key, &pcs);
    assert_call_chain(&names, "the original");
    assert!(is_complete);
}
