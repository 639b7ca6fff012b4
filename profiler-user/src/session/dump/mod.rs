//! One stack of every thread, without stopping any: what `dump` shows.
//!
//! A thread that is off its CPU is read from outside, and stays so all the while or is read again. One that runs is sampled
//! when its CPU is next interrupted. Whichever comes first is of one moment.

mod looked;
mod values;

use std::time::{Duration, Instant};

use profiler_common::contract::reasons::GilState;
use profiler_common::contract::sources::Source;

pub use self::looked::Moment;
use self::looked::{Found, Looked, Mixed, State, counted, has_python};
pub use self::values::ThreadLocals;
use super::error::SessionError;
use super::intake::Intake;
use super::listener::Listener;
use super::signals::Signals;
use super::{Session, read_stacks};
use crate::clock::monotonic_ns;
use crate::ids::ProcessKey;
use crate::inspect::{Answer, Inspectors, Question};
use crate::language::python::locals::LocalsWanted;
use crate::pipeline::wait_of_process;
use crate::proc;
use crate::processes::tracker::RefusedProcess;
use crate::profile::Recording;
use crate::sources::{EventSource, Rate};
use crate::wire::decode::Wait;

/// Threads that are asked about at the same time: more than a worker reads between two looks.
const AT_ONCE: usize = 64;
/// Time between two looks at what has come.
const EVERY: Duration = Duration::from_millis(2);

/// One stack of every thread.
#[derive(Debug)]
pub struct Dump {
    /// Frames, processes and names: one sample for each of `threads` that has a stack.
    pub recording: Recording,
    /// What was looked at, by process id.
    pub processes: Vec<DumpedProcess>,
    /// Threads that have run Python code, by process and thread id.
    pub threads: Vec<DumpedThread>,
    /// Interpreters that are not supported or do not answer.
    pub refusals: Vec<RefusedProcess>,
    /// Threads that were not looked at, because there are too many.
    pub left_out: usize,
    /// Threads whose variables were wanted and are not shown, because there are too many.
    pub without_locals: usize,
    /// It was ended before every thread had its stack: so many are missing.
    pub stopped_without: Option<usize>,
}

/// A process whose threads were looked at.
#[derive(Clone, Debug)]
pub struct DumpedProcess {
    /// Its process id.
    pub pid: u32,
    /// Its parent's; 0 where that is not visible.
    pub parent: u32,
    /// Its arguments joined by spaces.
    pub command_line: String,
    /// `3.13.5`.
    pub version: String,
    /// The file of its interpreter, as the process sees it.
    pub file: String,
}

/// A thread, besides its frames.
#[derive(Clone, Debug)]
pub struct DumpedThread {
    /// Its process.
    pub pid: u32,
    /// Its id, as the initial pid namespace counts.
    pub tid: u32,
    /// What `threading.get_ident()` says in it; 0 where that is not known.
    pub ident: u64,
    /// Whether it ran or waited for a CPU.
    pub is_active: bool,
    /// Whether it held the GIL.
    pub gil: GilState,
    /// What it waited for, unless it was active.
    pub wait: Wait,
    /// Whether its frames are of one moment.
    pub moment: Moment,
    /// The variables of its frames, if they were wanted and could be read.
    pub locals: Option<ThreadLocals>,
}

