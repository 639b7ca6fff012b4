//! A real interpreter that runs a known program, and the walker run on it from outside.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use profiler_common::contract::layout::{IDENTITY_BUFFER_WORDS, Layout};
use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::records::{
    CodeDefinition, FRAMES_PER_BLOCK, MAX_BLOCKS, RawFrame, TextHeader,
};
use profiler_common::walker::python::{CodeSeen, Scratch, capture, identity, locate, walk_block};
use serde::Deserialize;

use crate::language::python::{Finding, Inspector, Interpreter};
use crate::proc::memory::ProcMemory;

/// What `known_stack.py` says of itself.
#[derive(Debug, Deserialize)]
pub(super) struct Report {
    pub(super) version: [u8; 3],
    pub(super) threads: Vec<Thread>,
    pub(super) codes: HashMap<u64, Code>,
}

/// A blocked thread, newest frame first.
#[derive(Debug, Deserialize)]
pub(super) struct Thread {
    /// `threading.get_ident()`, which is `pthread_self()`.
    pub(super) ident: u64,
    /// `id(f_code)` and `f_lasti`.
    pub(super) frames: Vec<(u64, i64)>,
}

/// A code object.
#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(super) struct Code {
    /// `co_qualname`, or `co_name` before 3.11.
    pub(super) name: String,
    pub(super) filename: String,
    pub(super) first_line: u32,
    /// Hexadecimal.
    pub(super) line_table: String,
}

/// How long a file may be open for writing in a child that has not yet become its program.
const MOST_BUSY: Duration = Duration::from_secs(10);

/// A running program, killed when it goes out of scope.
pub(super) struct Target {
    child: Child,
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Target {
    pub(super) fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let deadline = Instant::now() + MOST_BUSY;
        loop {
            match command.spawn() {
                Ok(child) => return Self { child },
                // It was written just now, and a child that another test starts at this moment still has that file open.
                Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                    std::thread::yield_now();
                }
                Err(error) => unreachable!("it is installed: {error}"),
            }
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the program prints.
    pub(super) fn line(&mut self) -> String {
        let output = self.child.stdout.as_mut().expect("piped");
        let mut line = String::new();
        // One line is all that is ever waiting, so nothing is lost with the buffer.
        BufReader::new(output).read_line(&mut line).expect("UTF-8");
        assert!(line.ends_with('\n'), "the program ended: {line:?}");
        line.truncate(line.len() - 1);
        line
    }

    /// The next lines, where the program prints so many before it waits.
    pub(super) fn lines(&mut self, count: usize) -> Vec<String> {
        let output = self.child.stdout.as_mut().expect("piped");
        let lines = BufReader::new(output).lines().take(count);
        let lines: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
        assert_eq!(lines.len(), count, "the program ended");
        lines
    }

    /// Sends the program a line.
    pub(super) fn say(&mut self, line: &str) {
        use std::io::Write as _;
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").expect("the program reads it");
    }

    /// Waits for the report of `known_stack.py`.
    pub(super) fn report(&mut self) -> Report {
        serde_json::from_str(&self.line()).expect("as known_stack.py prints it")
    }

    /// The supported interpreter that it runs.
    pub(super) fn interpreter(&self, inspector: &mut Inspector) -> Interpreter {
        let finding = inspector.inspect(self.pid()).expect("the program runs");
        let found = match &finding {
            Finding::Python(interpreter) => Some(interpreter.as_ref().clone()),
            _ => None,
        };
        assert!(found.is_some(), "not Python: {finding:?}");
        found.expect("just asserted")
    }
}

/// Path of `known_stack.py`.
pub(super) fn known_stack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/language/python/live_test/known_stack.py")
}

/// A stack as the walker sees it.
#[derive(Debug)]
pub(super) struct Stack {
    pub(super) status: StackStatus,
    pub(super) gil: GilState,
    /// Newest first, entry frames included.
    pub(super) frames: Vec<RawFrame>,
}

impl Stack {
    /// Without entry frames: code object and instruction offset.
    pub(super) fn python_frames(&self) -> Vec<(u64, i64)> {
        self.frames
            .iter()
            .filter(|frame| frame.code != 0)
            // Before the first instruction `f_lasti` is negative.
            .map(|frame| (frame.code, i64::from(frame.instr_offset.cast_signed())))
            .collect()
    }
}

struct Everything;

impl CodeSeen for Everything {
    fn seen(&self, _code: u64, _check: u32) -> bool {
        true
    }
}

/// Walks the thread with this thread pointer, as the kernel half would.
pub(super) fn walk(pid: u32, interpreter: &Interpreter, thread_pointer: u64) -> Stack {
    let memory = ProcMemory::open(pid).expect("the program runs");
    let mut scratch = Box::new(Scratch::EMPTY);
    let mut all = Vec::new();
    let mut status = locate(
        &memory,
        &interpreter.lookup,
        &interpreter.layout,
        thread_pointer,
        &mut scratch,
    );
    if matches!(status, StackStatus::Complete) {
        for _ in 0..MAX_BLOCKS {
            let mut frames = [RawFrame::default(); FRAMES_PER_BLOCK];
            let count = walk_block(
                &memory,
                &Everything,
                &interpreter.layout,
                &mut scratch,
                &mut frames,
            );
            all.extend_from_slice(&frames[..count]);
            if scratch.cursor.is_null() {
                break;
            }
        }
        status = StackStatus::from_code(scratch.status).expect("a status");
    }
    let gil = GilState::ALL
        .iter()
        .copied()
        .find(|state| state.code() == scratch.gil)
        .expect("a state");
    Stack {
        status,
        gil,
        frames: all,
    }
}

/// Captures the definition of a code object, as the kernel half would; also whether the line table is complete.
pub(super) fn define(pid: u32, layout: &Layout, code: u64) -> (Code, u32) {
    let memory = ProcMemory::open(pid).expect("the program runs");
    let mut words = [0; IDENTITY_BUFFER_WORDS];
    let check = identity(&memory, layout, code, 0, &mut words);
    let mut definition = Box::new(CodeDefinition::EMPTY);
    capture(
        &memory,
        layout,
        code,
        check,
        &words,
        &mut [0; 64],
        &mut definition,
    );
    let table = &definition.line_table[..definition.line_table_stored.into()];
    assert_eq!(
        table.len(),
        definition.line_table_length as usize,
        "the line table fits the record"
    );
    let code = Code {
        name: text(&definition.name, &definition.name_data),
        filename: text(&definition.filename, &definition.filename_data),
        first_line: definition.first_line,
        line_table: table.iter().map(|byte| format!("{byte:02x}")).collect(),
    };
    (code, definition.check)
}

fn text(header: &TextHeader, data: &[u8]) -> String {
    let bytes = &data[..header.stored.into()];
    assert_eq!(
        bytes.len() as u32,
        header.length * u32::from(header.kind),
        "the text fits the record"
    );
    let unit = |chunk: &[u8]| {
        chunk
            .iter()
            .rev()
            .fold(0u32, |value, &byte| value << 8 | u32::from(byte))
    };
    bytes
        .chunks(header.kind.into())
        .map(|chunk| char::from_u32(unit(chunk)).expect("a character"))
        .collect()
}
