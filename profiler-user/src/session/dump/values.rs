//! The variables of threads, as far as they have come. A thread that was sampled while it ran is read after that, from outside: the
//! frames that are the same then have their variables.

use std::collections::{HashMap, HashSet, VecDeque};

use profiler_common::contract::records::RawFrame;

use crate::language::python::locals::FrameLocals;

/// Bytes of names and values that are kept of one process.
const MAX_OF_PROCESS: usize = 16 << 20;
/// Of all processes.
const MAX_IN_ALL: usize = 128 << 20;

/// The variables of one thread.
#[derive(Clone, Debug, Default)]
pub struct ThreadLocals {
    /// Of each frame of Python code of its stack, innermost first; `None` where they could not be read.
    pub frames: Vec<Option<FrameLocals>>,
    /// The thread did not run after its stack was taken: they belong to it.
    pub are_of_that_moment: bool,
}

/// What was asked for, and what has come.
#[derive(Default)]
pub(super) struct Values {
    /// Characters of a value; `None` where none is wanted.
    pub(super) room: Option<u16>,
    /// Threads whose stack was sampled, with its frames.
    awaited: HashMap<u32, Vec<RawFrame>>,
    /// Those of them that nobody has been asked about.
    next: VecDeque<u32>,
    found: HashMap<u32, ThreadLocals>,
    /// By process.
    bytes: HashMap<u32, usize>,
    all_bytes: usize,
    /// Threads whose variables have no room.
    left_out: HashSet<u32>,
}

impl Values {
    /// Whether the variables of one more thread of a process are wanted and have room.
    pub(super) fn has_room(&mut self, pid: u32, tid: u32) -> bool {
        let of_process = self.bytes.get(&pid).copied().unwrap_or(0);
        let has_room = of_process < MAX_OF_PROCESS && self.all_bytes < MAX_IN_ALL;
        if self.room.is_some() && !has_room {
            self.left_out.insert(tid);
        }
        self.room.is_some() && has_room
    }

    /// A thread was sampled while it ran.
    pub(super) fn sampled(&mut self, tid: u32, frames: &[RawFrame]) {
        if self.room.is_some() && self.awaited.insert(tid, frames.to_vec()).is_none() {
            self.next.push_back(tid);
        }
    }

