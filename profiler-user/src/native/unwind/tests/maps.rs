//! The kernel's side: maps, the search in them, and an interpreter of rows.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use profiler_common::contract::unwind::{
    BLOCK_FRAME_POINTERS, BLOCK_LOADED, BLOCK_SHIFT, Block, Mapping, ROWS_PER_PAGE, Row, cfa_rule, fp_rule,
    mapping_kind, ra_rule,
};
use profiler_common::memory::RemoteAddr;

use crate::ids::ProcessKey;
use crate::inspect::Opener;
use crate::inspect::code_maps::CodeMaps;
use crate::native::unwind::{Capacity, Needed, Space, TableMaps, Tables};
use crate::proc::memory::ProcMemory;

/// Arrays as the kernel has them.
pub(super) struct FakeMaps {
    pub(super) mappings: Vec<Mapping>,
    pub(super) blocks: Vec<Block>,
    pub(super) rows: Vec<[u64; ROWS_PER_PAGE]>,
    /// When a page was last reachable from the directory.
    pub(super) reachable: Vec<Option<Instant>>,
}

impl FakeMaps {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            mappings: vec![Mapping::default(); capacity.mappings as usize],
            blocks: vec![Block::default(); capacity.blocks as usize],
            rows: vec![[0; ROWS_PER_PAGE]; capacity.row_pages as usize],
            reachable: vec![None; capacity.row_pages as usize],
        }
    }

    pub(super) fn block_rows(&self, block: Block) -> Vec<Row> {
        let first = block.first_row as usize;
        (first..first + usize::from(block.row_count))
            .map(|row| Row(self.rows[row / ROWS_PER_PAGE][row % ROWS_PER_PAGE]))
            .collect()
    }

    fn pages(block: Block) -> std::ops::Range<usize> {
        let first = block.first_row as usize / ROWS_PER_PAGE;
        first..first + usize::from(block.row_count).div_ceil(ROWS_PER_PAGE)
    }
}

impl TableMaps for FakeMaps {
    type Error = Infallible;

    fn set_mapping(&mut self, index: u32, mapping: &Mapping) -> Result<(), Infallible> {
        self.mappings[index as usize] = *mapping;
        Ok(())
    }

    fn set_block(&mut self, index: u32, block: Block) -> Result<(), Infallible> {
        let old = std::mem::replace(&mut self.blocks[index as usize], block);
        if old.flags & BLOCK_LOADED != 0 {
            for page in Self::pages(old) {
                self.reachable[page] = Some(Instant::now());
            }
        }
        Ok(())
    }

    fn set_rows(&mut self, page: u32, rows: &[u64; ROWS_PER_PAGE]) -> Result<(), Infallible> {
        let page = page as usize;
        let is_in_use =
            |block: &Block| block.flags & BLOCK_LOADED != 0 && Self::pages(*block).contains(&page);
        assert!(
            !self.blocks.iter().any(is_in_use),
            "rows that can be read were overwritten"
        );
        if let Some(until) = self.reachable[page] {
            assert!(
                until.elapsed() >= Duration::from_millis(199),
                "rows that may still be read were overwritten"
            );
        }
        self.rows[page] = *rows;
        Ok(())
    }
}

/// What the search finds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    NoMapping,
    NoTable,
    Row(Row),
}

/// As the kernel half searches.
pub(super) fn find(maps: &FakeMaps, space: Space, pc: u64, is_caller: bool) -> Found {
    let first = space.first_mapping as usize;
    let list = &maps.mappings[first..first + space.mapping_count as usize];
    let Some(mapping) = list
        .iter()
        .find(|mapping| mapping.space == space.space && (mapping.start..mapping.end).contains(&pc))
    else {
        return Found::NoMapping;
    };
    match mapping.kind {
        mapping_kind::TABLE => {}
        mapping_kind::ONE_RULE => return Found::Row(Row(mapping.bias)),
        mapping_kind::FRAME_POINTER => return Found::Row(Row::FRAME_POINTER),
        _ => return Found::NoMapping,
    }
    let address = pc - mapping.bias;
    let index = (address >> BLOCK_SHIFT) - u64::from(mapping.text_block);
    assert!(index < u64::from(mapping.block_count));
    let block = maps.blocks[mapping.first_block as usize + index as usize];
    if block.flags & BLOCK_LOADED == 0 {
        return Found::NoTable;
    }
    if is_caller && block.flags & BLOCK_FRAME_POINTERS != 0 {
        return Found::Row(Row::FRAME_POINTER);
    }
    let rows = maps.block_rows(block);
    let behind = rows.partition_point(|row| u64::from(row.start()) <= address & 0xffff);
    Found::Row(rows[behind - 1].with_start(0))
}

