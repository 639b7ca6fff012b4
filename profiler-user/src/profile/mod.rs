//! A finished recording: names resolved, identical stacks folded. What the outputs read; touches neither `/proc` nor BPF.
//!
//! A [`Recording`] holds one [`Profile`] for each source of samples. They share the tables of frames, stacks, threads and
//! processes.

use std::time::{Duration, SystemTime};

use profiler_common::contract::sources::Source;

use crate::container::Container;
use crate::proc::script::Script;
use crate::profile::timeline::Timeline;

pub use self::frames::{Frame, FrameId, FrameKind, FrameTable};
pub use self::owner::Owner;
pub use crate::ids::{ProcessId, StackId, ThreadId};

pub mod aggregate;
pub mod frames;
mod owner;
pub mod timeline;

/// A process that was sampled.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Thread {
    /// The process it belongs to.
    pub process: ProcessId,
    /// As the initial pid namespace counts.
    pub tid: u32,
    /// The name that it has in Python, else the kernel's.
    pub name: String,
}

/// What a thread spent with a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Which thread.
    pub thread: ThreadId,
    /// With which stack.
    pub stack: StackId,
    /// How often it was seen.
    pub samples: u64,
    /// What these samples stand for, in the unit of the profile.
    pub weight: u64,
    /// How much of that was sampled while the thread held the GIL; 0 in recordings that were read from files.
    pub gil_weight: u64,
}

/// What one source of samples saw.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Where its samples come from; says the unit of weights.
    pub source: Source,
    /// Folded samples.
    pub counts: Vec<Count>,
}

impl Profile {
    /// Samples in it.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(count.samples))
    }

    /// What they stand for, in the unit of the source.
    #[must_use]
    pub fn weight(&self) -> u64 {
        self.counts
            .iter()
            .fold(0, |sum, count| sum.saturating_add(count.weight))
    }
}

/// A finished recording.
#[derive(Debug)]
pub struct Recording {
    /// pyebpf's own command line, used as the picture's title.
    pub title: String,
    /// Wall-clock time of the first possible sample.
    pub started: SystemTime,
    /// Time during which samples were taken.
    pub duration: Duration,
    /// Samples per second and CPU, as asked for.
    pub rate_hz: u32,
    /// Events per sample, for sources that count.
    pub period: u64,
    /// Name of the host; empty when it is not known.
    pub host: String,
    /// CPUs that were sampled.
    pub cpus: u32,
    /// The accounts, a line each, where they are known: those of the whole recording, not of its parts.
    pub accounts: Vec<String>,
    /// Sampled processes.
    pub processes: Vec<Process>,
    /// Sampled threads.
    pub threads: Vec<Thread>,
    /// Frames that occur in `stacks`.
    pub frames: Vec<Frame>,
    /// Stacks, outermost frame first.
    pub stacks: Vec<Box<[FrameId]>>,
    /// One for each source, in the order of their codes; none without samples.
    pub profiles: Vec<Profile>,
    /// The samples one by one in the order of time, when a format that wants them was asked for.
    pub timeline: Option<Timeline>,
}

impl Recording {
    /// Whether no source saw anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.profiles.iter().all(|profile| profile.counts.is_empty())
    }

    /// Samples of all sources.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.profiles
            .iter()
            .fold(0, |sum, profile| sum.saturating_add(profile.samples()))
    }

    /// The frame with this id. Ids come from this recording: a foreign one panics.
    #[must_use]
    pub fn frame(&self, id: FrameId) -> &Frame {
        &self.frames[id.0 as usize]
    }

    /// The frames of this stack, outermost first. Ids come from this recording: a foreign one panics.
    #[must_use]
    pub fn stack(&self, id: StackId) -> &[FrameId] {
        &self.stacks[id.0 as usize]
    }

    /// The thread with this id. Ids come from this recording: a foreign one panics.
    #[must_use]
    pub fn thread(&self, id: ThreadId) -> &Thread {
        &self.threads[id.0 as usize]
    }

    /// The process with this id. Ids come from this recording: a foreign one panics.
    #[must_use]
    pub fn process(&self, id: ProcessId) -> &Process {
        &self.processes[id.0 as usize]
    }
}
