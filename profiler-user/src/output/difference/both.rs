//! Two recordings over the same tables: frames, stacks, threads and processes of the first one, then those of the second.

use crate::profile::{FrameId, ProcessId, Profile, Recording, StackId, Thread, ThreadId};

/// Both, told apart by their threads.
#[derive(Debug)]
pub(in crate::output) struct Both {
    /// The tables; its profiles are those of whichever side is looked at.
    pub(in crate::output) recording: Recording,
    /// Of the first, and of the second.
    pub(in crate::output) profiles: [Vec<Profile>; 2],
    /// Threads from here on are the second one's.
    pub(in crate::output) second: u32,
}

impl Both {
    /// Puts the tables of the second behind those of the first.
    pub(in crate::output) fn of(mut before: Recording, after: Recording) -> Self {
        let size = |of: usize| u32::try_from(of).unwrap_or(u32::MAX);
        let (frames, stacks) = (size(before.frames.len()), size(before.stacks.len()));
        let (threads, processes) = (size(before.threads.len()), size(before.processes.len()));
        before.frames.extend(after.frames);
        let moved = |stack: Box<[FrameId]>| stack.iter().map(|FrameId(id)| FrameId(id + frames)).collect();
        before.stacks.extend(after.stacks.into_iter().map(moved));
        before.processes.extend(after.processes);
        before
            .threads
            .extend(after.threads.into_iter().map(|thread| Thread {
                process: ProcessId(thread.process.0 + processes),
                ..thread
            }));
        let mut second = after.profiles;
        for count in second.iter_mut().flat_map(|profile| &mut profile.counts) {
            count.thread = ThreadId(count.thread.0 + threads);
            count.stack = StackId(count.stack.0 + stacks);
        }
        let first = std::mem::take(&mut before.profiles);
        before.timeline = None;
        before.accounts = Vec::new();
        Self {
            recording: before,
            profiles: [first, second],
            second: threads,
        }
    }

    /// The profiles of both, each source once.
    pub(in crate::output) fn merged(&self) -> Vec<Profile> {
        let mut merged: Vec<Profile> = Vec::new();
        for profile in self.profiles.iter().flatten() {
            match merged.iter_mut().find(|known| known.source == profile.source) {
                Some(known) => known.counts.extend(profile.counts.iter().copied()),
                None => merged.push(profile.clone()),
            }
        }
        merged
    }
}
