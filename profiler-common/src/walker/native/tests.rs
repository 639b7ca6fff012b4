//! Stacks built word by word, on both architectures.

extern crate std;

use std::collections::BTreeMap;
use std::vec;
use std::vec::Vec;

use super::{Aarch64, Architecture, NativeScratch, Registers, UnwindTables, X86_64, walk_native};
use crate::contract::reasons::NativeStatus;
use crate::contract::records::{NATIVE_FRAMES_PER_BLOCK, NativeFrame};
use crate::contract::unwind::{
    BLOCK_FRAME_POINTERS, BLOCK_HOPELESS, BLOCK_LOADED, Block, Mapping, Row, cfa_rule, fp_rule, mapping_kind,
    ra_rule,
};
use crate::memory::{Fault, Memory, RemoteAddr};

/// Where the library with the test's functions is mapped.
const BASE: u64 = 0x7f00_0000_0000;
const SPACE: u32 = 7;

#[derive(Default)]
struct Words(BTreeMap<u64, u64>);

impl Words {
    fn put(&mut self, address: u64, words: &[u64]) {
        self.0.extend((address..).step_by(8).zip(words.iter().copied()));
    }
}

impl Memory for Words {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        for (at, word) in (addr.0..).step_by(8).zip(out) {
            *word = *self.0.get(&at).ok_or(Fault)?;
        }
        Ok(())
    }

    fn read_words_prefix<const N: usize>(
        &self,
        _: RemoteAddr,
        _: &mut [u64; N],
        _: u32,
    ) -> Result<(), Fault> {
        Err(Fault)
    }

    fn read_bytes<const N: usize>(&self, _: RemoteAddr, _: &mut [u8; N], _: u32) -> Result<(), Fault> {
        Err(Fault)
    }
}

struct Tables {
    mappings: Vec<Mapping>,
    blocks: Vec<Block>,
    rows: Vec<Row>,
}

impl Tables {
    /// One file of two blocks; the rows are of the first.
    fn new(rows: Vec<Row>) -> Self {
        let loaded = Block {
            first_row: 0,
            row_count: u16::try_from(rows.len()).expect("few"),
            flags: BLOCK_LOADED,
        };
        let mapping = Mapping {
            start: BASE,
            end: BASE + 0x2_0000,
            bias: BASE,
            block_count: 2,
            space: SPACE,
            ..Mapping::default()
        };
        // Neighbours, so that the search has something to search.
        let neighbour = |start| Mapping {
            start,
            end: start + 0x1000,
            kind: mapping_kind::OPAQUE,
            ..mapping
        };
        Self {
            mappings: vec![
                neighbour(0x1000),
                neighbour(0x5000),
                mapping,
                neighbour(BASE + 0x10_0000),
            ],
            blocks: vec![loaded, Block::default()],
            rows,
        }
    }
}

impl UnwindTables for Tables {
    fn mapping(&self, index: u32) -> Option<&Mapping> {
        self.mappings.get(index as usize)
    }

    fn block(&self, index: u32) -> Option<Block> {
        self.blocks.get(index as usize).copied()
    }

    fn row(&self, index: u32) -> Option<Row> {
        self.rows.get(index as usize).copied()
    }
}

/// All frames, in as many blocks as it takes.
fn unwind<A: Architecture>(
    tables: &Tables,
    memory: &Words,
    registers: Registers,
) -> (Vec<NativeFrame>, Vec<bool>, NativeStatus) {
    let mut scratch = NativeScratch::default();
    scratch.start(
        registers,
        SPACE,
        0,
        u32::try_from(tables.mappings.len()).expect("few"),
    );
    let (mut frames, mut interrupted) = (Vec::new(), Vec::new());
    let mut block = [NativeFrame::default(); NATIVE_FRAMES_PER_BLOCK];
    for _ in 0..8 {
        let count = walk_native::<A, _, _>(memory, tables, &mut scratch, &mut block);
        frames.extend_from_slice(&block[..count]);
        interrupted.extend((0..count).map(|bit| scratch.interrupted >> bit & 1 == 1));
        if scratch.done != 0 {
            break;
        }
    }
    let status = NativeStatus::from_code(u16::try_from(scratch.status).expect("a code")).expect("a status");
    (frames, interrupted, status)
}

fn row(start: u16, cfa: u8, cfa_offset: i32, fp: u8, fp_offset: i16) -> Row {
    Row::new(start, cfa, cfa_offset, fp, fp_offset, ra_rule::BELOW_CFA)
}

