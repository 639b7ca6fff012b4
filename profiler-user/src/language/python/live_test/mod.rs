//! Layouts, discovery and the walker held against real interpreters that tell the truth about themselves.
//!
//! Each test starts real programs and looks at them from outside, through `/proc` only. What comes out must
//! be what the interpreter itself reports: code objects by address, instruction offsets, names, line tables.

mod discovery;
mod target;
mod thread_local;

use std::collections::HashSet;
use std::process::Command;

use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::records::BOOKKEEPING_FRAME;

use self::target::{Report, Stack, Target, Thread, define, known_stack, walk};
use super::test_support::{Installed, supported};
use super::{Inspector, Interpreter, Linkage};

fn start(python: &Installed) -> Target {
    Target::start(Command::new(&python.program).arg(known_stack()))
}

/// Compares everything the walker reads with what `known_stack.py` reports.
fn assert_reads_the_truth(target: &Target, interpreter: &Interpreter, report: &Report) {
    let version = interpreter.version;
    assert_eq!(
        [version.major, version.minor, version.micro.expect("told")],
        report.version
    );
    assert_eq!(report.threads.len(), 2);
    for thread in &report.threads {
        let stack = walk(target.pid(), interpreter, thread.ident);
        assert_eq!(stack.status, StackStatus::Complete, "{version}");
        assert_eq!(stack.gil, GilState::Released, "{version}: both threads sleep");
        assert_same_frames(interpreter, &stack, thread, report);
    }
    let mut checks = HashSet::new();
    for (address, truth) in &report.codes {
        let (found, check) = define(target.pid(), &interpreter.layout, *address);
        assert_eq!(&found, truth, "{version}");
        checks.insert(check);
    }
    assert_eq!(
        checks.len(),
        report.codes.len(),
        "{version}: every code object has its own check"
    );
}

fn assert_same_frames(interpreter: &Interpreter, stack: &Stack, thread: &Thread, report: &Report) {
    let name = |frame: &(u64, i64)| {
        report
            .codes
            .get(&frame.0)
            .map_or("?", |code| code.name.as_str())
            .to_owned()
    };
    let found = stack.python_frames();
    let names: Vec<String> = found.iter().map(name).collect();
    let expected: Vec<String> = thread.frames.iter().map(name).collect();
    assert_eq!(names, expected, "{}", interpreter.describe());
    assert_eq!(found, thread.frames, "{}", interpreter.describe());
}

#[test]
fn the_walker_reads_what_each_interpreter_says_of_itself() {
    let mut inspector = Inspector::new();
    for python in supported("known stacks") {
        let mut target = start(&python);
        let report = target.report();
        let interpreter = target.interpreter(&mut inspector);
        assert_eq!(
            interpreter.linkage,
            if python.is_shared {
                Linkage::Shared
            } else {
                Linkage::Static
            }
        );
        let canonical = |path| std::fs::canonicalize(path).expect("installed");
        assert_eq!(canonical(&interpreter.file), canonical(&python.file));
        assert_reads_the_truth(&target, &interpreter, &report);
        assert_eq!(
            has_bookkeeping(&target, &interpreter, &report),
            python.minor() >= (3, 13),
            "{python:?}"
        );
        println!(
            "read: {}, {} frames",
            interpreter.describe(),
            report.threads[0].frames.len()
        );
    }
}

/// The specialised call of the class pushes a frame that the program itself never sees: it must be there, and
/// marked.
fn has_bookkeeping(target: &Target, interpreter: &Interpreter, report: &Report) -> bool {
    let stack = walk(target.pid(), interpreter, report.threads[0].ident);
    stack
        .frames
        .iter()
        .any(|frame| frame.code == 0 && frame.check == BOOKKEEPING_FRAME)
}

#[test]
fn the_thread_that_runs_python_code_holds_the_gil() {
    const SPIN: &str = "import threading\ndef spin():\n while True: pass\n\
        print(threading.get_ident(), flush=True)\nspin()";
    let mut inspector = Inspector::new();
    for python in supported("the GIL") {
        let mut target = Target::start(Command::new(&python.program).args(["-c", SPIN]));
        let thread_pointer = target.line().parse().expect("a number");
        let interpreter = target.interpreter(&mut inspector);
        // The program runs on while it is read, so a single look may see it between two states.
        let held = (0..1000).find(|_| {
            let stack = walk(target.pid(), &interpreter, thread_pointer);
            let names: Vec<String> = stack
                .python_frames()
                .iter()
                .map(|(code, _)| define(target.pid(), &interpreter.layout, *code).0.name)
                .collect();
            stack.gil == GilState::Held && names == ["spin", "<module>"]
        });
        assert!(held.is_some(), "{}", interpreter.describe());
    }
}

#[test]
fn a_thread_that_never_ran_python_has_no_state_and_a_foreign_pointer_is_noticed() {
    let mut inspector = Inspector::new();
    for python in supported("foreign threads") {
        let mut target = start(&python);
        let report = target.report();
        let interpreter = target.interpreter(&mut inspector);
        for thread_pointer in [0, 0x1000, u64::MAX - 7, report.threads[0].ident + 16] {
            let stack = walk(target.pid(), &interpreter, thread_pointer);
            let expected = [StackStatus::NoThreadState, StackStatus::ForeignThreadState];
            assert!(
                expected.contains(&stack.status),
                "{thread_pointer:#x}: {:?}",
                stack.status
            );
            assert!(stack.frames.is_empty());
        }
    }
}
