//! From whole samples to recordings: names samples in the order in which they came, and folds them. Pure: samples,
//! definitions and answers go in, questions and recordings come out. Touches neither `/proc` nor BPF.
//!
//! [`Pipeline::snapshot`] is what there is now, [`Pipeline::cut`] ends an interval, and [`Pipeline::take_finished`]
//! returns the intervals whose names have all arrived. Each interval has its own tables of frames, stacks, threads and
//! processes, so a pipeline that is cut now and then needs no more memory after a month than after an hour.
//!
//! The definitions that a sample needs travel before it, unless the ring was full or the stack so deep that the kernel
//! allowed no further program. Then the kernel half sends them with a later sample, and this one waits for them. A sample
//! that waits belongs to the interval in which it was taken.

mod gil;
mod gil_waits;
mod interval;
mod last_stacks;
mod native_stack;
mod python_names;
mod question_queue;
pub mod questions;
mod spells;
mod surroundings;
#[cfg(test)]
mod tests;
mod thread_names;
mod wait_class;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use profiler_common::contract::layout::Layout;
use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::Reporting;

use self::gil::Gil;
use self::interval::Interval;
use self::native_stack::{NativeStacks, Step};
use self::python_names::PythonNames;
use self::questions::{Answer, Question};
use self::spells::{Spells, Weighed};
use self::thread_names::ThreadNames;
use crate::ids::{FrameId, ProcessKey};
use crate::native::names::{AddressId, NativeNames};
use crate::native::symbol::NativeUnresolved;
use crate::proc::root::RootId;
use crate::profile::aggregate::{LateNames, Overflow};
use crate::profile::frames::Frame;
use crate::profile::timeline::Timeline;
use crate::profile::{Process, Recording};
use crate::wire::assembly::Sample;
use crate::wire::decode::{CodeView, Spell, Wait};

pub use self::gil::{GilShare, GilShares, GilThread};
pub use self::native_stack::NativeCounts;
pub use self::python_names::{NotAsked, UnnamedFrames};
pub use self::surroundings::Surroundings;
pub use self::wait_class::{of_process as wait_of_process, text as wait_text};

/// How many drains of the rings a sample waits for what it needs, at least. They may come close together.
const PATIENCE: u64 = 2;
/// How much older than the newest sample it must be then: answers come from another process, which needs a CPU for them.
const PATIENCE_NS: u64 = 500_000_000;
/// Samples that wait, at most.
const MAX_WAITING: usize = 8192;

