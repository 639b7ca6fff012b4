//! Python, native and kernel frames of one sample to one stack.
//!
//! Used by the pipeline. Pure: touches neither `/proc` nor BPF, knows no version and no name.
//!
//! Every run of the evaluation loop is one native frame and runs one or more Python frames; its *invocation*. From 3.12 on
//! each invocation has an entry frame, a local variable of the loop: its address says which native frame it is. Before
//! that invocations are counted off against the native frames that are known to be the loop. The Python frames of an
//! invocation stand above its native frame, and below all that they called.
//!
//! Facts: CPython `Python/ceval.c` (2.7 to 3.15), `_PyEval_EvalFrameDefault` (up to 3.5 `PyEval_EvalFrameEx`).

use std::ops::Range;

use profiler_common::contract::layout::Layout;
use profiler_common::contract::reasons::StackStatus;
use profiler_common::contract::records::{BOOKKEEPING_FRAME, NativeFrame, RawFrame};

/// The frames of one sample, newest first throughout.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Python frames, with entry frames.
    pub python: &'a [RawFrame],
    /// For [`Scheme::ByInvocation`]: whether the Python frame of the same index is the outermost of its invocation. A frame
    /// beyond its end is not.
    pub entries: &'a [bool],
    /// How complete `python` is.
    pub status: StackStatus,
    /// Whether the thread was collecting garbage.
    pub collecting: bool,
    /// Native frames; none where nothing was unwound.
    pub native: &'a [NativeFrame],
    /// Whether `native` reaches the start of the thread; also `true` where nothing was to be unwound.
    pub native_complete: bool,
    /// Number of kernel frames.
    pub kernel: usize,
}

/// What leads from Python frames to the native frame that runs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// The addresses of entry frames (3.12+).
    ByAddress,
    /// The outermost frame of each invocation is marked (3.11).
    ByInvocation,
    /// Each frame is an invocation (up to 3.10).
    ByFrame,
}

impl Scheme {
    /// What the interpreters with this layout allow.
    #[must_use]
    pub fn of(layout: &Layout) -> Self {
        if layout.frame.entry_flag != 0 {
            Self::ByInvocation
        } else if layout.frame.owner != 0 {
            Self::ByAddress
        } else {
            Self::ByFrame
        }
    }
}

/// How the interpreter of a process evaluates.
#[derive(Clone, Copy)]
pub struct Evaluation<'a> {
    /// See [`Scheme`].
    pub scheme: Scheme,
    /// Whether the native frame of this index is the evaluation loop (for a caller: the instruction before its `pc`). Asked
    /// for frames of `Input::native` only. With [`Scheme::ByAddress`] it only helps where entry frames are missing, and may
    /// be `false` throughout.
    pub is_loop: &'a dyn Fn(usize) -> bool,
    /// Whether the native frame of this index is code that begins a Python stack of its own on the C stack: greenlet's
    /// library. Frames older than it then belong to whoever ran before. Only asked where invocations are counted; may be
    /// `false` throughout.
    pub begins_stack: &'a dyn Fn(usize) -> bool,
}

/// Native frames above an invocation that is not linked to its Python frame yet, or no longer, at most: the loop's first
/// and last steps call nothing but checks of the recursion's depth and of the result.
const MAX_ABOVE_UNLINKED: usize = 2;

/// One place in the merged stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The Python frame of this index; never an entry frame or one of the interpreter's bookkeeping.
    Python(usize),
    /// The native frame of this index.
    Native(usize),
    /// The kernel frame of this index.
    Kernel(usize),
    /// A garbage collection, called by what follows.
    Collecting,
    /// Native frames are missing here: see `NativeStatus`.
    NativeMissing,
    /// Python frames are missing here: see [`Input::status`].
    PythonMissing,
}

/// How well the Python and native frames fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quality {
    /// Every Python frame is where it ran.
    Exact,
    /// The same, but counted from the newest frame on, which nothing confirmed: there are further invocations, of other
    /// greenlets or interpreters on the same C stack, or the Python stack was not walked to its end.
    FromNewest,
    /// Native frames end before the thread's start. Python frames older than these follow [`Part::NativeMissing`].
    NativeTruncated,
    /// There are no native frames.
    PythonOnly,
    /// Python frames belong to no native frame that was found. From there on only Python frames are shown.
    Unmatched,
}

