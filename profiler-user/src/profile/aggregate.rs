//! Folds samples: identical stacks of a thread become one count. Touches neither `/proc` nor BPF.

use std::collections::HashMap;
use std::hash::Hash;
use std::io;
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::ids::ProcessKey;
use crate::profile::timeline::{Tick, Timeline};
use crate::profile::{Count, Frame, FrameId, Process, ProcessId, Profile, StackId, Thread, ThreadId};

/// Different stacks kept; samples with further ones are counted under [`Aggregator::OVERFLOW`] of their thread.
const MAX_STACKS: usize = 1 << 20;
/// Different threads kept; further ones share the last.
const MAX_THREADS: usize = 1 << 20;

/// One sample, named.
#[derive(Clone, Copy, Debug)]
pub struct NamedSample<'a> {
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

/// See the module.
#[derive(Debug)]
pub struct Aggregator {
    start_ns: u64,
    overflow: FrameId,
    processes: IndexMap<ProcessKey, Process>,
    threads: IndexMap<(ProcessId, u32), Thread>,
    /// Names in Python, which go before the kernel's.
    names: HashMap<(ProcessKey, u32), String>,
    stacks: IndexSet<Box<[FrameId]>>,
    counts: HashMap<(ThreadId, StackId), u64>,
    timeline: Option<Timeline>,
    overflowed: u64,
}

impl Aggregator {
    /// Name of the frame that stands for stacks beyond the limit.
    pub const OVERFLOW: &'static str = "<too many different stacks>";

    /// Folds from `start_ns` (`CLOCK_MONOTONIC`) on; with a timeline the order of samples is kept as well.
    #[must_use]
    pub fn new(timeline: Option<Timeline>, overflow: FrameId) -> Self {
        Self {
            start_ns: 0,
            overflow,
            processes: IndexMap::new(),
            threads: IndexMap::new(),
            names: HashMap::new(),
            stacks: IndexSet::new(),
            counts: HashMap::new(),
            timeline,
            overflowed: 0,
        }
    }

    /// Sets the time that the timeline counts from, `CLOCK_MONOTONIC` nanoseconds.
    pub fn set_start(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
    }

    /// Adds one sample; `describe` is asked when the process is new.
    ///
    /// # Errors
    /// When the timeline cannot be written.
    pub fn add(&mut self, sample: &NamedSample<'_>, describe: impl FnOnce() -> Process) -> io::Result<()> {
        let process = ProcessId(position(&mut self.processes, sample.process, describe));
        let thread = self.thread(process, sample);
        let stack = self.stack(sample.stack);
        *self.counts.entry((thread, stack)).or_default() += 1;
        match &mut self.timeline {
            Some(timeline) => timeline.push(Tick {
                time_ns: sample.time_ns.saturating_sub(self.start_ns),
                thread,
                stack,
            }),
            None => Ok(()),
        }
    }

    /// Takes note of the name that a thread has in Python; a later one replaces it.
    pub fn name_thread(&mut self, process: ProcessKey, tid: u32, name: String) {
        let key = (process, tid);
        if self.names.len() < MAX_THREADS || self.names.contains_key(&key) {
            self.names.insert(key, name);
        }
    }

