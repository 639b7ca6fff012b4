//! Compiled rows against `gimli`'s own evaluation of every row of whole files.

use std::fs::File;
use std::path::PathBuf;

use gimli::{
    BaseAddresses, CfaRule, EhFrame, EndianSlice, Evaluation, EvaluationResult, LittleEndian, Location,
    Register, RegisterRule, UnwindContext, UnwindExpression, UnwindSection as _, UnwindTableRow, Value,
};
use object::LittleEndian as LittleEndianObject;
use object::read::elf::ElfFile64;
use object::{Object as _, ObjectSection as _};
use profiler_common::contract::unwind::{BLOCK_SHIFT, Row, cfa_rule, fp_rule, ra_rule};

use crate::language::python::test_support::installed;
use crate::native::unwind::{FileTables, Processor};

type Slice<'a> = EndianSlice<'a, LittleEndian>;

const SP: u64 = 0x7ffd_1234_5670;
const FP: u64 = 0x7ffd_1234_7890;

/// Memory where every word is different.
fn word(address: u64) -> u64 {
    address.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17)
}

/// Where a rule leads: the canonical frame address, and from where frame pointer and return address are restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Frame {
        cfa: u64,
        fp_at: Option<u64>,
        ra_at: Option<u64>,
    },
    /// The saved context is at this address.
    Signal(u64),
    End,
    /// `true`: no row can express it.
    None(bool),
}

/// What a row says.
fn outcome(row: Row, pc: u64) -> Outcome {
    let offset = row.cfa_offset();
    let cfa = match row.cfa() {
        cfa_rule::SP => SP.wrapping_add(offset),
        cfa_rule::FP => FP.wrapping_add(offset),
        cfa_rule::AT_SP => word(SP.wrapping_add(offset)),
        cfa_rule::AT_FP => word(FP.wrapping_add(offset)),
        cfa_rule::PLT => SP + 8 + 8 * u64::from(pc & 15 >= offset / 8),
        cfa_rule::SIGNAL => return Outcome::Signal(SP.wrapping_add(offset)),
        cfa_rule::END => return Outcome::End,
        _ => return Outcome::None(true),
    };
    let fp_at = match row.fp() {
        fp_rule::SAME => None,
        fp_rule::AT_CFA => Some(cfa.wrapping_add(row.fp_offset())),
        _ => Some(FP.wrapping_add(row.fp_offset())),
    };
    let ra_at = match row.ra() {
        ra_rule::BELOW_CFA => Some(cfa - 8),
        ra_rule::LINK_REGISTER => None,
        ra_rule::ABOVE_FP => fp_at.map(|at| at + 8),
        _ => Some(cfa.wrapping_add(row.fp_offset())),
    };
    Outcome::Frame { cfa, fp_at, ra_at }
}

/// An independent evaluation of one row.
struct Truth<'a> {
    machine: Processor,
    section: EhFrame<Slice<'a>>,
    encoding: gimli::Encoding,
    ra: Register,
    is_signal: bool,
}

impl Truth<'_> {
    fn registers(&self) -> (Register, Register) {
        match self.machine {
            Processor::X86_64 => (Register(7), Register(6)),
            Processor::Aarch64 => (Register(31), Register(29)),
        }
    }

    fn evaluate(&self, expression: &UnwindExpression<usize>, pc: u64, first: Option<u64>) -> Option<u64> {
        let expression = expression.get(&self.section).expect("valid");
        let mut evaluation: Evaluation<Slice<'_>> = expression.evaluation(self.encoding);
        if let Some(first) = first {
            evaluation.set_initial_value(first);
        }
        let mut result = evaluation.evaluate().ok()?;
        loop {
            result = match result {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let (sp, fp) = self.registers();
                    let value = match register {
                        register if register == sp => SP,
                        register if register == fp => FP,
                        register if register == self.ra => pc,
                        _ => return None,
                    };
                    evaluation.resume_with_register(Value::Generic(value)).ok()?
                }
                EvaluationResult::RequiresMemory { address, .. } => evaluation
                    .resume_with_memory(Value::Generic(word(address)))
                    .ok()?,
                _ => return None,
            };
        }
        match evaluation.result().first()?.location {
            Location::Address { address } => Some(address),
            _ => None,
        }
    }

    fn outcome(&self, row: &UnwindTableRow<usize>, pc: u64) -> Outcome {
        let (sp, fp) = self.registers();
        if row.register(self.ra) == Some(RegisterRule::Undefined) {
            return Outcome::End;
        }
        let cfa = match row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } if *register == sp => {
                SP.checked_add_signed(*offset)
            }
            CfaRule::RegisterAndOffset { register, offset } if *register == fp => {
                FP.checked_add_signed(*offset)
            }
            CfaRule::RegisterAndOffset { .. } => None,
            CfaRule::Expression(expression) => self.evaluate(expression, pc, None),
        };
        let Some(cfa) = cfa else {
            return Outcome::None(true);
        };
        let place = |rule: Option<RegisterRule<usize>>| match rule {
            None | Some(RegisterRule::SameValue | RegisterRule::Undefined) => Some(None),
            Some(RegisterRule::Offset(offset)) => Some(cfa.checked_add_signed(offset)),
            Some(RegisterRule::Expression(expression)) => self.evaluate(&expression, pc, Some(cfa)).map(Some),
            Some(_) => None,
        };
        let (Some(fp_at), Some(ra_at)) = (place(row.register(fp)), place(row.register(self.ra))) else {
            return Outcome::None(true);
        };
        if self.is_signal {
            // `uc_mcontext.gregs[REG_RIP]` of x86-64.
            return ra_at.map_or(Outcome::None(true), |at| Outcome::Signal(at - 168));
        }
        let can_be_expressed = match self.machine {
            Processor::X86_64 => ra_at == Some(cfa - 8),
            Processor::Aarch64 => ra_at.is_none() || fp_at.is_none() || ra_at == fp_at.map(|at| at + 8),
        };
        if can_be_expressed {
            Outcome::Frame { cfa, fp_at, ra_at }
        } else {
            Outcome::None(true)
        }
    }
}