/// Puts the frames of a sample into one stack, newest first, into `out`.
///
/// Every Python frame but for entry frames and bookkeeping is in it, and every kernel frame; every native frame unless the
/// stack is [`Quality::Unmatched`]. Frames of a kind keep their order. The cost is linear in the number of frames, but for
/// addresses that lie outside of a stack whose pointers go up and down.
pub fn merge(input: &Input<'_>, evaluation: &Evaluation<'_>, out: &mut Vec<Part>) -> Quality {
    out.clear();
    out.extend((0..input.kernel).map(Part::Kernel));
    Merger {
        input,
        evaluation,
        out,
        native_done: 0,
        search_from: 0,
        has_python: false,
        is_assumed: false,
    }
    .merge()
}

/// One invocation of the evaluation loop.
#[derive(Debug)]
struct Invocation {
    /// Its Python frames; its entry frame, if it has one, is after them.
    frames: Range<usize>,
    /// Where the older invocations begin.
    next: usize,
    /// What says that it ends there.
    end: End,
}

#[derive(Debug)]
enum End {
    /// The entry frame at this address.
    Address(u64),
    /// A mark, or that it is one frame.
    Certain,
    /// That no more is known.
    Open,
}

/// Where an invocation runs.
enum Place {
    /// In this native frame.
    At(usize),
    /// Beyond the oldest native frame.
    Beyond,
    /// In none of the frames of a complete stack.
    Nowhere,
}

struct Merger<'a, 'out> {
    input: &'a Input<'a>,
    evaluation: &'a Evaluation<'a>,
    out: &'out mut Vec<Part>,
    /// Native frames in the stack so far.
    native_done: usize,
    /// Where the native frame of the next invocation can be, at the newest.
    search_from: usize,
    /// Whether a Python frame is in the stack.
    has_python: bool,
    /// Whether something was matched by counting and could not be checked.
    is_assumed: bool,
}

impl Merger<'_, '_> {
    fn merge(mut self) -> Quality {
        let frames = self.input.native.len();
        if frames == 0 {
            self.rest_of_python(0);
            return Quality::PythonOnly;
        }
        let mut at = 0;
        if !self.skip_unlinked() {
            return self.give_up(at);
        }
        while let Some(invocation) = self.invocation(at) {
            let is_empty = !self.shows_any(invocation.frames.clone());
            if is_empty && matches!(invocation.end, End::Open) {
                break;
            }
            match self.place(&invocation.end) {
                Place::At(native) => {
                    self.native_until(native);
                    self.python(invocation.frames);
                    self.search_from = native + 1;
                }
                // An invocation that has just begun or ended, and the frame in the thread state where all stacks end.
                Place::Beyond | Place::Nowhere if is_empty => {}
                Place::Beyond => {
                    self.native_until(frames);
                    self.rest_of_python(at);
                    return Quality::NativeTruncated;
                }
                Place::Nowhere => return self.give_up(at),
            }
            at = invocation.next;
        }
        if self.has_python {
            self.end_of_python();
        }
        self.native_until(frames);
        if !self.input.native_complete {
            self.out.push(Part::NativeMissing);
        }
        if !self.has_python {
            self.end_of_python();
        }
        match (self.input.native_complete, self.is_assumed) {
            (false, _) => Quality::NativeTruncated,
            (true, true) => Quality::FromNewest,
            (true, false) => Quality::Exact,
        }
    }

    /// Where invocations are counted: leaves out the newest one when it is not linked to a Python frame yet, or no longer,
    /// which shows when all of them are there. `false` when there are fewer than the Python frames need.
    fn skip_unlinked(&mut self) -> bool {
        if self.evaluation.scheme == Scheme::ByAddress || self.input.python.is_empty() {
            return true;
        }
        if self.input.status != StackStatus::Complete {
            self.is_assumed = true;
            return true;
        }
        let end = match self.other_stack() {
            Some(end) => end,
            None if self.input.native_complete => self.input.native.len(),
            None => return true,
        };
        let mut invocations = 0usize;
        let mut at = 0;
        while let Some(invocation) = self.invocation(at) {
            invocations += 1;
            at = invocation.next;
        }
        let loops = (0..end).filter(|&frame| (self.evaluation.is_loop)(frame)).count();
        let newest = self.next_loop(0).unwrap_or(0);
        match loops.checked_sub(invocations) {
            None => return false,
            Some(0) => {}
            Some(1) if newest <= MAX_ABOVE_UNLINKED => self.search_from = newest + 1,
            Some(_) => self.is_assumed = true,
        }
        true
    }

