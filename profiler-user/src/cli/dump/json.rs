//! For programs: py-spy's array of threads, with more fields. Described in `docs/dump.md`.

use anyhow::Context as _;
use profiler_common::contract::reasons::GilState;
use serde::Serialize;

use super::super::failure::Failure;
use super::stack::{ShownFrame, Stacks, is_exact};
use super::text;
use crate::escape;
use crate::pipeline::wait_text;
use crate::session::{Dump, DumpedProcess, DumpedThread, Moment};

#[derive(Serialize)]
struct Thread<'d> {
    pid: u32,
    /// `threading.get_ident()`.
    thread_id: u64,
    thread_name: Option<&'d str>,
    os_thread_id: u32,
    active: bool,
    owns_gil: bool,
    frames: Vec<Frame<'d>>,
    process_info: ProcessInfo<'d>,
    state: &'static str,
    /// `a lock`, `events`, ...; `null` while it runs, and where that is not known.
    waiting_for: Option<&'static str>,
    /// Whether the frames are of one moment; `null` without frames.
    exact: Option<bool>,
}

#[derive(Serialize)]
struct Frame<'d> {
    name: &'d str,
    filename: &'d str,
    module: Option<&'d str>,
    short_filename: Option<&'d str>,
    line: u32,
    /// `null` where they were not asked for, or could not be read.
    locals: Option<Vec<Local<'d>>>,
    is_entry: bool,
    is_shim_entry: bool,
}

#[derive(Serialize)]
struct Local<'d> {
    name: &'d str,
    addr: u64,
    arg: bool,
    repr: Option<&'d str>,
    /// Whether it had this value at the moment of the stack.
    exact: bool,
}

#[derive(Serialize)]
struct ProcessInfo<'d> {
    pid: u32,
    command_line: &'d str,
    parent: Option<u32>,
    python_version: &'d str,
    executable: &'d str,
}

/// The array.
pub(super) fn of(dump: &Dump) -> Result<String, Failure> {
    let stacks = Stacks::of(dump);
    let threads = dump.processes.iter();
    let threads = threads.flat_map(|process| of_process(dump, process, &stacks));
    let threads: Vec<Thread<'_>> = threads.collect();
    let json = serde_json::to_string_pretty(&threads).context("writing JSON")?;
    Ok(escape::printable_json(&json) + "\n")
}

fn of_process<'d>(
    dump: &'d Dump,
    process: &'d DumpedProcess,
    stacks: &Stacks<'d>,
) -> impl Iterator<Item = Thread<'d>> {
    let threads = dump.threads.iter();
    let threads = threads.filter(|thread| thread.pid == process.pid);
    threads.map(|thread| {
        let (name, frames) = stacks.get(thread).map(|stack| (stack.name, stack.frames)).unzip();
        let text = wait_text(thread.wait).filter(|_| !thread.is_active);
        Thread {
            pid: thread.pid,
            thread_id: thread.ident,
            thread_name: name.filter(|name| !name.is_empty()),
            os_thread_id: thread.tid,
            active: thread.is_active,
            owns_gil: thread.gil == GilState::Held,
            frames: frames
                .iter()
                .flatten()
                .map(|frame| of_frame(frame, thread))
                .collect(),
            process_info: ProcessInfo {
                pid: process.pid,
                command_line: &process.command_line,
                parent: (process.parent != 0).then_some(process.parent),
                python_version: &process.version,
                executable: &process.file,
            },
            state: text::state(thread),
            waiting_for: text.map(what),
            exact: match thread.moment {
                Moment::One => Some(true),
                Moment::Several => Some(false),
                Moment::None => None,
            },
        }
    })
}

/// `a lock` of `<waiting for a lock>`.
fn what(text: &'static str) -> &'static str {
    let text = text.trim_matches(['<', '>']);
    let shorter = text
        .strip_prefix("waiting for ")
        .or(text.strip_prefix("waiting "));
    shorter.unwrap_or(text)
}

fn of_frame<'d>(shown: &ShownFrame<'d>, thread: &DumpedThread) -> Frame<'d> {
    let frame = shown.frame;
    let locals = shown.locals.map(|of_frame| {
        let locals = of_frame.locals.iter().map(|local| Local {
            name: &local.name,
            addr: local.address,
            arg: local.is_argument,
            repr: local.text.as_deref(),
            exact: is_exact(local, thread),
        });
        locals.collect()
    });
    Frame {
        name: &frame.name,
        filename: frame.file.as_deref().unwrap_or_default(),
        module: frame.module.as_deref(),
        short_filename: frame.short_file.as_deref(),
        line: frame.line.unwrap_or(0),
        locals,
        is_entry: false,
        is_shim_entry: false,
    }
}
