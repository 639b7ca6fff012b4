//! A finished recording: names resolved, identical stacks folded. What the outputs consume; touches neither `/proc`
//! nor BPF.

use std::time::{Duration, SystemTime};

use crate::container::Container;
use crate::proc::script::Script;
use crate::profile::timeline::Timeline;

pub use crate::ids::{FrameId, ProcessId, StackId, ThreadId};

pub mod aggregate;
pub mod timeline;

/// What a frame is; outputs colour and filter by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrameKind {
    /// A Python function.
    Python,
    /// Machine code outside the interpreter.
    Native,
    /// The kernel.
    Kernel,
    /// Machine code of the interpreter itself.
    Interpreter,
    /// Not code: the garbage collector (`<gc>`), or why code is missing (`<truncated>`, `<native thread>`).
    Marker,
}

/// One frame, named.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    /// What it is.
    pub kind: FrameKind,
    /// Qualified where the interpreter knows it.
    pub name: String,
    /// As the interpreter or the compiler has it; `None` for markers, and for native code without debug information.
    pub file: Option<String>,
    /// The part of `file` from its outermost package on (`asyncio/base_events.py`), of native code its base name; `None`
    /// without a file.
    pub short_file: Option<String>,
    /// Of native and kernel code: the library it is in (`libz.so.1`), `[kernel]`, the kernel module, `[vdso]` or `[jit]`.
    pub module: Option<String>,
    /// Current line, 1-based; `None` when the interpreter has none for the instruction.
    pub line: Option<u32>,
    /// `line` is the first of the function because the current one is not known: inside just-in-time compiled code.
    pub approximate: bool,
    /// First line of the function, 1-based.
    pub first_line: Option<u32>,
}

/// A process that was sampled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// As the initial pid namespace counts.
    pub pid: u32,
    /// Its arguments joined by spaces, or its kernel name when those were gone.
    pub command_line: String,
    /// Name of its user, else the number.
    pub user: String,
    /// What its interpreter was told to run, if its arguments were known.
    pub script: Option<Script>,
    /// Where it ran, unless on the bare host.
    pub container: Option<Container>,
}

/// A thread that was sampled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The process it belongs to.
    pub process: ProcessId,
    /// As the initial pid namespace counts.
    pub tid: u32,
    /// The name that it has in Python, else the kernel's.
    pub name: String,
}

/// How often a thread was seen with a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Which thread.
    pub thread: ThreadId,
    /// With which stack.
    pub stack: StackId,
    /// Samples.
    pub samples: u64,
}

/// A finished recording.
#[derive(Debug)]
pub struct Profile {
    /// pyebpf's own command line, used as the picture's title.
    pub title: String,
    /// Wall-clock time of the first possible sample.
    pub started: SystemTime,
    /// Time during which samples were taken.
    pub duration: Duration,
    /// Samples per second and CPU, as asked for; every sample stands for `1 / rate_hz` seconds of CPU time.
    pub rate_hz: u32,
    /// Sampled processes.
    pub processes: Vec<Process>,
    /// Sampled threads.
    pub threads: Vec<Thread>,
    /// Frames that occur in `stacks`.
    pub frames: Vec<Frame>,
    /// Stacks, outermost frame first.
    pub stacks: Vec<Box<[FrameId]>>,
    /// Folded samples.
    pub counts: Vec<Count>,
    /// The samples one by one in the order of time, when a format that wants them was asked for.
    pub timeline: Option<Timeline>,
}

impl Profile {
    /// The frame with this id. Ids come from this profile: a foreign one panics.
    #[must_use]
    pub fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[id.0 as usize]
    }

    /// The frames of this stack, outermost first. Ids come from this profile: a foreign one panics.
    #[must_use]
    pub fn stack(&self, id: StackId) -> &[FrameId] {
        &self.stacks[id.0 as usize]
    }

    /// The thread with this id. Ids come from this profile: a foreign one panics.
    #[must_use]
    pub fn thread(&self, id: ThreadId) -> &Thread {
        &self.threads[id.0 as usize]
    }

    /// The process with this id. Ids come from this profile: a foreign one panics.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> &Process {
        &self.processes[id.0 as usize]
    }
}
