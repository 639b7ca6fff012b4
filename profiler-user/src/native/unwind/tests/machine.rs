//! Rows of single functions, written by hand for both processors: what no library here contains.

use profiler_common::contract::unwind::{BLOCK_BYTES, Row, cfa_rule, fp_rule, ra_rule};

use crate::native::unwind::{CompiledBlock, FileTables, Processor};

/// Static address of the text.
const TEXT: u64 = 0x10_0000;

/// A file with one function of `text_bytes` zeros at [`TEXT`] that has these instructions.
fn compile(
    processor: Processor,
    augmentation: &[u8],
    initial: &[u8],
    instructions: &[u8],
    text: &[u8],
) -> CompiledBlock {
    tables(processor, augmentation, initial, instructions, text)
        .block(0)
        .expect("it is all there")
}

fn tables(
    processor: Processor,
    augmentation: &[u8],
    initial: &[u8],
    instructions: &[u8],
    text: &[u8],
) -> FileTables {
    let bytes = elf(processor, augmentation, initial, instructions, text);
    FileTables::open(bytes).expect("valid")
}

fn record(id: u32, body: &[u8]) -> Vec<u8> {
    let mut record = id.to_le_bytes().to_vec();
    record.extend_from_slice(body);
    record.resize(record.len().next_multiple_of(4), 0);
    let mut whole = u32::try_from(record.len()).expect("small").to_le_bytes().to_vec();
    whole.extend(record);
    whole
}

