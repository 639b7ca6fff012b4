//! Folds samples: identical stacks of a thread become one count. Touches neither `/proc` nor BPF.
//!
//! Every table has a limit. What finds no room is counted under a name that says so, never under somebody else's.

use std::hash::Hash;

use ahash::{HashMap, RandomState};
use indexmap::{IndexMap, IndexSet};
use profiler_common::contract::sources::Source;

use crate::ids::ProcessKey;
use crate::profile::frames::{Frame, FrameId, FrameTable};
use crate::profile::timeline::{Tick, Timeline};
use crate::profile::{Count, Process, ProcessId, Profile, Recording, StackId, Thread, ThreadId};

#[cfg(test)]
mod tests;

/// How many of each thing are kept.
#[derive(Clone, Copy, Debug)]
struct Limits {
    stacks: usize,
    processes: usize,
    /// Each process may have one thread more, which stands for its others.
    threads: usize,
    /// Pairs of thread and stack; each thread may have one more, which stands for its other stacks.
    counts: usize,
}

const LIMITS: Limits = Limits {
    stacks: 1 << 20,
    processes: 1 << 18,
    threads: 1 << 20,
    counts: 1 << 22,
};

/// Name of the frame that stands for stacks beyond the limit.
const TOO_MANY_STACKS: &str = "<too many different stacks>";
/// Name of the thread that stands for those of its process beyond the limit. Its id is 0, which no thread has.
const TOO_MANY_THREADS: &str = "<too many threads>";
/// Name of the process that stands for those beyond the limit. Its id is 0, which no process has.
const TOO_MANY_PROCESSES: &str = "<too many processes>";
const OTHER_PROCESSES: ProcessKey = ProcessKey {
    tgid: 0,
    incarnation: 0,
};

/// One sample, named.
#[derive(Clone, Copy, Debug)]
pub struct NamedSample<'a> {
    /// Where it comes from.
    pub source: Source,
    /// What it stands for, in the unit of its source.
    pub weight: u64,
    /// Whether its thread held the GIL.
    pub holds_gil: bool,
    /// Whose.
    pub process: ProcessKey,
    /// Thread id.
    pub tid: u32,
    /// The kernel's thread name, NUL-padded.
    pub comm: &'a [u8],
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// Outermost frame first.
    pub stack: &'a [FrameId],
}

/// Samples that are counted, but not under their own name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Overflow {
    /// Their stack found no room.
    pub stacks: u64,
    /// Their thread or process found no room.
    pub threads: u64,
    /// Frames that found no room.
    pub frames: u64,
    /// Frames whose name or file is cut.
    pub cut: u64,
    /// They are missing from the timeline: the temporary folder was full.
    pub timeline: u64,
    /// Names of threads that found no room.
    pub thread_names: u64,
}

/// Names that are not known yet when a sample is added.
pub trait LateNames {
    /// What the placeholder of this index in a stack stands for, outermost frame first.
    fn frames(&self, index: usize) -> Vec<Frame>;

    /// The name that a thread has in Python, which takes precedence over the kernel's.
    fn thread(&self, process: ProcessKey, tid: u32) -> Option<String>;
}

/// Counts of samples by thread and stack, and the tables that name both.
#[derive(Debug)]
pub struct Aggregator {
    start_ns: u64,
    limits: Limits,
    frames: FrameTable,
    processes: IndexMap<ProcessKey, Process, RandomState>,
    threads: IndexMap<(ProcessId, u32), Thread, RandomState>,
    stacks: IndexSet<Box<[FrameId]>, RandomState>,
    counts: HashMap<(Source, ThreadId, StackId), Tally>,
    timeline: Option<Timeline>,
    overflow: Overflow,
    /// Makes keys of processes that another recording has.
    absorbed: RandomState,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    samples: u64,
    weight: u64,
    gil_weight: u64,
}

impl Tally {
    fn add(&mut self, other: Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.weight = self.weight.saturating_add(other.weight);
        self.gil_weight = self.gil_weight.saturating_add(other.gil_weight);
    }
}

impl Aggregator {
    /// Folds from `start_ns` (`CLOCK_MONOTONIC`) on; with a timeline the order of samples is kept as well.
    #[must_use]
    pub fn new(start_ns: u64, timeline: Option<Timeline>) -> Self {
        Self {
            start_ns,
            limits: LIMITS,
            frames: FrameTable::default(),
            processes: IndexMap::default(),
            threads: IndexMap::default(),
            stacks: IndexSet::default(),
            counts: HashMap::default(),
            timeline,
            overflow: Overflow::default(),
            absorbed: RandomState::new(),
        }
    }

    /// Sets the time that the timeline counts from, `CLOCK_MONOTONIC` nanoseconds.
    pub fn set_start(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
    }

    /// The frames that stacks are made of.
    pub fn frames(&mut self) -> &mut FrameTable {
        &mut self.frames
    }