    /// Where the native frames of another Python stack begin.
    fn other_stack(&self) -> Option<usize> {
        let newest = self.next_loop(0)?;
        (newest..self.input.native.len()).find(|&frame| (self.evaluation.begins_stack)(frame))
    }

    /// The invocation whose newest Python frame is at `start`.
    fn invocation(&self, start: usize) -> Option<Invocation> {
        let frames = self.input.python;
        let rest = frames.get(start..).filter(|rest| !rest.is_empty())?;
        let (length, end) = match self.evaluation.scheme {
            Scheme::ByFrame => (1, End::Certain),
            Scheme::ByInvocation => {
                let marks = self.input.entries.get(start..).unwrap_or_default();
                match marks.iter().take(rest.len()).position(|&is_entry| is_entry) {
                    Some(last) => (last + 1, End::Certain),
                    None => (rest.len(), End::Open),
                }
            }
            Scheme::ByAddress => {
                let entry = |(index, frame): (usize, &RawFrame)| Some((index, frame.entry_address()?));
                if let Some((length, address)) = rest.iter().enumerate().find_map(entry) {
                    return Some(Invocation {
                        frames: start..start + length,
                        next: start + length + 1,
                        end: End::Address(address),
                    });
                }
                (rest.len(), End::Open)
            }
        };
        Some(Invocation {
            frames: start..start + length,
            next: start + length,
            end,
        })
    }

    /// The native frame of the next invocation.
    fn place(&mut self, end: &End) -> Place {
        let found = match *end {
            End::Address(address) => self.frame_around(address),
            End::Certain => self.next_loop(self.search_from),
            End::Open => {
                self.is_assumed = true;
                self.next_loop(self.search_from)
            }
        };
        match found {
            Some(native) => Place::At(native),
            None if self.input.native_complete => Place::Nowhere,
            None => Place::Beyond,
        }
    }

    /// The native frame whose memory this address is in. A frame whose caller is on another stack (a signal handler's, or
    /// one that a library made) is never the evaluation loop, nor is the oldest frame of a thread; of a truncated stack the
    /// oldest frame's memory has no known end.
    fn frame_around(&self, address: u64) -> Option<usize> {
        let frames = self.input.native.get(self.search_from..)?;
        frames
            .windows(2)
            .position(|pair| pair[0].sp <= address && address < pair[1].sp)
            .map(|index| index + self.search_from)
    }

    fn next_loop(&self, from: usize) -> Option<usize> {
        (from..self.input.native.len()).find(|&frame| (self.evaluation.is_loop)(frame))
    }

    /// Python frames from `at` on have no native frame: those that they certainly called, then Python only.
    fn give_up(mut self, at: usize) -> Quality {
        let called = self.next_loop(self.search_from).unwrap_or(self.search_from);
        self.native_until(called);
        self.out.push(Part::NativeMissing);
        self.python(at..self.input.python.len());
        self.end_of_python();
        Quality::Unmatched
    }

    /// Nothing native is left; Python goes on from `at`.
    fn rest_of_python(&mut self, at: usize) {
        if !self.input.native_complete {
            self.out.push(Part::NativeMissing);
        }
        self.python(at..self.input.python.len());
        self.end_of_python();
    }

    fn native_until(&mut self, end: usize) {
        self.out.extend((self.native_done..end).map(Part::Native));
        self.native_done = self.native_done.max(end);
    }

    fn python(&mut self, frames: Range<usize>) {
        if self.shows_any(frames.clone()) {
            self.mark_collection();
            self.has_python = true;
        }
        let shown = frames.filter(|&index| self.input.python.get(index).is_some_and(is_shown));
        self.out.extend(shown.map(Part::Python));
    }

    fn shows_any(&self, frames: Range<usize>) -> bool {
        self.input
            .python
            .get(frames)
            .is_some_and(|frames| frames.iter().any(is_shown))
    }

    /// What stands after the oldest Python frame, or at the end where there is none.
    fn end_of_python(&mut self) {
        if !self.has_python {
            self.mark_collection();
        }
        if self.input.status != StackStatus::Complete {
            self.out.push(Part::PythonMissing);
        }
    }

    fn mark_collection(&mut self) {
        if self.input.collecting && !self.has_python {
            self.out.push(Part::Collecting);
        }
    }
}

/// Whether a frame is more than a boundary or the interpreter's bookkeeping.
fn is_shown(frame: &RawFrame) -> bool {
    frame.entry_address().is_none() && !(frame.code == 0 && frame.check == BOOKKEEPING_FRAME)
}

#[cfg(test)]
mod tests;