/// `leaf` at 0x100, `middle` at 0x200 (saves the frame pointer beside the return address), `outer` at 0x300 (by its frame
/// pointer), the start at 0x400, a handler's return at 0x500, a linkage table at 0x600, nothing from 0x700 on.
fn x86() -> Tables {
    Tables::new(vec![
        row(0, cfa_rule::NONE, 0, fp_rule::SAME, 0),
        row(0x100, cfa_rule::SP, 1, fp_rule::SAME, 0),
        row(0x200, cfa_rule::SP, 4, fp_rule::AT_CFA, -2),
        row(0x300, cfa_rule::FP, 2, fp_rule::AT_CFA, -2),
        row(0x400, cfa_rule::END, 0, fp_rule::SAME, 0),
        row(0x500, cfa_rule::SIGNAL, 0, fp_rule::SAME, 0),
        row(0x600, cfa_rule::PLT, 11, fp_rule::SAME, 0),
        row(0x700, cfa_rule::NONE, 0, fp_rule::SAME, 0),
    ])
}

/// From `leaf`, whose stack pointer is 0x1000, to the start.
fn x86_stack() -> Words {
    let mut memory = Words::default();
    // leaf: the return address alone.
    memory.put(0xff8, &[0xdead, BASE + 0x210]);
    // middle: 0x1008 + 32 = 0x1028; frame pointer at 0x1018, return address at 0x1020.
    memory.put(0x1018, &[0x1050, BASE + 0x310]);
    // outer: frame pointer 0x1050, frame address 0x1060.
    memory.put(0x1050, &[0, BASE + 0x410]);
    memory
}

const LEAF: Registers = Registers {
    pc: BASE + 0x105,
    sp: 0x1000,
    fp: 0xbad,
    lr: 0,
};

fn pcs(frames: &[NativeFrame]) -> Vec<u64> {
    frames.iter().map(|frame| frame.pc.wrapping_sub(BASE)).collect()
}

#[test]
fn a_stack_is_walked_to_its_start_and_each_frame_has_its_memory() {
    let (frames, interrupted, status) = unwind::<X86_64>(&x86(), &x86_stack(), LEAF);
    assert_eq!(status, NativeStatus::Complete);
    assert_eq!(pcs(&frames), [0x105, 0x210, 0x310, 0x410]);
    let stack_pointers: Vec<u64> = frames.iter().map(|frame| frame.sp).collect();
    assert_eq!(stack_pointers, [0x1000, 0x1008, 0x1028, 0x1060]);
    assert_eq!(interrupted, [true, false, false, false]);
}

#[test]
fn a_return_address_behind_the_end_of_its_function_belongs_to_it() {
    // A call as the last instruction of `leaf`'s neighbour: the next function has another rule.
    let mut memory = x86_stack();
    memory.put(0xff8, &[0, BASE + 0x300]);
    let (frames, ..) = unwind::<X86_64>(&x86(), &memory, LEAF);
    assert_eq!(pcs(&frames), [0x105, 0x300, 0x310, 0x410]);
}

#[test]
fn a_linkage_table_pushes_a_word_halfway() {
    for (pc, sp) in [(BASE + 0x602, 0x1000), (BASE + 0x60b, 0xff8)] {
        let mut memory = x86_stack();
        memory.put(0xff0, &[3, 4]);
        memory.put(0x1000, &[BASE + 0x210]);
        memory.put(0xff8, &[3]);
        let registers = Registers { pc, sp, ..LEAF };
        let (frames, _, status) = unwind::<X86_64>(&x86(), &memory, registers);
        assert_eq!(pcs(&frames)[1..], [0x210, 0x310, 0x410], "{pc:x}");
        assert_eq!(status, NativeStatus::Complete);
    }
}

#[test]
fn a_signal_handler_leads_to_what_it_interrupted() {
    // The handler returns to 0x500 with the `ucontext_t` at its stack pointer, here on a stack of its own.
    let mut memory = x86_stack();
    memory.put(0x9_0000, &[0; 23]);
    memory.put(0x9_0000 + 120, &[LEAF.fp, 0, 0, 0, 0, LEAF.sp, LEAF.pc]);
    memory.put(0x8_fff0, &[0, BASE + 0x500]);
    let handler = Registers {
        pc: BASE + 0x102,
        sp: 0x8_fff8,
        ..LEAF
    };
    let (frames, interrupted, status) = unwind::<X86_64>(&x86(), &memory, handler);
    // 0x4ff would be the start's, whose rule is the end: signal frames say where they are exactly.
    assert_eq!(status, NativeStatus::Complete);
    assert_eq!(pcs(&frames), [0x102, 0x500]);
    let mut tables = x86();
    tables.rows[5] = tables.rows[5].with_start(0x4ff);
    let (frames, interrupted_too, status) = unwind::<X86_64>(&tables, &memory, handler);
    assert_eq!(status, NativeStatus::Complete);
    assert_eq!(pcs(&frames), [0x102, 0x500, 0x105, 0x210, 0x310, 0x410]);
    assert_eq!(interrupted_too, [true, false, true, false, false, false]);
    assert_eq!(interrupted.len(), 2);
}