/// Bytes of text by what became of them.
#[derive(Debug, Default)]
struct Tally {
    described: u64,
    without_rule: u64,
    rows: usize,
}

/// Compares a file row by row. Slow for large ones, so `every` nth entry can be looked at.
pub(super) fn compare(bytes: &[u8], tables: &mut FileTables, every: usize) -> (u64, u64, usize) {
    let elf = ElfFile64::<LittleEndianObject>::parse(bytes).expect("valid");
    let section = elf.section_by_name(".eh_frame").expect("it has one");
    let bases = BaseAddresses::default().set_eh_frame(section.address());
    let data = section.data().expect("it is in the file");
    let mut eh_frame = EhFrame::new(data, LittleEndian);
    if tables.processor() == Processor::Aarch64 {
        eh_frame.set_vendor(gimli::Vendor::AArch64);
    }
    let mut blocks = std::collections::HashMap::new();
    let mut row_at = |address: u64| {
        let block = (address >> BLOCK_SHIFT) as u32 - tables.text().text_block();
        let rows: &Vec<Row> = blocks
            .entry(block)
            .or_insert_with(|| tables.block(block).expect("readable").rows);
        let behind = rows.partition_point(|row| u64::from(row.start()) <= address & 0xffff);
        rows[behind - 1].with_start(0)
    };
    let machine = if elf.elf_header().e_machine.get(LittleEndianObject) == object::elf::EM_X86_64 {
        Processor::X86_64
    } else {
        Processor::Aarch64
    };
    let mut tally = Tally::default();
    let mut context = UnwindContext::new();
    let mut entries = eh_frame.entries(&bases);
    let mut number = 0;
    while let Some(entry) = entries.next().expect("valid") {
        let gimli::CieOrFde::Fde(partial) = entry else {
            continue;
        };
        number += 1;
        if number % every != 0 {
            continue;
        }
        let entry = partial.parse(EhFrame::cie_from_offset).expect("valid");
        let truth = Truth {
            machine,
            section: eh_frame,
            encoding: entry.cie().encoding(),
            ra: entry.cie().return_address_register(),
            is_signal: entry.is_signal_trampoline(),
        };
        let mut table = entry.rows(&eh_frame, &bases, &mut context).expect("valid");
        while let Some(row) = table.next_row().expect("valid") {
            let (start, end) = (row.start_address(), row.end_address().min(entry.end_address()));
            if start >= end {
                continue;
            }
            tally.rows += 1;
            tally.described += end - start;
            for pc in [start, start + (end - start) / 2, end - 1] {
                let (is, should) = (outcome(row_at(pc), pc), truth.outcome(row, pc));
                assert_eq!(is, should, "at {pc:#x}: {row:?}");
                if pc == start && is == Outcome::None(true) {
                    tally.without_rule += end - start;
                }
            }
        }
    }
    (tally.described, tally.without_rule, tally.rows)
}

pub(super) fn libraries() -> Vec<PathBuf> {
    let mut found = vec![std::env::current_exe().expect("known")];
    let maps = std::fs::read_to_string("/proc/self/maps").expect("this process exists");
    let mapped = maps
        .lines()
        .filter(|line| line.contains(" r-xp ") && line.contains(".so"))
        .filter_map(|line| Some(PathBuf::from(&line[line.find('/')?..])));
    found.extend(mapped);
    let interpreters = installed().into_iter().map(|python| python.file);
    found.extend(interpreters.filter(|file| {
        let name = file.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(b"libpython")
    }));
    found
}

