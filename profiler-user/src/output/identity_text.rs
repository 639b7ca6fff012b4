//! Processes and threads as text.

use std::borrow::Cow;

use crate::profile::{Process, Thread};

/// Characters of a command line that are shown: programs make them as long as they like, and every stack repeats them.
const MAX_COMMAND_LINE: usize = 300;
/// The same for a thread's name.
const MAX_NAME: usize = 80;

/// `process PID:"command line"`.
pub(super) fn process_text(process: &Process) -> String {
    format!("process {}:\"{}\"", process.pid, command_text(process))
}

/// The command line, as far as it is shown.
pub(super) fn command_text(process: &Process) -> Cow<'_, str> {
    cut(&process.command_line, MAX_COMMAND_LINE)
}

/// `thread (TID): NAME`.
pub(super) fn thread_text(thread: &Thread) -> String {
    if thread.name.is_empty() {
        format!("thread ({})", thread.tid)
    } else {
        format!("thread ({}): {}", thread.tid, cut(&thread.name, MAX_NAME))
    }
}

/// The beginning. The number before it tells those apart that begin alike.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or(text))),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::{process_text, thread_text};
    use crate::profile::{Process, ProcessId, Thread};

    #[test]
    fn command_lines_and_names_of_threads_have_an_end() {
        let text = "é".repeat(3_000);
        let process = Process {
            pid: 7,
            command_line: text.clone(),
            ..Process::default()
        };
        assert_eq!(
            process_text(&process),
            format!("process 7:\"{}…\"", "é".repeat(300))
        );
        let thread = |name: &str| Thread {
            process: ProcessId(0),
            tid: 8,
            name: name.to_owned(),
        };
        assert_eq!(
            thread_text(&thread(&text)),
            format!("thread (8): {}…", "é".repeat(80))
        );
        assert_eq!(thread_text(&thread("MainThread")), "thread (8): MainThread");
        assert_eq!(thread_text(&thread("")), "thread (8)");
    }
}