#[test]
fn callers_in_a_block_with_frame_pointers_need_no_row() {
    let mut tables = x86();
    tables.blocks[0].flags |= BLOCK_FRAME_POINTERS;
    let mut memory = x86_stack();
    // All callers by frame pointer: leaf's is middle's.
    memory.put(0x1018, &[0x1050, BASE + 0x310]);
    let registers = Registers { fp: 0x1018, ..LEAF };
    let (frames, _, status) = unwind::<X86_64>(&tables, &memory, registers);
    assert_eq!(pcs(&frames), [0x105, 0x210, 0x310, 0x410]);
    // The outermost frame pointer leads to nothing: such a block holds no start of a thread.
    assert_eq!(status, NativeStatus::NoProgress);
}

#[test]
fn what_is_missing_is_said_and_what_was_found_is_kept() {
    let status = |tables: &Tables, memory: &Words, registers| {
        let (frames, _, status) = unwind::<X86_64>(tables, memory, registers);
        (frames.len(), status)
    };
    let (tables, memory) = (x86(), x86_stack());
    let at = |pc| Registers { pc, ..LEAF };
    assert_eq!(
        status(&tables, &memory, at(0x1234_5678)),
        (1, NativeStatus::NoMapping)
    );
    assert_eq!(status(&tables, &memory, at(0x5800)), (1, NativeStatus::Opaque));
    assert_eq!(
        status(&tables, &memory, at(BASE + 0x700)),
        (1, NativeStatus::NoRule)
    );
    assert_eq!(
        status(&tables, &memory, at(BASE + 0x1_0000)),
        (1, NativeStatus::NoTable)
    );
    let mut hopeless = x86();
    hopeless.blocks[1].flags = BLOCK_HOPELESS;
    assert_eq!(
        status(&hopeless, &memory, at(BASE + 0x1_0000)),
        (1, NativeStatus::Opaque)
    );
    // A mapping that was given to another process meanwhile.
    let mut reused = x86();
    reused.mappings[2].space = SPACE + 1;
    assert_eq!(status(&reused, &memory, LEAF), (1, NativeStatus::NoMapping));
    // The stack of `outer` is not readable, and then one that leads back.
    let mut memory = x86_stack();
    memory.0.remove(&0x1058);
    assert_eq!(status(&tables, &memory, LEAF), (3, NativeStatus::StackFault));
    let mut memory = x86_stack();
    memory.put(0x1018, &[0x100]);
    assert_eq!(status(&tables, &memory, LEAF), (3, NativeStatus::NoProgress));
}

#[test]
fn a_deep_stack_takes_several_blocks() {
    const DEPTH: u64 = 200;
    let mut memory = Words::default();
    for depth in 0..DEPTH {
        memory.put(0x1000 + depth * 8, &[BASE + 0x110]);
    }
    memory.put(0xff8, &[0]);
    memory.put(0x1000 + DEPTH * 8, &[BASE + 0x410]);
    let (frames, _, status) = unwind::<X86_64>(&x86(), &memory, LEAF);
    assert_eq!(status, NativeStatus::Complete);
    assert_eq!(frames.len() as u64, DEPTH + 2);
}

#[test]
fn trampolines_have_one_rule_and_jitted_code_keeps_frame_pointers() {
    let mut tables = x86();
    tables.mappings[1].kind = mapping_kind::ONE_RULE;
    tables.mappings[1].bias = row(0, cfa_rule::SP, 2, fp_rule::SAME, 0).0;
    tables.mappings[0].kind = mapping_kind::FRAME_POINTER;
    let mut memory = x86_stack();
    memory.put(0x0ff0, &[0x1_1111, 0x5010, 0x2_2222, BASE + 0x310]);
    let leaf = Registers {
        pc: BASE + 0x101,
        sp: 0xff8,
        fp: 0x1050,
        lr: 0,
    };
    let (frames, _, status) = unwind::<X86_64>(&tables, &memory, leaf);
    assert_eq!(status, NativeStatus::Complete);
    let found: Vec<u64> = frames.iter().map(|frame| frame.pc).collect();
    assert_eq!(found, [BASE + 0x101, 0x5010, BASE + 0x310, BASE + 0x410]);

    let jitted = Registers {
        pc: 0x1010,
        fp: 0x1050,
        ..leaf
    };
    let (frames, ..) = unwind::<X86_64>(&tables, &memory, jitted);
    assert_eq!(pcs(&frames)[1..], [0x410]);
}

