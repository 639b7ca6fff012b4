//! Proof against real interpreters: each one says for every instruction of its standard library which line it is on
//! (`PyCode_Addr2Line`) and where (`co_positions()`), and the decoders must say the same.

use core::ops::ControlFlow;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use profiler_common::contract::layout::line_table_format;

use super::{LineTable, Location, each_entry, locate};
use crate::language::python::code::pythons::{self, Python};

/// `all` takes in the library's own tests too: three times the code objects.
const SOURCES: &str = "PYEBPF_LINE_SOURCES";

/// Code objects that even the smallest library has without its tests.
const FEWEST: usize = 15_000;

#[test]
fn lines_are_those_of_each_interpreter_itself() {
    let pythons = pythons::installed(6..=13);
    std::thread::scope(|scope| {
        let checks: Vec<_> = pythons
            .iter()
            .map(|python| scope.spawn(|| check(python)))
            .collect();
        for check in checks {
            check.join().expect("the lines agree");
        }
    });
}

fn check(python: &Python) {
    let mut helper = Command::new(&python.program)
        .args(["-I", "-c", include_str!("lines.py")])
        .args(std::env::var_os(SOURCES))
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let output = BufReader::new(helper.stdout.take().expect("a pipe"));
    let format = match python.minor {
        ..=9 => line_table_format::LNOTAB,
        10 => line_table_format::RANGES,
        _ => line_table_format::LOCATIONS,
    };
    let (mut codes, mut instructions) = (0, 0);
    for line in output.lines() {
        let line = line.expect("text");
        let code = Code::parse(&line).expect("as lines.py writes it");
        instructions += code.compare(format, python.minor);
        codes += 1;
    }
    assert!(helper.wait().expect("the helper ends").success());
    assert!(codes > FEWEST, "3.{}: only {codes} code objects", python.minor);
    println!(
        "3.{}: {codes} code objects, {instructions} code units, 0 mismatches",
        python.minor
    );
}

/// What an interpreter says about one of its code objects.
struct Code {
    first_line: u32,
    table: Vec<u8>,
    bytecode_bytes: u32,
    /// Offset at which a line begins.
    lines: Vec<(u32, Option<u32>)>,
    /// Offset at which a location begins; empty before 3.11.
    places: Vec<(u32, Location)>,
}

impl Code {
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split(' ');
        Some(Self {
            first_line: fields.next()?.parse().ok()?,
            table: bytes(fields.next()?)?,
            bytecode_bytes: fields.next()?.parse().ok()?,
            lines: runs(fields.next()?, number)?,
            places: runs(fields.next()?, place)?,
        })
    }

    /// Compares every code unit, and the decoded beginning of the table with the whole one.
    fn compare(&self, format: u8, minor: u8) -> u32 {
        let table = LineTable::decode(format, self.first_line, &self.table);
        let half = LineTable::decode_prefix(format, self.first_line, &self.table[..self.table.len() / 2]);
        assert!(half.is_prefix_of(&table));
        let mut places = Vec::new();
        each_entry(format, self.first_line.into(), &self.table, &mut |entry| {
            places.push((entry.start, entry.location));
            ControlFlow::Continue(())
        });
        for offset in (0..self.bytecode_bytes).step_by(2) {
            let line = table.line(offset);
            assert_eq!(
                Some(line),
                at(&self.lines, offset),
                "3.{minor}, offset {offset}, {:?}",
                self.table
            );
            assert!(!half.covers(offset) || half.line(offset) == line);
            if !self.places.is_empty() {
                let place = at(&places, offset);
                assert_eq!(
                    place,
                    at(&self.places, offset),
                    "3.{minor}, offset {offset}, {:?}",
                    self.table
                );
            }
        }
        for offset in [0, self.bytecode_bytes / 4 * 2, self.bytecode_bytes - 2] {
            let place = locate(format, self.first_line, &self.table, offset);
            assert_eq!(
                place.line,
                table.line(offset),
                "3.{minor}, offset {offset}, {:?}",
                self.table
            );
            assert!(self.places.is_empty() || at(&self.places, offset) == Some(place));
        }
        self.bytecode_bytes / 2
    }
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    if hex == "-" {
        return Some(Vec::new());
    }
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok())
        .collect()
}

/// `offset:value,...`; `-` alone is empty.
fn runs<T>(field: &str, value: fn(&str) -> Option<T>) -> Option<Vec<(u32, T)>> {
    let run = |run: &str| {
        let (start, text) = run.split_once(':')?;
        Some((start.parse().ok()?, value(text)?))
    };
    field.split(',').filter(|run| *run != "-").map(run).collect()
}

/// The outer `None` is nonsense, the inner one `-`.
fn number(text: &str) -> Option<Option<u32>> {
    if text == "-" {
        Some(None)
    } else {
        text.parse().ok().map(Some)
    }
}

fn place(text: &str) -> Option<Location> {
    let mut parts = text.split('/').map(number);
    let [line, end_line, column, end_column] =
        [parts.next()??, parts.next()??, parts.next()??, parts.next()??];
    Some(Location {
        line,
        end_line,
        column,
        end_column,
    })
}

fn at<T: Copy>(runs: &[(u32, T)], offset: u32) -> Option<T> {
    let behind = runs.partition_point(|(start, _)| *start <= offset);
    runs.get(behind.checked_sub(1)?).map(|(_, value)| *value)
}
