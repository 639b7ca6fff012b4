//! Processes and threads as text.

use crate::profile::{Process, Thread};

/// Characters of a command line that are shown: the text of a program given with `-c` can be long.
const MAX_COMMAND_LINE: usize = 256;

/// `process PID:"command line"`.
pub(super) fn process_text(process: &Process) -> String {
    let line = &process.command_line;
    match line.char_indices().nth(MAX_COMMAND_LINE) {
        Some((end, _)) => format!("process {}:\"{}…\"", process.pid, line.get(..end).unwrap_or(line)),
        None => format!("process {}:\"{line}\"", process.pid),
    }
}

/// `thread (TID): NAME`.
pub(super) fn thread_text(thread: &Thread) -> String {
    if thread.name.is_empty() {
        format!("thread ({})", thread.tid)
    } else {
        format!("thread ({}): {}", thread.tid, thread.name)
    }
}