fn aarch64_row(start: u16, cfa_offset: i32, fp: u8, fp_offset: i16, ra: u8) -> Row {
    Row::new(start, cfa_rule::SP, cfa_offset, fp, fp_offset, ra)
}

/// `leaf` at 0x100 (touches nothing), `middle` at 0x200 (a frame record at its stack pointer, 32 bytes), `outer` at 0x300 (48
/// bytes, the record 16 above the stack pointer), the start at 0x400, a handler's return at 0x4ff.
fn aarch64() -> Tables {
    Tables::new(vec![
        row(0, cfa_rule::NONE, 0, fp_rule::SAME, 0),
        aarch64_row(0x100, 0, fp_rule::SAME, 0, ra_rule::LINK_REGISTER),
        aarch64_row(0x200, 4, fp_rule::AT_CFA, -4, ra_rule::ABOVE_FP),
        aarch64_row(0x300, 6, fp_rule::AT_CFA, -4, ra_rule::ABOVE_FP),
        row(0x400, cfa_rule::END, 0, fp_rule::SAME, 0),
        row(0x4ff, cfa_rule::SIGNAL, 16, fp_rule::SAME, 0),
    ])
}

/// A return address as pointer authentication signs it.
fn signed(offset: u64) -> u64 {
    (BASE + offset) | (0x00a5 << 48)
}

fn aarch64_stack() -> Words {
    let mut memory = Words::default();
    memory.put(0x1000, &[0x1030, signed(0x310), 1, 2]);
    memory.put(0x1030, &[0x2000, signed(0x410)]);
    memory
}

const AARCH64_LEAF: Registers = Registers {
    pc: BASE + 0x104,
    sp: 0x1000,
    fp: 0x1000,
    lr: BASE + 0x210,
};

#[test]
fn a_stack_of_aarch64_begins_with_the_link_register() {
    let registers = Registers {
        lr: signed(0x210),
        ..AARCH64_LEAF
    };
    let (frames, _, status) = unwind::<Aarch64>(&aarch64(), &aarch64_stack(), registers);
    assert_eq!(status, NativeStatus::Complete);
    assert_eq!(pcs(&frames), [0x104, 0x210, 0x310, 0x410]);
    let stack_pointers: Vec<u64> = frames.iter().map(|frame| frame.sp).collect();
    assert_eq!(stack_pointers, [0x1000, 0x1000, 0x1020, 0x1050]);
}

#[test]
fn a_caller_whose_link_register_is_gone_has_no_rule() {
    let registers = Registers {
        lr: BASE + 0x108,
        ..AARCH64_LEAF
    };
    let mut tables = aarch64();
    tables.rows[1] = aarch64_row(0x100, 2, fp_rule::SAME, 0, ra_rule::LINK_REGISTER);
    let (frames, _, status) = unwind::<Aarch64>(&tables, &aarch64_stack(), registers);
    assert_eq!((frames.len(), status), (2, NativeStatus::NoRule));
}

#[test]
fn a_signal_of_aarch64_leads_to_what_it_interrupted_even_to_its_link_register() {
    let mut memory = aarch64_stack();
    let context = 0x9_0000 + 128;
    memory.put(0x8_ffe0, &[0, BASE + 0x500, 0, 0]);
    memory.put(
        context + 416,
        &[AARCH64_LEAF.fp, AARCH64_LEAF.lr, AARCH64_LEAF.sp, AARCH64_LEAF.pc],
    );
    let handler = Registers {
        pc: BASE + 0x204,
        sp: 0x8_ffe0,
        fp: 0x8_ffe0,
        lr: 0,
    };
    let (frames, interrupted, status) = unwind::<Aarch64>(&aarch64(), &memory, handler);
    assert_eq!(status, NativeStatus::Complete);
    assert_eq!(pcs(&frames), [0x204, 0x500, 0x104, 0x210, 0x310, 0x410]);
    assert_eq!(interrupted, [true, false, true, false, false, false]);
}

#[test]
fn frame_records_lead_on_where_there_are_no_tables() {
    let mut tables = aarch64();
    tables.mappings[2].kind = mapping_kind::FRAME_POINTER;
    let (frames, _, status) = unwind::<Aarch64>(&tables, &aarch64_stack(), AARCH64_LEAF);
    assert_eq!(pcs(&frames), [0x104, 0x310, 0x410]);
    assert_eq!(status, NativeStatus::StackFault);
}