/// ELF header, two program headers, text, `.eh_frame_hdr`, `.eh_frame`; addresses are 0x10_0000 above offsets.
pub(super) fn elf(
    processor: Processor,
    augmentation: &[u8],
    initial: &[u8],
    instructions: &[u8],
    text: &[u8],
) -> Vec<u8> {
    const TEXT_AT: usize = 0x1000;
    let (number, return_column) = match processor {
        Processor::X86_64 => (62u16, 16u8),
        Processor::Aarch64 => (183, 30),
    };
    let mut body = vec![1];
    body.extend_from_slice(augmentation);
    // No terminator of the string yet, code alignment 1 or 4, data alignment -8; `DW_EH_PE_absptr`.
    body.extend([
        0,
        if processor == Processor::X86_64 { 1 } else { 4 },
        0x78,
        return_column,
        1,
        0,
    ]);
    body.extend_from_slice(initial);
    let common = record(0, &body);
    let header_at = TEXT_AT + text.len().next_multiple_of(16);
    let frames_at = header_at + 20;
    let entry_at = frames_at + common.len();
    let mut body = (TEXT + TEXT_AT as u64).to_le_bytes().to_vec();
    body.extend((text.len() as u64).to_le_bytes());
    body.push(0);
    body.extend_from_slice(instructions);
    let entry = record(u32::try_from(common.len()).expect("small") + 4, &body);
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend(3u16.to_le_bytes());
    file.extend(number.to_le_bytes());
    file.extend(1u32.to_le_bytes());
    for word in [0u64, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 2, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    let length = (entry_at + entry.len()) as u64;
    for (kind, flags, at, bytes) in [(1u32, 5u32, 0u64, length), (0x6474_e550, 4, header_at as u64, 20)] {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        for word in [at, TEXT + at, TEXT + at, bytes, bytes, 0x1000] {
            file.extend(word.to_le_bytes());
        }
    }
    file.resize(TEXT_AT, 0);
    file.extend_from_slice(text);
    file.resize(header_at, 0);
    file.extend([1, 0x1b, 3, 0x3b]);
    let distance =
        |from: usize, to: usize| i32::try_from(to).expect("small") - i32::try_from(from).expect("small");
    file.extend(distance(header_at + 4, frames_at).to_le_bytes());
    file.extend(1u32.to_le_bytes());
    file.extend(distance(header_at, TEXT_AT).to_le_bytes());
    file.extend(distance(header_at, entry_at).to_le_bytes());
    file.extend(common);
    file.extend(entry);
    file
}

/// The rows of the function's text, offsets relative to its start. (What is around it is undescribed code.)
fn function(block: &CompiledBlock) -> Vec<(u16, Row)> {
    let mut rows: Vec<(u16, Row)> = Vec::new();
    for offset in 0..u16::try_from(CODE.len()).expect("small") {
        let behind = block.rows.partition_point(|row| row.start() <= offset + 0x1000);
        let row = block.rows[behind - 1].with_start(0);
        if rows.last().is_none_or(|(_, last)| *last != row) {
            rows.push((offset, row));
        }
    }
    rows
}

/// `DW_CFA_def_cfa sp, 8; DW_CFA_offset ra, -8`
const INITIAL_X86_64: &[u8] = &[0x0c, 7, 8, 0x90, 1];
/// `DW_CFA_def_cfa sp, 0`
const INITIAL_AARCH64: &[u8] = &[0x0c, 31, 0];
const CODE: [u8; 64] = [0; 64];

fn sp(words: i32) -> Row {
    Row::new(0, cfa_rule::SP, words, fp_rule::SAME, 0, ra_rule::BELOW_CFA)
}

#[test]
fn rows_follow_remembered_and_restored_states() {
    let instructions = [
        0x41, 0x0e, 16, 0x86, 2, // +1: push rbp
        0x43, 0x0d, 6, // +4: mov rbp, rsp
        0x4a, 0x0a, 0x0c, 7, 8, 0xc6, // +14: remember; the way out
        0x41, 0x0b, // +15: as before
        0x45, 0x2e, 16, // +20: the size of arguments changes nothing
    ];
    let block = compile(Processor::X86_64, b"zR", INITIAL_X86_64, &instructions, &CODE);
    let pushed = Row::new(0, cfa_rule::SP, 2, fp_rule::AT_CFA, -2, ra_rule::BELOW_CFA);
    assert_eq!(
        function(&block),
        [
            (0, sp(1)),
            (1, pushed),
            (4, Row::FRAME_POINTER),
            (14, sp(1)),
            (15, Row::FRAME_POINTER),
        ]
    );
}

#[test]
fn what_no_row_can_express_has_no_rule() {
    let none = cfa_rule::NONE;
    for (what, instructions) in [
        ("another register", &[0x0d, 10][..]),
        ("an odd offset", &[0x0e, 12]),
        ("a huge offset", &[0x0e, 0x80, 0x80, 0x80, 0x80, 0x01]),
        ("an unknown expression", &[0x0f, 2, 0x77, 0x96]),
        ("the frame pointer in a register", &[0x09, 6, 3]),
        ("the return address in a register", &[0x09, 16, 2]),
        ("the return address elsewhere", &[0x90, 2]),
        ("malformed instructions", &[0x3f]),
    ] {
        let block = compile(Processor::X86_64, b"zR", INITIAL_X86_64, instructions, &CODE);
        let rows = function(&block);
        assert!(rows.iter().all(|(_, row)| row.cfa() == none), "{what}: {rows:?}");
    }
}

#[test]
fn known_expressions_become_rules() {
    // The procedure linkage table: breg7 8; breg16 0; lit15; and; lit11; ge; lit3; shl; plus.
    let plt = [
        0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22,
    ];
    let block = compile(Processor::X86_64, b"zR", INITIAL_X86_64, &plt, &CODE);
    let (_, row) = function(&block)[0];
    assert_eq!((row.cfa(), row.cfa_offset()), (cfa_rule::PLT, 88));
    // A function that re-aligns its stack: breg6 -8; deref, and rbp at breg6 0.
    let realigned = [0x0f, 3, 0x76, 0x78, 0x06, 0x10, 6, 2, 0x76, 0];
    let block = compile(Processor::X86_64, b"zR", INITIAL_X86_64, &realigned, &CODE);
    let expected = Row::new(0, cfa_rule::AT_FP, -1, fp_rule::AT_FP, 0, ra_rule::BELOW_CFA);
    assert_eq!(function(&block)[0].1, expected);
    // The same in an entry of a signal frame: the context's `rsp` is 160 bytes into it.
    let signal = [0x0f, 4, 0x77, 0xa0, 0x01, 0x06];
    let block = compile(Processor::X86_64, b"zRS", INITIAL_X86_64, &signal, &CODE);
    let (_, row) = function(&block)[0];
    assert_eq!((row.cfa(), row.cfa_offset()), (cfa_rule::SIGNAL, 0));
}

#[test]
fn an_undefined_return_address_is_the_end() {
    let block = compile(Processor::X86_64, b"zR", INITIAL_X86_64, &[0x07, 16], &CODE);
    assert_eq!(function(&block)[0].1.cfa(), cfa_rule::END);
    let block = compile(Processor::Aarch64, b"zR", INITIAL_AARCH64, &[0x07, 30], &CODE);
    assert_eq!(function(&block)[0].1.cfa(), cfa_rule::END);
}

#[test]
fn functions_of_aarch64_keep_their_return_address_in_three_places() {
    let instructions = [
        0x41, 0x2d, // +4: paciasp
        0x41, 0x0e, 48, 0x9d, 6, 0x9e, 5, // +8: stp x29, x30, [sp, -48]!
        0x41, 0x0d, 29, // +12: mov x29, sp
        0x44, 0xdd, 0xde, 0x0c, 31, 0, // +28: ldp x29, x30, [sp], 48
        0x41, 0x2d, // +32: autiasp
        0x41, 0x0e, 16, 0x9e, 2, // +36: str x30, [sp, -16]!
    ];
    let block = compile(Processor::Aarch64, b"zR", INITIAL_AARCH64, &instructions, &CODE);
    let leaf = Row::new(0, cfa_rule::SP, 0, fp_rule::SAME, 0, ra_rule::LINK_REGISTER);
    assert_eq!(
        function(&block)[..5],
        [
            (0, leaf),
            (
                8,
                Row::new(0, cfa_rule::SP, 6, fp_rule::AT_CFA, -6, ra_rule::ABOVE_FP)
            ),
            (
                12,
                Row::new(0, cfa_rule::FP, 6, fp_rule::AT_CFA, -6, ra_rule::ABOVE_FP)
            ),
            (28, leaf),
            (
                36,
                Row::new(0, cfa_rule::SP, 2, fp_rule::SAME, -2, ra_rule::AT_CFA)
            ),
        ]
    );
}

#[test]
fn where_signal_handlers_return_to_is_known_without_information() {
    // musl's: nop; mov $15, %rax; syscall. It follows the function, whose entry ends before it.
    let mut bytes = elf(Processor::X86_64, b"zR", INITIAL_X86_64, &[], &CODE);
    let code = [0x90, 0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05];
    bytes[0x200..0x20a].copy_from_slice(&code);
    let mut tables = FileTables::open(bytes).expect("valid");
    let block = tables.block(0).expect("it is all there");
    let signal: Vec<_> = block
        .rows
        .iter()
        .filter(|row| row.cfa() == cfa_rule::SIGNAL)
        .map(|row| (row.start(), row.cfa_offset()))
        .collect();
    // A caller is looked up one byte before its return address.
    assert_eq!(signal, [(0x200, 0)]);
    assert_eq!(block.rows[2].start(), 0x20a);

    let mut bytes = elf(Processor::Aarch64, b"zR", INITIAL_AARCH64, &[], &CODE);
    bytes[0x200..0x208].copy_from_slice(&[0x68, 0x11, 0x80, 0xd2, 0x01, 0, 0, 0xd4]);
    let mut tables = FileTables::open(bytes).expect("valid");
    let block = tables.block(0).expect("it is all there");
    let signal = block.rows.iter().find(|row| row.cfa() == cfa_rule::SIGNAL);
    assert_eq!(
        signal.map(|row| (row.start(), row.cfa_offset())),
        Some((0x1ff, 128))
    );
}

#[test]
fn every_damaged_file_is_compiled_or_refused() {
    let plt = [
        0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22,
    ];
    let whole = elf(Processor::X86_64, b"zR", INITIAL_X86_64, &plt, &CODE);
    let interesting = (0..0xb0).chain(0x1000..whole.len());
    for at in interesting {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let Ok(mut tables) = FileTables::open(bytes) else {
                continue;
            };
            let blocks = tables.text().block_count();
            assert!(u64::from(blocks) * BLOCK_BYTES <= 1 << 31);
            for block in 0..blocks.min(3) {
                if let Ok(block) = tables.block(block) {
                    assert_eq!(block.rows[0].start(), 0, "byte {at:#x}");
                    assert!(block.rows.is_sorted_by(|one, other| one.start() < other.start()));
                }
            }
        }
    }
}
