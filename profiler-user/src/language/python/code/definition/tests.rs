//! Completion is proven on running interpreters: `objects.py` makes code objects that do not fit into one record.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use profiler_common::contract::layout::{
    CodeLayout, IDENTITY_BUFFER_WORDS, IDENTITY_WORDS, LAYOUT_IDENTITY_LOW_HALF, Layout, TextLayout,
    line_table_format,
};
use profiler_common::contract::records::{CodeDefinition, LINE_TABLE_BYTES, NO_INSTRUCTION};
use profiler_common::memory::{Fault, Memory, RemoteAddr};
use profiler_common::walker::python::identity;

use super::{CodeKey, CompleteError, Definition, MAX_TEXT_BYTES, Part};
use crate::language::python::code::line_table::LineTable;
use crate::language::python::code::pythons::{self, Python};
use crate::language::python::text::Extent;
use crate::wire::decode::{CodeView, encode};

/// The memory of a running process.
struct ProcessMemory(File);

impl Memory for ProcessMemory {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        self.read_words_prefix(addr, out, u32::MAX)
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        let mut data = vec![0; (bytes as usize).min(8 * N)];
        self.0.read_exact_at(&mut data, addr.0).map_err(|_| Fault)?;
        for (word, chunk) in out.iter_mut().zip(data.chunks(8)) {
            let mut padded = word.to_le_bytes();
            padded[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(padded);
        }
        Ok(())
    }

    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        self.0
            .read_exact_at(&mut out[..(len as usize).min(N)], addr.0)
            .map_err(|_| Fault)
    }
}

/// Code and text fields of CPython 3.8 to 3.13 on 64-bit, from their headers (`Include/cpython/code.h`,
/// `unicodeobject.h`, `bytesobject.h`).
fn layout(minor: u8) -> Layout {
    let (first_line, filename, name, qualname, line_table, table_format) = match minor {
        ..=9 => (40, 104, 112, 112, 120, line_table_format::LNOTAB),
        10 => (40, 104, 112, 112, 120, line_table_format::RANGES),
        11 => (72, 112, 120, 128, 136, line_table_format::LOCATIONS),
        _ => (68, 112, 120, 128, 136, line_table_format::LOCATIONS),
    };
    let identity_start = line_table + 8 - 8 * u16::try_from(IDENTITY_WORDS).expect("a dozen");
    let code = CodeLayout {
        identity_start,
        object_type: 8,
        first_line,
        filename,
        name,
        qualname,
        line_table,
        bytecode: 0,
        thread_bytecode: 0,
    };
    let text = TextLayout {
        str_length: 16,
        str_state: 32,
        ascii_data: if minor >= 12 { 40 } else { 48 },
        compact_data: if minor >= 12 { 56 } else { 72 },
        bytes_size: 16,
        bytes_data: 32,
        kind_shift: 2,
        compact_bit: 5,
        ascii_bit: 6,
        pad: 0,
    };
    Layout {
        code,
        text,
        line_table: table_format,
        flags: if minor == 11 { LAYOUT_IDENTITY_LOW_HALF } else { 0 },
        ..Layout::default()
    }
}

/// An interpreter that runs `objects.py`.
struct Target {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    memory: ProcessMemory,
    layout: Layout,
    /// Only [`Racing`] asks.
    replaced: bool,
}

/// What an interpreter says about one of its code objects.
struct Truth {
    key: CodeKey,
    first_line: u32,
    line_table: Vec<u8>,
    name: String,
    filename: String,
}