#[test]
fn every_row_of_every_library_here_is_what_its_call_frame_information_says() {
    let libraries = libraries();
    assert!(libraries.len() >= 3, "{libraries:?}");
    for path in libraries {
        let bytes = std::fs::read(&path).expect("readable");
        let file = File::open(&path).expect("readable");
        let mut tables = FileTables::open(file).expect("supported");
        let every = 1 + bytes.len() / (8 << 20);
        let (described, without_rule, rows) = compare(&bytes, &mut tables, every);
        println!(
            "{}: {rows} rows, {without_rule} of {described} bytes without a rule",
            path.display()
        );
        assert!(rows > 100, "{}", path.display());
        // Lazy binding (`_dl_runtime_resolve`) keeps its frame in `rbx`: 2 % of the dynamic loader.
        assert!(without_rule * 40 < described, "{}", path.display());
    }
}

#[test]
fn call_frame_information_is_found_with_and_without_its_header_and_in_debug_sections() {
    let directory = tempfile::tempdir().expect("temporary files");
    let source = directory.path().join("library.c");
    let function = |number: usize| {
        format!(
            "__attribute__((noinline)) int f{number}(int *x) {{ int y[{0}]; g(y); return g(y) + *x + {number}; }}\n",
            number % 50 + 1
        )
    };
    let text: String =
        std::iter::once("static __attribute__((noinline, noipa)) int g(int *x) { return *x; }\n".into())
            .chain((0..1200).map(function))
            .collect();
    std::fs::write(&source, text).expect("writable");
    let rows = |name: &str, options: &[&str]| {
        let path = directory.path().join(name);
        let status = std::process::Command::new("cc")
            .args(["-O2", "-shared", "-fPIC", "-nostdlib", "-Wl,-z,separate-code"])
            .args(options)
            .arg("-o")
            .args([&path, &source])
            .status()
            .expect("there is a C compiler");
        assert!(status.success());
        let bytes = std::fs::read(&path).expect("readable");
        let mut tables = FileTables::open(bytes).expect("supported");
        let count = tables.text().block_count();
        assert!(count >= 2, "more than one block");
        let blocks = (0..count).map(|block| tables.block(block).expect("readable"));
        blocks.collect::<Vec<_>>()
    };
    let usual = rows("usual.so", &[]);
    assert!(usual.iter().all(|block| block.rows.len() > 200));
    assert_eq!(rows("no-header.so", &["-Wl,--no-eh-frame-hdr"]), usual);
    let debug = ["-g", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables"];
    assert_eq!(rows("debug.so", &debug), usual);
}

/// `PYEBPF_TABLES=FILE:FILE... cargo test --release -- --ignored --nocapture measures`: any other files, also of the
/// other processor, and what their tables cost.
#[test]
#[ignore = "compares and measures the files that PYEBPF_TABLES names"]
fn measures_and_compares_files_by_name() {
    let files = std::env::var("PYEBPF_TABLES").expect("names files, separated by colons");
    for path in files.split(':') {
        let bytes = std::fs::read(path).expect("readable");
        let begun = std::time::Instant::now();
        let file = File::open(path).expect("readable");
        let mut tables = FileTables::open(file).expect("supported");
        let opened = begun.elapsed();
        let (mut rows, mut cut, mut frame_pointers) = (0, 0, 0);
        let mut slowest = std::time::Duration::ZERO;
        let (mut words, mut none) = (0, 0);
        let count = tables.text().block_count();
        for block in 0..count {
            let begun = std::time::Instant::now();
            let compiled = tables.block(block).expect("readable");
            slowest = slowest.max(begun.elapsed());
            rows += compiled.rows.len();
            words += compiled.rows.len().next_multiple_of(64);
            none += compiled
                .rows
                .iter()
                .filter(|row| row.cfa() == cfa_rule::NONE)
                .count();
            cut += usize::from(compiled.is_cut);
            frame_pointers += usize::from(compiled.frame_pointers);
        }
        let took = begun.elapsed();
        let text = tables.text().text_bytes() as f64 / f64::from(1 << 20);
        println!(
            "{path}: {} MB, text {text:.1} MiB, {count} blocks, {rows} rows ({none} without a rule, {cut} blocks cut), {:.2} bytes per row in pages, \
             {} KiB, {:.1} KiB per MiB of text, open {:.2} ms, all {:.1} ms, {:.2} ms per MiB of text, slowest block {:.2} ms, \
             {frame_pointers} blocks with frame pointers",
            bytes.len() / 1_000_000,
            words as f64 * 8.0 / rows as f64,
            words * 8 / 1024,
            words as f64 * 8.0 / 1024.0 / text,
            opened.as_secs_f64() * 1e3,
            took.as_secs_f64() * 1e3,
            took.as_secs_f64() * 1e3 / text,
            slowest.as_secs_f64() * 1e3,
        );
        let (described, without_rule, rows) = compare(&bytes, &mut tables, 1 + bytes.len() / (8 << 20));
        println!("  compared {rows} rows, {without_rule} of {described} bytes without a rule");
    }
}
