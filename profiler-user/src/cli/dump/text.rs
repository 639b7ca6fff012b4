//! For people: as py-spy prints it, innermost frame first.

use std::fmt::Write as _;

use profiler_common::contract::reasons::GilState;

use super::stack::Stacks;
use crate::escape::printable;
use crate::output::{RenderOptions, ShortNames};
use crate::session::{Dump, DumpedThread, Moment};
use crate::wire::decode::Wait;

/// Why a thread has no frames.
const NO_ANSWER: &str = "    its memory does not answer, or it did not run while it was waited for\n";
/// After a thread whose frames may be of different moments.
const MIXED: &str = " [not exact: it ran each time while it was read]";

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

fn push_thread(
    to: &mut String,
    thread: &DumpedThread,
    stacks: &Stacks<'_>,
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
    to.push('\n');
    let Some(stack) = stack else {
        to.push_str(NO_ANSWER);
        return;
    };
    for frame in stack.frames {
        let _ = writeln!(to, "    {}", printable(&options.frame_text(frame, names)));
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
