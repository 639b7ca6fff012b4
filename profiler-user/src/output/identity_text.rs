//! Processes and threads as text.

use std::borrow::Cow;

use crate::profile::{Process, Thread};

/// Characters of a command line or of a thread's name that are shown: programs make them as long as they like.
const MAX_CHARACTERS: usize = 80;

/// `process PID:"command line"`.
pub(super) fn process_text(process: &Process) -> String {
    format!("process {}:\"{}\"", process.pid, cut(&process.command_line))
}

/// `thread (TID): NAME`.
pub(super) fn thread_text(thread: &Thread) -> String {
    if thread.name.is_empty() {
        format!("thread ({})", thread.tid)
    } else {
        format!("thread ({}): {}", thread.tid, cut(&thread.name))
    }
}

/// The beginning. The number in front of it tells those apart that begin alike.
fn cut(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_CHARACTERS) {
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
            format!("process 7:\"{}…\"", "é".repeat(80))
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
