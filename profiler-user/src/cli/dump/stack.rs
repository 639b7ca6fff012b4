//! The frames of threads, out of the recording that they were named in.

use std::collections::HashMap;

use crate::profile::{Count, Frame};
use crate::session::{Dump, DumpedThread};

/// Where the stack of each thread is.
pub(super) struct Stacks<'d> {
    dump: &'d Dump,
    /// By process and thread id.
    counts: HashMap<(u32, u32), &'d Count>,
}

/// The name and the frames of a thread.
pub(super) struct Stack<'d> {
    pub(super) name: &'d str,
    /// Innermost first.
    pub(super) frames: Vec<&'d Frame>,
}

impl<'d> Stacks<'d> {
    pub(super) fn of(dump: &'d Dump) -> Self {
        let counts = dump.recording.profiles.iter().flat_map(|profile| &profile.counts);
        let by_thread = counts.map(|count| {
            let thread = dump.recording.thread(count.thread);
            ((dump.recording.process(thread.process).pid, thread.tid), count)
        });
        Self {
            dump,
            counts: by_thread.collect(),
        }
    }

    /// `None` of a thread without one.
    pub(super) fn get(&self, thread: &DumpedThread) -> Option<Stack<'d>> {
        let recording = &self.dump.recording;
        let count = self.counts.get(&(thread.pid, thread.tid))?;
        let frames = recording.stack(count.stack).iter().rev();
        Some(Stack {
            name: &recording.thread(count.thread).name,
            frames: frames.map(|id| recording.frame(*id)).collect(),
        })
    }
}