/// Samples on their way to recordings.
#[derive(Debug)]
pub struct Pipeline {
    python: PythonNames,
    /// Where native frames are recorded.
    native: Option<NativeStacks>,
    /// The last one is still open.
    intervals: VecDeque<Interval>,
    waiting: VecDeque<Waiting>,
    drains: u64,
    /// When the newest sample was taken (`CLOCK_MONOTONIC`).
    newest_ns: u64,
    spells: Spells,
    /// Where time off the CPU is recorded.
    gil: Option<Gil>,
    thread_names: ThreadNames,
    /// Processes that are gone, with the interval that may still show their threads.
    gone: VecDeque<(u64, ProcessKey)>,
    overflow: Overflow,
    named: Vec<Option<FrameId>>,
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Waiting {
    sample: Sample,
    steps: Vec<Step>,
    process: Process,
    root: Option<RootId>,
    since: u64,
    interval: u64,
}

impl Pipeline {
    /// A pipeline whose first interval starts at `start_ns` (`CLOCK_MONOTONIC`). With `native`, native frames are put among
    /// the Python frames and named by it; with `timeline`, the first interval keeps the order of its samples.
    #[must_use]
    pub fn new(start_ns: u64, native: Option<NativeNames>, timeline: Option<Timeline>) -> Self {
        Self {
            python: PythonNames::default(),
            native: native.map(NativeStacks::new),
            intervals: VecDeque::from([Interval::new(0, start_ns, 0, timeline)]),
            waiting: VecDeque::new(),
            drains: 0,
            newest_ns: 0,
            spells: Spells::default(),
            gil: None,
            thread_names: ThreadNames::default(),
            gone: VecDeque::new(),
            overflow: Overflow::default(),
            named: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// The same for time off the CPU, of which the kernel half reports what `reporting` says. With `only_gil`, all that is
    /// recorded is waits for the GIL, each with who held it.
    #[must_use]
    pub fn off_cpu(self, reporting: Reporting, only_gil: bool) -> Self {
        Self {
            spells: Spells::of(reporting),
            gil: Some(Gil::new(only_gil)),
            ..self
        }
    }

    /// Takes in a captured code object.
    pub fn define(&mut self, captured: &CodeView<'_>, layout: &Layout) {
        self.python.define(captured, layout);
    }

    /// Takes a sample in. One of time off the CPU is held until that time is known.
    pub fn add(&mut self, sample: &Sample, around: &mut impl Surroundings) {
        if sample.source == Source::OffCpu {
            self.hold_stack(sample);
            return;
        }
        if !self.note_running(sample, around) {
            return;
        }
        self.merge(sample, around);
        self.add_merged(sample, around);
    }

    /// Takes in what a thread is doing that is off its CPU; also of one that was not walked when it left.
    pub fn hold_stack(&mut self, sample: &Sample) {
        self.spells.hold(sample);
    }

    /// A thread is back on a CPU.
    pub fn end_spell(&mut self, spell: &Spell, around: &mut impl Surroundings) {
        let weighed = self.spells.end(spell);
        self.add_weighed(weighed, around);
    }

    /// Counts what has passed of a spell that is not over: an interval ends, or the recording. To be called before
    /// [`Self::cut`].
    pub fn count_spell(&mut self, spell: &Spell, around: &mut impl Surroundings) {
        let weighed = self.spells.count(spell);
        self.add_weighed(weighed, around);
    }

    /// Whether the stack of a spell is there.
    #[must_use]
    pub fn has_stack(&self, spell: &Spell) -> bool {
        self.spells.has_stack(spell)
    }

    /// Forgets the spells of threads that have ended: all but those that `is_open` knows by thread and number.
    pub fn keep_spells(&mut self, is_open: impl Fn(u32, u32) -> bool) {
        self.spells.keep(is_open);
    }

    /// Both parts of a spell.
    fn add_weighed(&mut self, weighed: Weighed, around: &mut impl Surroundings) {
        let interpreter = around.interpreter(weighed.sample.process);
        let blocked = wait_class::of_process(weighed.sample.wait, interpreter);
        self.merge(&weighed.sample, around);
        if !self.note_spell(&weighed, blocked, around) {
            return;
        }
        let mut sample = weighed.sample;
        let end_ns = sample.time_ns;
        for (wait, time_ns, weight) in [
            (blocked, weighed.woken_ns, weighed.blocked_ns),
            (Wait::Cpu, end_ns, weighed.waiting_ns),
        ] {
            if weight > 0 {
                (sample.wait, sample.time_ns, sample.weight) = (wait, time_ns, weight);
                self.add_merged(&sample, around);
            }
        }
    }

    /// Puts the frames of a sample in order. Done now, while the process is there and says where its native frames are.
    fn merge(&mut self, sample: &Sample, around: &impl Surroundings) {
        self.steps.clear();
        let has_native = sample.native.status.is_some();
        if let Some(native) = self.native.as_mut().filter(|_| has_native) {
            native.merge(sample, around, &mut self.steps);
        }
    }

    /// When one waits, all later ones wait too: the recording keeps their order.
    fn add_merged(&mut self, sample: &Sample, around: &mut impl Surroundings) {
        let root = around.root(sample.process);
        self.add_described(sample, root, || around.describe(sample.process));
    }

    fn add_described(&mut self, sample: &Sample, root: Option<RootId>, describe: impl FnOnce() -> Process) {
        self.newest_ns = self.newest_ns.max(sample.time_ns);
        self.python.set_time(self.newest_ns);
        let interval = self.interval_at(sample.time_ns);
        if let Some(interval) = self.intervals.get_mut(interval)
            && !self.waiting.is_empty()
        {
            self.python.ask(sample, root, interval);
        } else if let Some(interval) = self.intervals.get_mut(interval)
            && self.python.name(sample, root, true, interval, &mut self.named)
        {
            let names = self.native.as_ref().map(|native| &native.names);
            interval.add(sample, &self.named, &self.steps, names, describe);
            return;
        }
        if self.waiting.len() >= MAX_WAITING {
            self.release(|_| true);
        }
        let number = self.intervals.get(interval).map_or(0, |interval| interval.number);
        self.waiting.push_back(Waiting {
            sample: sample.clone(),
            steps: self.steps.clone(),
            process: describe(),
            root,
            since: self.drains,
            interval: number,
        });
    }

    /// The next thing to find out for it.
    pub fn next_question(&mut self) -> Option<Question> {
        self.python.next_question()
    }

    /// Takes in what was found out.
    pub fn answer(&mut self, answer: Answer) {
        self.python.answer(answer);
    }

    /// Takes note of the name that a thread has in Python; a later one replaces it.
    pub fn name_thread(&mut self, process: ProcessKey, tid: u32, name: String) {
        self.thread_names.insert(process, tid, name, self.newest_ns);
    }

    /// To be called when answers have come while the rings still hold more: names those that need not wait any longer.
    pub fn pause_drain(&mut self) {
        self.release(|_| false);
    }

    /// To be called after each drain of the rings and when answers have come: names those that need not wait any longer.
    pub fn end_drain(&mut self) {
        self.add_due_waits();
        let drains = self.drains;
        self.drains += 1;
        if let Some(native) = &mut self.native {
            native.names.flush();
            native.names.collect();
        }
        let newest_ns = self.newest_ns;
        self.release(|waiting| {
            drains - waiting.since >= PATIENCE
                && newest_ns.saturating_sub(waiting.sample.time_ns) >= PATIENCE_NS
        });
        let waiting: HashSet<ProcessKey> = self
            .waiting
            .iter()
            .map(|waiting| waiting.sample.process)
            .collect();
        self.python.end_drain(|process| waiting.contains(&process));
    }

    /// A process is gone, and its samples have been added.
    pub fn forget(&mut self, process: ProcessKey) {
        self.add_all_waits(Some(process));
        self.spells.forget(process);
        self.python.forget(process);
        let number = self.intervals.back().map_or(0, |interval| interval.number);
        self.gone.push_back((number, process));
    }

    /// What the open interval has so far, without the order of its samples. The caller fills in title and rate.
    #[must_use]
    pub fn snapshot(&self, now_ns: u64) -> Recording {
        let Some(interval) = self.intervals.back() else {
            unreachable!("an interval is taken out when the next one has begun")
        };
        let mut recording = interval.aggregator.snapshot(&self.late_names());
        recording.duration = Duration::from_nanos(now_ns.saturating_sub(interval.start_ns));
        recording
    }

    /// Ends the open interval: what was sampled from `now_ns` (`CLOCK_MONOTONIC`) on belongs to the next one. To be
    /// called when the rings have just been drained.
    pub fn cut(&mut self, now_ns: u64, timeline: Option<Timeline>) {
        self.add_all_waits(None);
        let number = self.intervals.back().map_or(0, |interval| interval.number + 1);
        if let Some(interval) = self.intervals.back_mut() {
            interval.end_ns = Some(now_ns);
        }
        let generation = self
            .native
            .as_mut()
            .map_or(0, |native| native.names.next_generation());
        self.intervals
            .push_back(Interval::new(number, now_ns, generation, timeline));
    }

    /// Whether an interval has ended and has not been taken.
    #[must_use]
    pub fn has_ended_intervals(&self) -> bool {
        self.intervals.len() > 1
    }

    /// Whether this is not the first interval.
    #[must_use]
    pub fn was_cut(&self) -> bool {
        self.intervals.back().is_some_and(|interval| interval.number > 0)
    }

    /// Sets the start of the first interval: samples are taken from now on.
    pub fn begin(&mut self, start_ns: u64) {
        if let Some(interval) = self.intervals.back_mut() {
            interval.begin(start_ns);
        }
    }

    /// The oldest interval that has ended, if nothing in it waits; with `is_forced`, even if something does.
    pub fn take_finished(&mut self, is_forced: bool) -> Option<Recording> {
        let interval = self.intervals.front_mut()?;
        let (number, end_ns) = (interval.number, interval.end_ns?);
        if is_forced {
            self.release(|waiting| waiting.interval <= number);
        } else {
            let names = self.native.as_ref().map(|native| &native.names);
            let waits = self.waiting.iter().any(|waiting| waiting.interval == number);
            if waits || !interval.is_named(names) {
                return None;
            }
        }
        let interval = self.intervals.pop_front()?;
        add_overflow(&mut self.overflow, interval.aggregator.overflow());
        let start_ns = interval.start_ns;
        for (process, tid) in interval.aggregator.threads() {
            self.thread_names.note_use(process, tid, end_ns);
        }
        let mut recording = interval.aggregator.finish(&self.late_names());
        recording.duration = Duration::from_nanos(end_ns.saturating_sub(start_ns));
        self.give_back(number);
        self.thread_names.expire(end_ns);
        Some(recording)
    }

    /// Addresses whose names have not arrived yet.
    #[must_use]
    pub fn names_outstanding(&self) -> usize {
        self.native
            .as_ref()
            .map_or(0, |native| native.names.outstanding())
    }

    /// Settles everything that is still open, because nothing more will come.
    pub fn settle(&mut self) {
        self.add_all_waits(None);
        self.release(|_| true);
        if let Some(native) = &mut self.native {
            native.names.settle_all();
        }
    }

    /// Samples that are counted, but not under their own name.
    #[must_use]
    pub fn overflow(&self) -> Overflow {
        let mut all = self.overflow;
        for interval in &self.intervals {
            add_overflow(&mut all, interval.aggregator.overflow());
        }
        all.thread_names = self.thread_names.refused();
        all
    }

    /// Python frames without a name so far.
    #[must_use]
    pub fn unnamed(&self) -> &UnnamedFrames {
        self.python.unnamed()
    }

    /// What was not asked about, because the process had asked too much already.
    #[must_use]
    pub fn not_asked(&self) -> NotAsked {
        self.python.not_asked()
    }

    /// How native stacks fared, where they are recorded.
    #[must_use]
    pub fn native_counts(&self) -> Option<&NativeCounts> {
        self.native.as_ref().map(|native| &native.counts)
    }

    /// Different native addresses without a name so far, by reason.
    pub fn unnamed_addresses(&self) -> impl Iterator<Item = (NativeUnresolved, u64)> {
        self.native.iter().flat_map(|native| native.names.unnamed())
    }

    /// Position of the interval in which a sample was taken, or of the oldest that is still there.
    fn interval_at(&self, time_ns: u64) -> usize {
        let after = self
            .intervals
            .iter()
            .rposition(|interval| interval.start_ns <= time_ns);
        after.unwrap_or(0)
    }

    /// Names from the oldest on, as long as everything is there or `gave_up` says to go without.
    fn release(&mut self, gave_up: impl Fn(&Waiting) -> bool) {
        while let Some(oldest) = self.waiting.front() {
            let number = oldest.interval;
            let of_number = |interval: &&mut Interval| interval.number >= number;
            let Some(interval) = self.intervals.iter_mut().find(of_number) else {
                return;
            };
            let may_wait = !gave_up(oldest);
            if !self
                .python
                .name(&oldest.sample, oldest.root, may_wait, interval, &mut self.named)
            {
                return;
            }
            if let Some(waiting) = self.waiting.pop_front() {
                let names = self.native.as_ref().map(|native| &native.names);
                interval.add(&waiting.sample, &self.named, &waiting.steps, names, || {
                    waiting.process
                });
            }
        }
    }

    fn late_names(&self) -> Late<'_> {
        Late {
            native: self.native.as_ref().map(|native| &native.names),
            threads: &self.thread_names,
        }
    }

    /// Forgets what only intervals up to this number could show.
    fn give_back(&mut self, number: u64) {
        while let Some((last, process)) = self.gone.front().copied() {
            if last > number {
                break;
            }
            self.gone.pop_front();
            self.thread_names.forget(process);
        }
        if let (Some(native), Some(oldest)) = (&mut self.native, self.intervals.front()) {
            native.names.forget_before(oldest.generation);
        }
    }
}

fn add_overflow(all: &mut Overflow, of_interval: Overflow) {
    all.stacks += of_interval.stacks;
    all.threads += of_interval.threads;
    all.frames += of_interval.frames;
    all.cut += of_interval.cut;
    all.timeline += of_interval.timeline;
}

/// Names as they are known now.
struct Late<'a> {
    native: Option<&'a NativeNames>,
    threads: &'a ThreadNames,
}

impl LateNames for Late<'_> {
    fn frames(&self, index: usize) -> Vec<Frame> {
        let (Some(names), Ok(index)) = (self.native, u32::try_from(index)) else {
            return Vec::new();
        };
        let address = AddressId(index);
        match names.names(address) {
            Some(frames) => frames.to_vec(),
            None => names.nameless(address),
        }
    }

    fn thread(&self, process: ProcessKey, tid: u32) -> Option<String> {
        self.threads.get(process, tid).map(str::to_owned)
    }
}
