//! The frames of threads, out of the recording that they were named in.

use std::collections::HashMap;

use crate::language::python::locals::{FrameLocals, Local};
use crate::profile::frames::FrameKind;
use crate::profile::{Count, Frame};
use crate::session::{Dump, DumpedThread, ThreadLocals};

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
    pub(super) frames: Vec<ShownFrame<'d>>,
}

/// A frame, and its variables if they were read.
pub(super) struct ShownFrame<'d> {
    pub(super) frame: &'d Frame,
    pub(super) locals: Option<&'d FrameLocals>,
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
    pub(super) fn get(&self, thread: &'d DumpedThread) -> Option<Stack<'d>> {
        let recording = &self.dump.recording;
        let count = self.counts.get(&(thread.pid, thread.tid))?;
        let frames = recording.stack(count.stack).iter().rev();
        let frames: Vec<&Frame> = frames.map(|id| recording.frame(*id)).collect();
        let of_thread = thread.locals.as_ref();
        let known = of_thread.map_or(&[][..], |locals| &locals.frames);
        // It is no frame of Python code, and stands before those that are.
        let is_collector = |frame: &&Frame| frame.kind == FrameKind::Marker && frame.name == "<gc>";
        let before = usize::from(frames.first().is_some_and(is_collector));
        let shown = frames.into_iter().enumerate().map(|(index, frame)| {
            let locals = index.checked_sub(before).and_then(|index| known.get(index));
            ShownFrame {
                frame,
                locals: locals.and_then(Option::as_ref),
            }
        });
        Some(Stack {
            name: &recording.thread(count.thread).name,
            frames: shown.collect(),
        })
    }
}

/// Whether a variable had this value at the moment of the stack.
pub(super) fn is_exact(local: &Local, thread: &DumpedThread) -> bool {
    local.is_whole && are_of_that_moment(thread)
}

/// Whether the variables of a thread belong to its stack.
pub(super) fn are_of_that_moment(thread: &DumpedThread) -> bool {
    let of_thread = thread.locals.as_ref();
    of_thread.is_some_and(|locals: &ThreadLocals| locals.are_of_that_moment)
}
