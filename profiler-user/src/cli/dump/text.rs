//! For people: as py-spy prints it, innermost frame first.

use std::fmt::Write as _;

use profiler_common::contract::reasons::GilState;

use super::stack::{self, ShownFrame, Stack, Stacks};
use crate::escape::printable;
use crate::language::python::locals::FrameLocals;
use crate::output::{RenderOptions, ShortNames};
use crate::session::{Dump, DumpedThread, Moment};
use crate::wire::decode::Wait;

/// Why a thread has no frames.
const NO_ANSWER: &str = "    its memory does not answer, or it did not run while it was waited for\n";
/// After a thread whose frames may be of different moments.
const MIXED: &str = " [not exact: it ran each time while it was read]";

/// After a thread whose variables were read after its stack.
const LATER: &str = " [values read while it ran on]";
/// After a value of which different parts may be of different moments.
const CHANGED: &str = " [changed while it was read]";

/// All processes, a paragraph each.
pub(super) fn of(dump: &Dump, full_filenames: bool) -> String {
    let options = RenderOptions {
        full_filenames,
        ..RenderOptions::default()
    };
    let names = ShortNames::of(&dump.recording.frames);
    let stacks = Stacks::of(dump);
    let paragraphs = dump.processes.iter().map(|process| {
        let mut text = format!(
            "Process {}: {}\nPython v{} ({})\n\n",
            process.pid,
            printable(&process.command_line),
            process.version,
            printable(&process.file)
        );
        for thread in dump.threads.iter().filter(|thread| thread.pid == process.pid) {
            push_thread(&mut text, thread, &stacks, &options, &names);
        }
        text
    });
    paragraphs.collect::<Vec<_>>().join("\n")
}

fn push_thread<'d>(
    to: &mut String,
    thread: &'d DumpedThread,
    stacks: &Stacks<'d>,
    options: &RenderOptions,
    names: &ShortNames<'_>,
) {
    let stack = stacks.get(thread);
    let name = stack.as_ref().map_or("", |stack| stack.name);
    // Writing to a string cannot fail.
    let _ = write!(to, "Thread {} ({})", thread.tid, state(thread));
    if !name.is_empty() {
        let _ = write!(to, ": \"{}\"", printable(name));
    }
    to.push_str(if thread.moment == Moment::Several {
        MIXED
    } else {
        ""
    });
    let has_locals = |stack: &Stack<'_>| stack.frames.iter().any(|frame| frame.locals.is_some());
    if stack.as_ref().is_some_and(has_locals) && !stack::are_of_that_moment(thread) {
        to.push_str(LATER);
    }
    to.push('\n');
    let Some(stack) = stack else {
        to.push_str(NO_ANSWER);
        return;
    };
    for ShownFrame { frame, locals } in stack.frames {
        let _ = writeln!(to, "    {}", printable(&options.frame_text(frame, names)));
        if let Some(locals) = locals {
            push_locals(to, locals);
        }
    }
}

/// Arguments, then what else has a value.
fn push_locals(to: &mut String, frame: &FrameLocals) {
    for (title, are_arguments) in [("Arguments", true), ("Locals", false)] {
        let locals = frame.locals.iter();
        let mut locals = locals
            .filter(|local| local.is_argument == are_arguments)
            .peekable();
        if locals.peek().is_some() {
            let _ = writeln!(to, "        {title}:");
        }
        for local in locals {
            let text = local.text.as_deref().unwrap_or("?");
            let mark = if local.is_whole { "" } else { CHANGED };
            let _ = writeln!(
                to,
                "            {}: {}{mark}",
                printable(&local.name),
                printable(text)
            );
        }
    }
    if frame.left_out > 0 {
        let _ = writeln!(to, "            and {} more", frame.left_out);
    }
}

/// py-spy's words, and one state that it does not know.
pub(super) fn state(thread: &DumpedThread) -> &'static str {
    match (thread.gil, thread.is_active) {
        (GilState::Held, _) => "active+gil",
        (GilState::Waiting, _) => "waiting for the GIL",
        _ if thread.wait == Wait::Gil => "waiting for the GIL",
        (_, true) => "active",
        (_, false) => "idle",
    }
}