/// What an unwinder knows of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Registers {
    pub(super) pc: u64,
    pub(super) sp: u64,
    pub(super) fp: u64,
}

/// Unwinds a blocked thread on x86-64: its program counters, newest first, and whether it came to the end.
pub(super) fn unwind(
    maps: &mut FakeMaps,
    tables: &mut Tables,
    key: ProcessKey,
    memory: &ProcMemory,
    mut registers: Registers,
) -> (Vec<u64>, bool) {
    let word = |address: u64| {
        let mut bytes = [0; 8];
        memory
            .read(RemoteAddr(address), &mut bytes)
            .expect("the stack is readable");
        u64::from_le_bytes(bytes)
    };
    let mut pcs = Vec::new();
    let mut is_caller = false;
    while pcs.len() < 200 {
        let at = registers.pc - u64::from(is_caller);
        pcs.push(registers.pc);
        let row = load(maps, tables, key, at, is_caller);
        let Registers { sp, fp, .. } = registers;
        let offset = row.cfa_offset();
        let cfa = match row.cfa() {
            cfa_rule::SP => sp.wrapping_add(offset),
            cfa_rule::FP => fp.wrapping_add(offset),
            cfa_rule::AT_SP => word(sp.wrapping_add(offset)),
            cfa_rule::AT_FP => word(fp.wrapping_add(offset)),
            cfa_rule::PLT => sp + 8 + 8 * u64::from(registers.pc & 15 >= offset / 8),
            cfa_rule::SIGNAL => {
                // `uc_mcontext.gregs` of x86-64: `rbp` 10, `rsp` 15, `rip` 16.
                let register = |number: u64| word(sp.wrapping_add(offset) + 40 + 8 * number);
                registers = Registers {
                    pc: register(16),
                    sp: register(15),
                    fp: register(10),
                };
                is_caller = false;
                continue;
            }
            cfa_rule::END => return (pcs, true),
            _ => return (pcs, false),
        };
        assert!(cfa > sp, "{row:?} at {at:#x} leads nowhere");
        assert_eq!(row.ra(), ra_rule::BELOW_CFA);
        registers = Registers {
            pc: word(cfa - 8),
            sp: cfa,
            fp: match row.fp() {
                fp_rule::SAME => fp,
                fp_rule::AT_CFA => word(cfa.wrapping_add(row.fp_offset())),
                _ => word(fp.wrapping_add(row.fp_offset())),
            },
        };
        is_caller = true;
    }
    (pcs, false)
}

/// Searches; what is not there is asked for as a sample would.
pub(super) fn load(
    maps: &mut FakeMaps,
    tables: &mut Tables,
    key: ProcessKey,
    pc: u64,
    is_caller: bool,
) -> Row {
    use profiler_common::contract::reasons::NativeStatus;
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let space = tables.space_of(key).expect("the process is known");
        let status = match find(maps, space, pc, is_caller) {
            Found::Row(row) => return row,
            Found::NoMapping => NativeStatus::NoMapping,
            Found::NoTable => NativeStatus::NoTable,
        };
        assert!(Instant::now() < deadline, "{status:?} at {pc:#x}");
        if tables.need(key, pc, status) == Needed::Look {
            enter(maps, tables, key);
            tables.looked(key, pc);
        }
        tables.pump(maps, 8).expect("cannot fail");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Looks at a process, and enters what was found.
pub(super) fn enter(maps: &mut FakeMaps, tables: &mut Tables, key: ProcessKey) -> Space {
    let found = CodeMaps::default().of_process(key.tgid, None);
    let found = found.expect("it lives").expect("new");
    tables.enter(maps, key, found).expect("cannot fail")
}

/// Tables for whoever has a file opened.
pub(super) fn tables_of(capacity: Capacity) -> Tables {
    let opener = Opener::start().expect("a thread can be started");
    Tables::new(capacity, opener).expect("a thread can be started")
}