impl Session {
    /// Takes one stack of every thread that exists now. `at_most` is how long threads are waited for that run all the time. With
    /// `room`, the variables of their frames are read, too: in so many characters each.
    ///
    /// # Errors
    /// When sampling cannot begin.
    pub async fn dump(
        mut self,
        signals: &mut Signals,
        listener: &mut impl Listener,
        at_most: Duration,
        room: Option<u16>,
    ) -> Result<Dump, SessionError> {
        let rate = Rate {
            hz: self.settings.rate_hz,
            period: 1,
        };
        self.pipeline.begin(monotonic_ns());
        for source in EventSource::of_all(&[Source::OnCpu]) {
            self.sampling.push(source.start(&mut self.kernel, rate)?);
        }
        self.kernel.find_entered_threads();
        let processes = self.dumped_processes();
        let mut looked = self.all_threads();
        looked.values.room = room;
        let end = Instant::now() + at_most;
        let mut was_stopped = false;
        while looked.goes_on(end) && !was_stopped {
            self.look(&mut looked);
            if looked.is_settled() {
                break;
            }
            tokio::select! {
                _ = signals.stop() => was_stopped = true,
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        self.sampling.clear();
        let left_out = looked.left_out;
        let without_locals = looked.values.left_out();
        let mut threads = self.found(looked);
        let stopped_without = was_stopped.then(|| {
            let all = threads.len();
            threads.retain(|thread| thread.moment != Moment::None);
            all - threads.len()
        });
        self.settle_drain(false, true);
        self.wait_for_names(signals, listener).await;
        let recording = self.finish(Duration::ZERO, listener);
        Ok(Dump {
            recording,
            processes,
            threads,
            refusals: self.tracker.refusals().collect(),
            left_out,
            without_locals,
            stopped_without,
        })
    }

    fn dumped_processes(&self) -> Vec<DumpedProcess> {
        let keys = self.tracker.all_current();
        let mut processes: Vec<DumpedProcess> = keys
            .filter_map(|key| {
                let process = self.tracker.get(key).filter(|process| process.admitted)?;
                Some(DumpedProcess {
                    pid: key.tgid,
                    parent: proc::stat(key.tgid).map_or(0, |stat| stat.parent),
                    command_line: process.command_line.clone(),
                    version: process.interpreter.version_text(),
                    file: process.interpreter.file.display().to_string(),
                })
            })
            .collect();
        processes.sort_by_key(|process| process.pid);
        processes
    }

    fn all_threads(&self) -> Looked {
        let mut looked = Looked::default();
        for process in self.tracker.all_current() {
            if self.tracker.get(process).is_none_or(|known| !known.admitted) {
                continue;
            }
            // A process that is gone has none.
            for tid in proc::threads(process.tgid).unwrap_or_default() {
                let slot = self.kernel.slot(tid);
                looked.add(process, tid, slot.map_or(0, |slot| slot.thread_pointer));
            }
        }
        looked
    }

    /// Takes what has come, and asks on.
    fn look(&mut self, looked: &mut Looked) {
        self.with_meets(|intake: &mut Intake, meets| {
            intake.drain_into(meets, |sample| looked.sampled(sample));
        });
        let inspectors = self.tracker.inspectors();
        inspectors.pump();
        for (ticket, tid) in std::mem::take(&mut looked.pending) {
            let Some(answer) = inspectors.take(ticket) else {
                looked.pending.push((ticket, tid));
                continue;
            };
            let Some(looking) = looked.threads.get(&tid) else {
                continue;
            };
            let (process, is_open) = (looking.process, matches!(looking.state, State::Open(_)));
            let Ok(Answer::Stack(found)) = answer else {
                looked.settle(tid, State::Settled(Found::NOTHING));
                looked.values.give_up(tid);
                continue;
            };
            let sample = read_stacks::sample(&found.records, process, tid, &self.kernel, &mut self.pipeline);
            if !is_open {
                let frames = sample.map(|sample| sample.frames).unwrap_or_default();
                looked.values.read_later(process.tgid, tid, &frames, found.locals);
                continue;
            }
            let locals = ThreadLocals {
                frames: found.locals,
                are_of_that_moment: found.locals_are_of_that_moment,
            };
            let shown = match sample {
                Some(sample) if found.is_of_one_moment => {
                    let shown = looked.read(tid, sample, !found.was_blocked);
                    if shown.is_some() {
                        looked.values.read(process.tgid, tid, locals);
                    }
                    shown
                }
                Some(sample) => {
                    let mixed = Mixed {
                        sample,
                        is_active: !found.was_blocked,
                        locals,
                    };
                    looked.keep(tid, mixed);
                    None
                }
                None => {
                    let state = if proc::has_thread(process.tgid, tid) {
                        State::Settled(Found::NOTHING)
                    } else {
                        State::NotShown
                    };
                    looked.settle(tid, state);
                    None
                }
            };
            if let Some(sample) = shown {
                self.with_meets(|intake: &mut Intake, meets| intake.take_in(&sample, meets));
            }
        }
        self.ask_on(looked, &inspectors);
        if let Some((last, _)) = looked.pending.last() {
            inspectors.wait_for(*last);
        }
    }

    /// Asks about threads that have no stack yet, then about those without variables.
    fn ask_on(&self, looked: &mut Looked, inspectors: &Inspectors) {
        while looked.pending.len() < AT_ONCE {
            let (tid, is_open) = match looked.next.pop_front() {
                Some(tid) if looked.open(tid).is_some() => (tid, true),
                Some(_) => continue,
                None => match looked.values.next() {
                    Some(tid) => (tid, false),
                    None => break,
                },
            };
            let Some(looking) = looked.threads.get(&tid) else {
                continue;
            };
            let (process, thread_pointer) = (looking.process, looking.thread_pointer);
            if is_open && thread_pointer == 0 {
                continue;
            }
            let thread = (thread_pointer != 0)
                .then(|| read_stacks::thread(&self.kernel, process, tid, thread_pointer))
                .flatten();
            let room = looked.values.room;
            let room = room.filter(|_| looked.values.has_room(process.tgid, tid));
            let locals = room.and_then(|room| self.locals_wanted(process, room));
            match thread {
                Some(thread) if is_open || locals.is_some() => {
                    let ticket = inspectors.ask(&Question::Stack { thread, locals });
                    looked.pending.push((ticket, tid));
                }
                _ if is_open => looked.settle(tid, State::NotShown),
                _ => looked.values.give_up(tid),
            }
        }
    }

    fn locals_wanted(&self, process: ProcessKey, room: u16) -> Option<Box<LocalsWanted>> {
        let objects = self.tracker.get(process)?.interpreter.objects;
        Some(Box::new(LocalsWanted { objects, room }))
    }

    /// Passes on the stacks that are not of one moment, and says what is known of each thread.
    fn found(&mut self, mut looked: Looked) -> Vec<DumpedThread> {
        let inspectors = self.tracker.inspectors();
        for (ticket, _) in &looked.pending {
            inspectors.forget(*ticket);
        }
        let mut threads = Vec::new();
        for (tid, looking) in looked.threads {
            let found = match looking.state {
                State::NotShown => continue,
                State::Settled(found) => found,
                State::Open(Some(mixed)) if !has_python(&mixed.sample) => continue,
                State::Open(Some(mixed)) => {
                    looked.values.read(looking.process.tgid, tid, mixed.locals);
                    let found = Found::of(&mixed.sample, mixed.is_active, Moment::Several);
                    let sample = counted(mixed.sample);
                    self.with_meets(|intake: &mut Intake, meets| intake.take_in(&sample, meets));
                    found
                }
                State::Open(None) => Found {
                    is_active: proc::stat(tid).is_ok_and(|stat| stat.state == 'R'),
                    ..Found::NOTHING
                },
            };
            let process = self.tracker.get(looking.process);
            let interpreter = process.map(|process| &*process.interpreter);
            threads.push(DumpedThread {
                pid: looking.process.tgid,
                tid,
                ident: looking.thread_pointer,
                is_active: found.is_active,
                gil: found.gil,
                wait: wait_of_process(found.wait, interpreter),
                moment: found.moment,
                locals: looked.values.take(tid),
            });
        }
        threads.sort_by_key(|thread| (thread.pid, thread.tid));
        threads
    }
}
