//! The frames of a thread, out of the recording that they were named in.

use crate::profile::{Frame, ThreadId};
use crate::session::{Dump, DumpedThread};

/// The name and the frames of a thread, innermost first, if it has some.
pub(super) fn of<'d>(dump: &'d Dump, thread: &DumpedThread) -> Option<(&'d str, Vec<&'d Frame>)> {
    let recording = &dump.recording;
    let is_it = |id: ThreadId| {
        let known = recording.thread(id);
        known.tid == thread.tid && recording.process(known.process).pid == thread.pid
    };
    let mut counts = recording.profiles.iter().flat_map(|profile| &profile.counts);
    let count = counts.find(|count| is_it(count.thread))?;
    let frames = recording.stack(count.stack).iter().rev();
    Some((
        &recording.thread(count.thread).name,
        frames.map(|id| recording.frame(*id)).collect(),
    ))
}