impl Target {
    fn start(python: &Python) -> Self {
        let mut child = Command::new(&python.program)
            .args(["-I", "-c", include_str!("objects.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the interpreter starts");
        Self {
            input: child.stdin.take().expect("a pipe"),
            output: BufReader::new(child.stdout.take().expect("a pipe")),
            memory: ProcessMemory(File::open(format!("/proc/{}/mem", child.id())).expect("our own child")),
            layout: layout(python.minor),
            replaced: false,
            child,
        }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        line.trim_end().to_owned()
    }

    fn tell(&mut self) {
        self.input.write_all(b"\n").expect("it reads");
    }

    fn objects(&mut self) -> Vec<Truth> {
        std::iter::from_fn(|| {
            let line = self.line();
            let fields: Vec<&str> = line.split(' ').collect();
            let [code, first_line, line_table, name, filename] = fields[..] else {
                return None;
            };
            let code = code.parse().expect("an address");
            let check = identity(
                &self.memory,
                &self.layout,
                code,
                0,
                &mut [0; IDENTITY_BUFFER_WORDS],
            );
            assert_ne!(check, 0, "the code object is readable");
            Some(Truth {
                key: CodeKey { code, check },
                first_line: first_line.parse().expect("a line"),
                line_table: bytes(line_table),
                name: String::from_utf8(bytes(name)).expect("UTF-8"),
                filename: String::from_utf8(bytes(filename)).expect("UTF-8"),
            })
        })
        .collect()
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let hex = hex.trim_start_matches('-');
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn with_view<T>(record: &CodeDefinition, look: impl FnOnce(&CodeView<'_>) -> T) -> T {
    let bytes = encode::code(record);
    let view = encode::code_view(&bytes);
    look(&view)
}

/// A definition of which the kernel half could read nothing but the code object itself.
fn unread(truth: &Truth, layout: &Layout) -> Definition {
    let record = CodeDefinition {
        first_line: truth.first_line,
        ..encode::NO_CODE
    };
    with_view(&record, |view| Definition::new(view, layout.line_table))
}

/// As the kernel half captures it: as much as fits.
fn captured(truth: &Truth, layout: &Layout) -> Definition {
    let mut record = CodeDefinition {
        first_line: truth.first_line,
        ..encode::NO_CODE
    };
    let widest = truth
        .name
        .chars()
        .chain(truth.filename.chars())
        .map(u32::from)
        .max()
        .expect("text");
    let kind = if widest < 256 { 1 } else { 4 };
    let units = |text: &str| -> Vec<u8> {
        text.chars()
            .flat_map(|c| u32::from(c).to_le_bytes().into_iter().take(kind))
            .collect()
    };
    let kind = u8::try_from(kind).expect("small");
    record.name = encode::capture(kind, &units(&truth.name), &mut record.name_data);
    record.filename = encode::capture(kind, &units(&truth.filename), &mut record.filename_data);
    let stored = truth.line_table.len().min(LINE_TABLE_BYTES);
    record.line_table[..stored].copy_from_slice(&truth.line_table[..stored]);
    record.line_table_stored = u16::try_from(stored).expect("fits");
    record.line_table_length = u32::try_from(truth.line_table.len()).expect("short");
    with_view(&record, |view| Definition::new(view, layout.line_table))
}

/// The name as far as it is ever read.
fn readable(name: &str) -> String {
    let width = match name.chars().map(u32::from).max().unwrap_or(0) {
        ..=0xff => 1,
        0x100..=0xffff => 2,
        _ => 4,
    };
    let most = MAX_TEXT_BYTES / width;
    let cut = name.chars().count() > most;
    name.chars().take(most).chain(cut.then_some('…')).collect()
}

fn assert_whole(definition: &Definition, truth: &Truth, layout: &Layout) {
    assert_eq!(definition.name.get(), Some(&*readable(&truth.name)));
    assert_eq!(definition.filename.get(), Some(&*truth.filename));
    assert_eq!(definition.line_table_extent, Extent::Whole);
    let lines = LineTable::decode(layout.line_table, truth.first_line, &truth.line_table);
    assert!(
        definition.line_table == lines,
        "the line table of {} bytes",
        truth.line_table.len()
    );
}

#[test]
fn what_was_not_captured_is_completed_from_each_running_interpreter() {
    for python in pythons::installed(8..=13) {
        let mut target = Target::start(&python);
        let objects = target.objects();
        assert_eq!(objects.len(), 11, "3.{}", python.minor);
        let mut cut = 0;
        for truth in &objects {
            for mut definition in [unread(truth, &target.layout), captured(truth, &target.layout)] {
                cut += definition
                    .incomplete()
                    .filter(|(_, extent)| *extent == Extent::Cut)
                    .count();
                let before = definition.clone();
                definition
                    .complete(truth.key, RemoteAddr::NULL, &target.memory, &target.layout)
                    .expect("it is still there");
                assert_whole(&definition, truth, &target.layout);
                assert!(before.is_part_of(&definition) && before.first_line == definition.first_line);
            }
        }
        assert_eq!(cut, 7, "3.{}: parts that do not fit into a record", python.minor);
    }
}

#[test]
fn another_object_at_the_address_is_noticed() {
    for python in pythons::installed(8..=13) {
        let mut target = Target::start(&python);
        let objects = target.objects();
        let truth = &objects[0];
        target.tell();
        let outcome = target.line();
        let mut definition = unread(truth, &target.layout);
        let before = definition.clone();
        let result = definition.complete(truth.key, RemoteAddr::NULL, &target.memory, &target.layout);
        assert_eq!(outcome, "replaced", "3.{}", python.minor);
        assert_eq!(result, Err(CompleteError::Changed));
        assert_eq!(definition, before, "nothing is changed");
    }
}

/// Lets the interpreter replace the first object as soon as data behind it is read.
struct Racing(RefCell<Target>);

impl Memory for Racing {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        self.0.borrow().memory.read_words(addr, out)
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        self.0.borrow().memory.read_words_prefix(addr, out, bytes)
    }

    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        let mut target = self.0.borrow_mut();
        if !std::mem::replace(&mut target.replaced, true) {
            target.tell();
            assert_eq!(target.line(), "replaced");
        }
        target.memory.read_bytes(addr, out, len)
    }
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_noticed() {
    for python in pythons::installed(8..=13) {
        let mut target = Target::start(&python);
        let objects = target.objects();
        let layout = target.layout;
        let mut definition = unread(&objects[0], &layout);
        let before = definition.clone();
        let result = definition.complete(
            objects[0].key,
            RemoteAddr::NULL,
            &Racing(RefCell::new(target)),
            &layout,
        );
        assert_eq!(result, Err(CompleteError::Changed), "3.{}", python.minor);
        assert_eq!(definition, before, "nothing is changed");
    }
}

#[test]
fn a_process_that_is_gone_leaves_the_definition_as_it_is() {
    for python in pythons::installed([11]) {
        let mut target = Target::start(&python);
        let objects = target.objects();
        target.child.kill().expect("our own child");
        target.child.wait().expect("our own child");
        let mut definition = unread(&objects[0], &target.layout);
        let result = definition.complete(objects[0].key, RemoteAddr::NULL, &target.memory, &target.layout);
        assert_eq!(result, Err(CompleteError::Unreadable));
    }
}

#[test]
fn an_object_that_was_not_readable_when_sampled_is_not_guessed() {
    for python in pythons::installed([11]) {
        let mut target = Target::start(&python);
        let objects = target.objects();
        let key = CodeKey {
            check: 0,
            ..objects[0].key
        };
        let result = unread(&objects[0], &target.layout).complete(
            key,
            RemoteAddr::NULL,
            &target.memory,
            &target.layout,
        );
        assert_eq!(result, Err(CompleteError::Unreadable));
    }
}

#[test]
fn what_is_incomplete_is_listed() {
    let whole = encode::definition("name", "file", 5, &[2, 1, 2, 1]);
    let new =
        |record: &CodeDefinition| with_view(record, |view| Definition::new(view, line_table_format::RANGES));
    assert_eq!(new(&whole).incomplete().count(), 0);

    let cut = encode::definition(&"n".repeat(257), &"f".repeat(513), 5, &[2; LINE_TABLE_BYTES + 2]);
    let parts: Vec<_> = new(&cut).incomplete().collect();
    let all = [Part::Name, Part::Filename, Part::LineTable];
    assert_eq!(parts, all.map(|part| (part, Extent::Cut)));

    let parts: Vec<_> = new(&encode::NO_CODE).incomplete().collect();
    assert_eq!(parts, all.map(|part| (part, Extent::Missing)));
}

#[test]
fn a_line_beyond_the_captured_part_of_the_table_is_not_guessed() {
    let record = encode::definition("name", "file", 5, &[2; LINE_TABLE_BYTES + 2]);
    let definition = with_view(&record, |view| Definition::new(view, line_table_format::LNOTAB));
    assert_eq!(definition.line_table.line(NO_INSTRUCTION), Some(5));
    assert_eq!(definition.line_table.line(4094), Some(5 + 4094));
    assert_eq!(definition.line_table.line(4096), None);
}

/// A target in which everything is 0 but the id of the interpreter at [`INTERPRETER`].
struct OneInterpreter {
    id: u64,
}

const INTERPRETER: RemoteAddr = RemoteAddr(0x1000);

impl Memory for OneInterpreter {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        *out = [0; N];
        if addr == INTERPRETER.offset(8) {
            out[0] = self.id;
        }
        Ok(())
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        _bytes: u32,
    ) -> Result<(), Fault> {
        self.read_words(addr, out)
    }

    fn read_bytes<const N: usize>(&self, _: RemoteAddr, out: &mut [u8; N], _: u32) -> Result<(), Fault> {
        *out = [0; N];
        Ok(())
    }
}

#[test]
fn an_object_that_looks_the_same_in_a_later_interpreter_is_another_one() {
    let mut layout = layout(12);
    layout.interpreter.id = 8;
    let check = |id| {
        let words = &mut [0; IDENTITY_BUFFER_WORDS];
        identity(&OneInterpreter { id }, &layout, 0x2000, id, words)
    };
    let key = CodeKey {
        code: 0x2000,
        check: check(1),
    };
    let mut definition = with_view(&encode::NO_CODE, |view| Definition::new(view, layout.line_table));
    let mut complete = |id| definition.complete(key, INTERPRETER, &OneInterpreter { id }, &layout);
    assert_eq!(complete(1), Ok(()));
    assert_eq!(complete(2), Err(CompleteError::Changed));
    assert_ne!(check(0), check(1));
}