    /// Samples whose stack was replaced by [`Self::OVERFLOW`].
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.overflowed
    }

    /// The folded recording; the caller fills in what only it knows (title, times, rate). `late` has what the place holders
    /// of frames stand for that were named after their samples came, outermost first.
    #[must_use]
    pub fn finish(mut self, frames: Vec<Frame>, late: &[Arc<[FrameId]>]) -> Profile {
        for ((process, tid), thread) in &mut self.threads {
            let process = self.processes.get_index(process.0 as usize);
            let name = process.and_then(|(key, _)| self.names.remove(&(*key, *tid)));
            thread.name = name.unwrap_or_else(|| std::mem::take(&mut thread.name));
        }
        let stacks: Vec<Box<[FrameId]>> = self
            .stacks
            .into_iter()
            .map(|stack| with_late_names(stack, late))
            .collect();
        // Stacks that differed by place holders only may be the same now.
        let mut first: HashMap<&[FrameId], StackId> = HashMap::new();
        let same: Vec<StackId> = stacks
            .iter()
            .enumerate()
            .map(|(position, stack)| *first.entry(stack).or_insert(StackId(index(position))))
            .collect();
        let mut totals: HashMap<(ThreadId, StackId), u64> = HashMap::new();
        for ((thread, stack), samples) in self.counts {
            let stack = same.get(stack.0 as usize).copied().unwrap_or(stack);
            *totals.entry((thread, stack)).or_default() += samples;
        }
        let mut counts: Vec<Count> = totals
            .into_iter()
            .map(|((thread, stack), samples)| Count {
                thread,
                stack,
                samples,
            })
            .collect();
        counts.sort_unstable_by_key(|count| (count.thread, count.stack));
        Profile {
            title: String::new(),
            started: std::time::SystemTime::UNIX_EPOCH,
            duration: std::time::Duration::ZERO,
            rate_hz: 0,
            processes: self.processes.into_values().collect(),
            threads: self.threads.into_values().collect(),
            frames,
            stacks,
            counts,
            timeline: self.timeline,
        }
    }

    fn thread(&mut self, process: ProcessId, sample: &NamedSample<'_>) -> ThreadId {
        let tid = sample.tid;
        let key = (process, tid);
        if self.threads.len() >= MAX_THREADS && !self.threads.contains_key(&key) {
            return ThreadId(index(self.threads.len() - 1));
        }
        let at = position(&mut self.threads, key, || Thread {
            process,
            tid,
            name: String::new(),
        });
        let name = sample.comm.split(|byte| *byte == 0).next().unwrap_or_default();
        // A thread runs some microseconds under its creator's name before it gets its own: the last name is the thread's.
        if let Some((_, thread)) = self.threads.get_index_mut(at as usize)
            && thread.name.as_bytes() != name
        {
            thread.name = String::from_utf8_lossy(name).into_owned();
        }
        ThreadId(at)
    }

    fn stack(&mut self, frames: &[FrameId]) -> StackId {
        if let Some(known) = self.stacks.get_index_of(frames) {
            return StackId(index(known));
        }
        let frames: Box<[FrameId]> = if self.stacks.len() < MAX_STACKS {
            frames.into()
        } else {
            self.overflowed += 1;
            [self.overflow].into()
        };
        StackId(index(self.stacks.insert_full(frames).0))
    }
}

fn with_late_names(stack: Box<[FrameId]>, late: &[Arc<[FrameId]>]) -> Box<[FrameId]> {
    if stack.iter().all(|frame| frame.as_pending().is_none()) {
        return stack;
    }
    let mut named = Vec::with_capacity(stack.len());
    for frame in stack {
        match frame.as_pending() {
            Some(index) => named.extend(late.get(index).into_iter().flat_map(|frames| frames.iter())),
            None => named.push(frame),
        }
    }
    named.into()
}

/// Position of `key`, entering it when it is new.
fn position<K: Hash + Eq, V>(map: &mut IndexMap<K, V>, key: K, value: impl FnOnce() -> V) -> u32 {
    let entry = map.entry(key);
    let at = entry.index();
    entry.or_insert_with(value);
    index(at)
}