    pub(super) fn is_awaited(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// The next thread to ask about.
    pub(super) fn next(&mut self) -> Option<u32> {
        self.next.pop_front()
    }

    /// Nothing will come of a thread.
    pub(super) fn give_up(&mut self, tid: u32) {
        self.awaited.remove(&tid);
    }

    /// What was read together with the stack of a thread.
    pub(super) fn read(&mut self, pid: u32, tid: u32, locals: ThreadLocals) {
        if self.room.is_none() {
            return;
        }
        let bytes = bytes(&locals.frames);
        *self.bytes.entry(pid).or_default() += bytes;
        self.all_bytes += bytes;
        self.found.insert(tid, locals);
    }

    /// What was read of a thread that was sampled before; `frames` are those of the reading.
    pub(super) fn read_later(
        &mut self,
        pid: u32,
        tid: u32,
        frames: &[RawFrame],
        locals: Vec<Option<FrameLocals>>,
    ) {
        let Some(sampled) = self.awaited.remove(&tid) else {
            return;
        };
        let frames = those_of(&sampled, frames, locals);
        let locals = ThreadLocals {
            frames,
            are_of_that_moment: false,
        };
        self.read(pid, tid, locals);
    }

    /// Those of one thread, which are handed out once.
    pub(super) fn take(&mut self, tid: u32) -> Option<ThreadLocals> {
        self.found.remove(&tid)
    }

    /// Threads whose variables are not shown, because there are too many.
    pub(super) fn left_out(&self) -> usize {
        self.left_out.len()
    }
}

fn bytes(frames: &[Option<FrameLocals>]) -> usize {
    frames
        .iter()
        .flatten()
        .map(FrameLocals::text_bytes)
        .sum::<usize>()
        + size_of_val(frames)
}

/// The variables of the frames of a sample, out of those of a later reading: of the outermost frames that are at the same
/// instruction in both, and of the one within, if that runs the same function.
fn those_of(
    sampled: &[RawFrame],
    read: &[RawFrame],
    locals: Vec<Option<FrameLocals>>,
) -> Vec<Option<FrameLocals>> {
    let is_python = |frame: &&RawFrame| frame.code != 0;
    let sampled: Vec<&RawFrame> = sampled.iter().filter(is_python).collect();
    let read: Vec<&RawFrame> = read.iter().filter(is_python).collect();
    let pairs = || sampled.iter().rev().zip(read.iter().rev());
    let same = pairs().take_while(|(one, other)| one == other).count();
    let is_same_function =
        |(one, other): (&&RawFrame, &&RawFrame)| one.code == other.code && one.check == other.check;
    let same = same + usize::from(pairs().nth(same).is_some_and(is_same_function));
    let mut of_outermost: VecDeque<_> = locals.into_iter().collect();
    // As many as there are frames, or the worker has said something else.
    of_outermost.resize(read.len(), None);
    let skipped = read.len() - same;
    let known = of_outermost.into_iter().skip(skipped);
    std::iter::repeat_n(None, sampled.len() - same)
        .chain(known)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::python::locals::Local;

    fn frame(code: u64, instr_offset: u32) -> RawFrame {
        RawFrame {
            code,
            instr_offset,
            check: 7,
        }
    }

    fn named(name: &str) -> Option<FrameLocals> {
        let local = Local {
            name: name.to_owned(),
            address: 1,
            is_argument: false,
            text: None,
            is_whole: true,
        };
        Some(FrameLocals {
            locals: vec![local],
            left_out: 0,
        })
    }

    fn names(frames: &[Option<FrameLocals>]) -> Vec<&str> {
        frames
            .iter()
            .map(|frame| frame.as_ref().map_or("-", |frame| frame.locals[0].name.as_str()))
            .collect()
    }

    #[test]
    fn frames_that_are_still_there_have_their_variables() {
        let entry = RawFrame::entry(0x1000);
        // Innermost first: the sample is in `leaf`, called by `loop`, called by the module.
        let sampled = [frame(3, 4), entry, frame(2, 8), frame(1, 2), entry];
        let locals = || vec![named("other"), named("loop"), named("module")];
        // Another function was called from the same place.
        let read = [frame(4, 0), frame(2, 8), frame(1, 2), entry];
        let found = those_of(&sampled, &read, locals());
        assert_eq!(names(&found), ["-", "loop", "module"]);
        // The loop has gone on: what it calls has nothing to do with the sample.
        let read = [frame(3, 4), frame(2, 10), frame(1, 2)];
        let found = those_of(
            &sampled,
            &read,
            vec![named("leaf"), named("loop"), named("module")],
        );
        assert_eq!(names(&found), ["-", "loop", "module"]);
        let found = those_of(&sampled, &[], vec![named("lie"); 9]);
        assert_eq!(names(&found), ["-", "-", "-"]);
        let found = those_of(&sampled, &sampled, Vec::new());
        assert_eq!(names(&found), ["-", "-", "-"]);
    }

    #[test]
    fn a_process_has_only_so_much_room() {
        let mut values = Values {
            room: Some(128),
            ..Values::default()
        };
        let mut big = named("x").expect("made here");
        big.locals[0].text = Some("x".repeat(MAX_OF_PROCESS));
        let locals = ThreadLocals {
            frames: vec![Some(big)],
            are_of_that_moment: true,
        };
        assert!(values.has_room(7, 70));
        values.read(7, 70, locals);
        assert!(!values.has_room(7, 71) && !values.has_room(7, 71));
        assert!(values.has_room(8, 80));
        assert_eq!(values.left_out(), 1);
        assert!(values.take(70).is_some() && values.take(70).is_none());
    }

    #[test]
    fn nothing_is_awaited_where_nothing_is_wanted() {
        let mut values = Values::default();
        values.sampled(7, &[frame(1, 2)]);
        assert!(!values.is_awaited() && !values.has_room(7, 7) && values.left_out() == 0);
    }
}