    /// Adds one sample; `describe` is asked when the process is new.
    pub fn add(&mut self, sample: &NamedSample<'_>, describe: impl FnOnce() -> Process) {
        let tally = Tally {
            samples: 1,
            weight: sample.weight,
            gil_weight: if sample.holds_gil { sample.weight } else { 0 },
        };
        let (thread, stack) = self.count(sample, tally, describe);
        self.note_time(sample, thread, stack);
    }

    /// Adds all that another recording has counted, without the order of its samples. Processes with the same id and
    /// arguments are the same.
    pub fn absorb(&mut self, other: &Recording) {
        let frames: Vec<FrameId> = other
            .frames
            .iter()
            .map(|frame| self.frames.intern(frame.clone()))
            .collect();
        let processes = other.processes.iter().map(|process| ProcessKey {
            tgid: process.pid,
            incarnation: self.absorbed.hash_one(&process.command_line),
        });
        let processes: Vec<ProcessKey> = processes.collect();
        let mut stack = Vec::new();
        for profile in &other.profiles {
            for count in &profile.counts {
                let thread = other.thread(count.thread);
                stack.clear();
                let ids = other.stack(count.stack).iter();
                stack.extend(ids.filter_map(|frame| frames.get(frame.0 as usize)));
                let sample = NamedSample {
                    source: profile.source,
                    weight: count.weight,
                    holds_gil: false,
                    process: processes[thread.process.0 as usize],
                    tid: thread.tid,
                    comm: thread.name.as_bytes(),
                    time_ns: 0,
                    stack: &stack,
                };
                let tally = Tally {
                    samples: count.samples,
                    weight: count.weight,
                    gil_weight: count.gil_weight,
                };
                self.count(&sample, tally, || other.process(thread.process).clone());
            }
        }
    }

    fn count(
        &mut self,
        sample: &NamedSample<'_>,
        tally: Tally,
        describe: impl FnOnce() -> Process,
    ) -> (ThreadId, StackId) {
        let process = self.process(sample.process, describe);
        let thread = self.thread(process, sample);
        let stack = self.stack(thread, sample);
        self.counts
            .entry((sample.source, thread, stack))
            .or_default()
            .add(tally);
        (thread, stack)
    }