/// The tables stay far below 2^32 entries.
fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Aggregator, NamedSample};
    use crate::ids::ProcessKey;
    use crate::profile::timeline::{Tick, Timeline};
    use crate::profile::{FrameId, Process, StackId, ThreadId};

    fn sample(tid: u32, time_ns: u64, stack: &[FrameId]) -> NamedSample<'_> {
        NamedSample {
            process: ProcessKey {
                tgid: 7,
                incarnation: 1,
            },
            tid,
            comm: b"worker\0\0\0\0\0\0\0\0\0\0",
            time_ns,
            stack,
        }
    }

    #[test]
    fn identical_stacks_of_one_thread_become_one_count_and_keep_their_order_in_the_timeline() {
        let timeline = Timeline::new().expect("a temporary file");
        let mut aggregator = Aggregator::new(Some(timeline), FrameId(9));
        aggregator.set_start(1_000);
        let (one, two) = ([FrameId(1), FrameId(2)], [FrameId(1)]);
        for (tid, time_ns, stack) in [
            (7, 1_001, &one[..]),
            (7, 1_002, &two),
            (8, 1_003, &one),
            (7, 1_004, &one),
        ] {
            aggregator
                .add(&sample(tid, time_ns, stack), || Process {
                    command_line: "python app.py".to_owned(),
                    ..Process::default()
                })
                .expect("room");
        }
        let mut profile = aggregator.finish(Vec::new(), &[]);
        let counts: Vec<_> = profile
            .counts
            .iter()
            .map(|c| (c.thread.0, c.stack.0, c.samples))
            .collect();
        assert_eq!(counts, [(0, 0, 2), (0, 1, 1), (1, 0, 1)]);
        assert_eq!(profile.threads[0].name, "worker");
        assert_eq!(profile.processes[0].command_line, "python app.py");
        let timeline = profile.timeline.as_mut().expect("was asked for");
        let last = timeline
            .read()
            .expect("flush")
            .last()
            .expect("four ticks")
            .expect("readable");
        assert_eq!(
            last,
            Tick {
                time_ns: 4,
                thread: ThreadId(0),
                stack: StackId(0)
            }
        );
    }

    #[test]
    fn stacks_that_differed_only_by_names_to_come_become_one() {
        let mut aggregator = Aggregator::new(None, FrameId(9));
        let (one, two) = (
            [FrameId(1), FrameId::pending(0)],
            [FrameId(1), FrameId::pending(1)],
        );
        for stack in [&one, &two, &one] {
            aggregator
                .add(&sample(7, 1, stack), Process::default)
                .expect("room");
        }
        // Two addresses of one line, in a function that the compiler put into another.
        let late = [
            vec![FrameId(2), FrameId(3)].into(),
            vec![FrameId(2), FrameId(3)].into(),
        ];
        let profile = aggregator.finish(Vec::new(), &late);
        assert_eq!(profile.counts.len(), 1);
        assert_eq!(profile.counts[0].samples, 3);
        let stack = &profile.stacks[profile.counts[0].stack.0 as usize];
        assert_eq!(&**stack, [FrameId(1), FrameId(2), FrameId(3)]);
    }

    #[test]
    fn a_thread_has_the_name_that_it_was_last_seen_with() {
        let mut aggregator = Aggregator::new(None, FrameId(9));
        let stack = [FrameId(1)];
        for comm in [&b"python3\0\0"[..], b"worker\0\0\0"] {
            let sample = NamedSample {
                comm,
                ..sample(7, 1, &stack)
            };
            aggregator.add(&sample, Process::default).expect("room");
        }
        let profile = aggregator.finish(Vec::new(), &[]);
        assert_eq!(profile.threads.len(), 1);
        assert_eq!(profile.threads[0].name, "worker");
    }

    #[test]
    fn a_name_in_python_goes_before_the_kernels_whenever_it_becomes_known() {
        let mut aggregator = Aggregator::new(None, FrameId(9));
        let stack = [FrameId(1)];
        let process = sample(7, 1, &stack).process;
        aggregator.name_thread(process, 7, "Thread-1".to_owned());
        for tid in [7, 8, 9] {
            aggregator
                .add(&sample(tid, 1, &stack), Process::default)
                .expect("room");
        }
        aggregator.name_thread(process, 7, "größe".to_owned());
        aggregator.name_thread(process, 8, "MainThread".to_owned());
        let profile = aggregator.finish(Vec::new(), &[]);
        let names: Vec<&str> = profile.threads.iter().map(|thread| &*thread.name).collect();
        assert_eq!(names, ["größe", "MainThread", "worker"]);
    }
}