    /// What found no room so far.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        Overflow {
            frames: self.frames.refused(),
            cut: self.frames.cut(),
            ..self.overflow
        }
    }

    /// Whether there is no sample in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// The threads that it has samples of, each by its process and id.
    pub fn threads(&self) -> impl Iterator<Item = (ProcessKey, u32)> {
        self.threads.keys().filter_map(|(process, tid)| {
            let (key, _) = self.processes.get_index(process.0 as usize)?;
            Some((*key, *tid))
        })
    }

    /// What is there now, without the time line.
    #[must_use]
    pub fn snapshot(&self, late: &impl LateNames) -> Recording {
        let copy = Self {
            start_ns: self.start_ns,
            limits: self.limits,
            frames: self.frames.clone(),
            processes: self.processes.clone(),
            threads: self.threads.clone(),
            stacks: self.stacks.clone(),
            counts: self.counts.clone(),
            timeline: None,
            overflow: self.overflow,
            absorbed: self.absorbed.clone(),
        };
        copy.finish(late)
    }

    /// The folded recording; the caller fills in what only it knows (title, times, rate, host).
    #[must_use]
    pub fn finish(mut self, late: &impl LateNames) -> Recording {
        self.apply_names(late);
        let stacks = self.named_stacks(late);
        // Stacks that differed by placeholders only may be the same now.
        let mut first: HashMap<&[FrameId], StackId> = HashMap::default();
        let same: Vec<StackId> = stacks
            .iter()
            .enumerate()
            .map(|(position, stack)| *first.entry(stack).or_insert(StackId(index(position))))
            .collect();
        let mut totals: HashMap<(Source, ThreadId, StackId), Tally> = HashMap::default();
        for ((source, thread, stack), tally) in self.counts {
            let stack = same.get(stack.0 as usize).copied().unwrap_or(stack);
            totals.entry((source, thread, stack)).or_default().add(tally);
        }
        Recording {
            title: String::new(),
            started: std::time::SystemTime::UNIX_EPOCH,
            duration: std::time::Duration::ZERO,
            rate_hz: 0,
            period: 0,
            host: String::new(),
            cpus: 0,
            accounts: Vec::new(),
            processes: self.processes.into_values().collect(),
            threads: self.threads.into_values().collect(),
            frames: self.frames.into_frames(),
            stacks,
            profiles: profiles(&totals),
            timeline: self.timeline,
        }
    }

    fn apply_names(&mut self, late: &impl LateNames) {
        for ((process, tid), thread) in &mut self.threads {
            let process = self.processes.get_index(process.0 as usize);
            if let Some(name) = process.and_then(|(key, _)| late.thread(*key, *tid)) {
                thread.name = name;
            }
        }
    }

    fn named_stacks(&mut self, late: &impl LateNames) -> Vec<Box<[FrameId]>> {
        let mut known: HashMap<usize, Vec<FrameId>> = HashMap::default();
        let stacks = std::mem::take(&mut self.stacks);
        let mut named = |stack: Box<[FrameId]>| -> Box<[FrameId]> {
            if stack.iter().all(|frame| frame.as_pending().is_none()) {
                return stack;
            }
            let mut whole = Vec::with_capacity(stack.len());
            for frame in stack {
                match frame.as_pending() {
                    Some(index) => {
                        let frames = known.entry(index).or_insert_with(|| {
                            let frames = late.frames(index).into_iter();
                            frames.map(|frame| self.frames.intern(frame)).collect()
                        });
                        whole.extend_from_slice(frames);
                    }
                    None => whole.push(frame),
                }
            }
            whole.into()
        };
        stacks.into_iter().map(&mut named).collect()
    }

    fn process(&mut self, key: ProcessKey, describe: impl FnOnce() -> Process) -> ProcessId {
        let is_full = self.processes.len() >= self.limits.processes;
        if is_full && !self.processes.contains_key(&key) {
            let others = || Process {
                command_line: TOO_MANY_PROCESSES.to_owned(),
                ..Process::default()
            };
            return ProcessId(position(&mut self.processes, OTHER_PROCESSES, others));
        }
        ProcessId(position(&mut self.processes, key, describe))
    }

    fn thread(&mut self, process: ProcessId, sample: &NamedSample<'_>) -> ThreadId {
        let mut name = sample.comm.split(|byte| *byte == 0).next().unwrap_or_default();
        let mut tid = sample.tid;
        let is_other = self
            .processes
            .get_index(process.0 as usize)
            .is_some_and(|(key, _)| *key == OTHER_PROCESSES);
        let is_full =
            self.threads.len() >= self.limits.threads && !self.threads.contains_key(&(process, tid));
        if is_other || is_full {
            self.overflow.threads += 1;
            (tid, name) = (0, TOO_MANY_THREADS.as_bytes());
        }
        let at = position(&mut self.threads, (process, tid), || Thread {
            process,
            tid,
            name: String::new(),
        });
        // A thread runs some microseconds under its creator's name before it gets its own: the last name is the thread's.
        if let Some((_, thread)) = self.threads.get_index_mut(at as usize)
            && thread.name.as_bytes() != name
        {
            thread.name = String::from_utf8_lossy(name).into_owned();
        }
        ThreadId(at)
    }

    fn stack(&mut self, thread: ThreadId, sample: &NamedSample<'_>) -> StackId {
        let known = self.stacks.get_index_of(sample.stack);
        let known = known.map(|position| StackId(index(position)));
        let has_room = self.counts.len() < self.limits.counts
            || known.is_some_and(|stack| self.counts.contains_key(&(sample.source, thread, stack)));
        match known {
            Some(stack) if has_room => stack,
            None if has_room && self.stacks.len() < self.limits.stacks => {
                StackId(index(self.stacks.insert_full(sample.stack.into()).0))
            }
            _ => {
                self.overflow.stacks += 1;
                let marker = self.frames.marker(TOO_MANY_STACKS);
                StackId(index(self.stacks.insert_full([marker].into()).0))
            }
        }
    }

    /// Appends to the time line. The first failure ends it: a full disk must not end the recording.
    fn note_time(&mut self, sample: &NamedSample<'_>, thread: ThreadId, stack: StackId) {
        let Some(timeline) = &mut self.timeline else {
            return;
        };
        let tick = Tick {
            time_ns: sample.time_ns.saturating_sub(self.start_ns),
            thread,
            stack,
            source: sample.source,
            weight: sample.weight,
        };
        if !timeline.has_failed() {
            timeline.push(tick);
        }
        self.overflow.timeline += u64::from(timeline.has_failed());
    }
}

/// One profile for each source, in the order of their codes.
fn profiles(totals: &HashMap<(Source, ThreadId, StackId), Tally>) -> Vec<Profile> {
    let of_source = |source: Source| {
        let mut counts: Vec<Count> = totals
            .iter()
            .filter(|((of, ..), _)| *of == source)
            .map(|(&(_, thread, stack), tally)| Count {
                thread,
                stack,
                samples: tally.samples,
                weight: tally.weight,
                gil_weight: tally.gil_weight,
            })
            .collect();
        counts.sort_unstable_by_key(|count| (count.thread, count.stack));
        (!counts.is_empty()).then_some(Profile { source, counts })
    };
    Source::ALL.iter().copied().filter_map(of_source).collect()
}

/// Position of `key`, entering it when it is new.
fn position<K: Hash + Eq, V>(
    map: &mut IndexMap<K, V, RandomState>,
    key: K,
    value: impl FnOnce() -> V,
) -> u32 {
    let entry = map.entry(key);
    let at = entry.index();
    entry.or_insert_with(value);
    index(at)
}

/// The tables stay far below 2^32 entries.
fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
