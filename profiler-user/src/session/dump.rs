//! One stack of every thread, without stopping any: what `dump` shows.
//!
//! A thread that is off its CPU is read from outside, and stays so all the while or is read again. One that runs is sampled
//! when its CPU is next interrupted. Whichever comes first is of one moment.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::sources::Source;

use super::error::SessionError;
use super::intake::Intake;
use super::listener::Listener;
use super::signals::Signals;
use super::{Session, read_stacks};
use crate::clock::monotonic_ns;
use crate::ids::ProcessKey;
use crate::inspect::{Answer, Question};
use crate::proc;
use crate::processes::tracker::RefusedProcess;
use crate::profile::Recording;
use crate::sources::{EventSource, Rate};
use crate::wire::assembly::Sample;
use crate::wire::decode::Wait;
use crate::workers::Ticket;

/// Threads that are asked about at the same time.
const AT_ONCE: usize = 16;
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
    /// It was ended before every thread had its stack.
    pub was_stopped: bool,
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
}

/// Whether what was read of a thread is of one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Yes: the thread did not run meanwhile.
    One,
    /// It ran while it was read, each time: frames may be of different moments.
    Several,
    /// Its memory did not answer: there are no frames.
    None,
}

/// What is looked for, and what was found.
#[derive(Default)]
struct Looked {
    threads: HashMap<u32, Looking>,
    pending: Vec<(Ticket, u32)>,
    /// Threads that are to be asked about, next first from the end.
    next: Vec<u32>,
}

struct Looking {
    process: ProcessKey,
    thread_pointer: u64,
    found: Option<Found>,
    /// Nothing better will be found.
    is_settled: bool,
}

struct Found {
    /// `None` where nothing answered.
    sample: Option<Sample>,
    is_active: bool,
    moment: Moment,
}

impl Session {
    /// Takes one stack of every thread that exists now. `at_most` is how long threads are waited for that run all the time.
    ///
    /// # Errors
    /// When sampling cannot begin.
    pub async fn dump(
        mut self,
        signals: &mut Signals,
        listener: &mut impl Listener,
        at_most: Duration,
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
        let end = Instant::now() + at_most;
        let mut was_stopped = false;
        while !looked.is_settled() && Instant::now() < end && !was_stopped {
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
        let threads = self.take_in(looked);
        self.settle_drain(false, true);
        self.wait_for_names(signals, listener).await;
        let recording = self.finish(Duration::ZERO, listener);
        Ok(Dump {
            recording,
            processes,
            threads,
            refusals: self.tracker.refusals().collect(),
            was_stopped,
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
                let looking = Looking {
                    process,
                    thread_pointer: slot.map_or(0, |slot| slot.thread_pointer),
                    found: None,
                    is_settled: false,
                };
                looked.threads.insert(tid, looking);
                looked.next.push(tid);
            }
        }
        looked.next.sort_unstable_by(|one, other| other.cmp(one));
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
            let Some(looking) = looked.threads.get_mut(&tid).filter(|looking| !looking.is_settled) else {
                continue;
            };
            let Ok(Answer::Stack(found)) = answer else {
                looking.give_up();
                continue;
            };
            let process = looking.process;
            let sample = read_stacks::sample(&found.records, process, tid, &self.kernel, &mut self.pipeline);
            match sample {
                Some(sample) => looking.read(sample, found.is_of_one_moment, !found.was_blocked),
                None if !proc::has_thread(process.tgid, tid) => looking.is_settled = true,
                None => looking.give_up(),
            }
            if !looking.is_settled {
                looked.next.insert(0, tid);
            }
        }
        while looked.pending.len() < AT_ONCE
            && let Some(tid) = looked.next.pop()
        {
            let Some(looking) = looked.threads.get_mut(&tid).filter(|looking| !looking.is_settled) else {
                continue;
            };
            // Without it a thread has to run to be seen.
            if looking.thread_pointer == 0 {
                continue;
            }
            match read_stacks::thread(&self.kernel, looking.process, tid, looking.thread_pointer) {
                Some(thread) => {
                    let ticket = inspectors.ask(&Question::Stack { thread });
                    looked.pending.push((ticket, tid));
                }
                None => looking.is_settled = true,
            }
        }
        if let Some((last, _)) = looked.pending.last() {
            inspectors.wait_for(*last);
        }
    }

    /// Passes the stacks on to the pipeline, and says what is known of each thread besides.
    fn take_in(&mut self, looked: Looked) -> Vec<DumpedThread> {
        let inspectors = self.tracker.inspectors();
        for (ticket, _) in &looked.pending {
            inspectors.forget(*ticket);
        }
        let mut threads = Vec::new();
        for (tid, looking) in looked.threads {
            let thread = |sample: Option<&Sample>, is_active, moment| DumpedThread {
                pid: looking.process.tgid,
                tid,
                ident: looking.thread_pointer,
                is_active,
                gil: sample.map_or(GilState::Unknown, |sample| sample.gil),
                wait: sample.map_or(Wait::Unknown, |sample| sample.wait),
                moment,
            };
            match looking.found {
                Some(Found {
                    sample: Some(sample),
                    is_active,
                    moment,
                }) if has_python(&sample) => {
                    threads.push(thread(Some(&sample), is_active, moment));
                    self.with_meets(|intake: &mut Intake, meets| intake.take_in(&counted(sample), meets));
                }
                Some(Found { sample: Some(_), .. }) => {}
                Some(Found {
                    sample: None,
                    is_active,
                    moment,
                }) => threads.push(thread(None, is_active, moment)),
                // It has ended.
                None if looking.is_settled => {}
                None => {
                    let runs = proc::stat(tid).is_ok_and(|stat| stat.state == 'R');
                    threads.push(thread(None, runs, Moment::None));
                }
            }
        }
        threads.sort_by_key(|thread| (thread.pid, thread.tid));
        threads
    }
}

impl Looked {
    fn is_settled(&self) -> bool {
        self.threads.values().all(|looking| looking.is_settled)
    }

    /// A CPU was interrupted while it ran a thread.
    fn sampled(&mut self, sample: &Sample) {
        let looking = self.threads.get_mut(&sample.tid);
        let open = looking.filter(|looking| !looking.is_settled && looking.process == sample.process);
        if let Some(looking) = open
            && is_readable(sample.status)
        {
            looking.read(sample.clone(), true, true);
        }
    }
}

impl Looking {
    fn read(&mut self, sample: Sample, is_of_one_moment: bool, is_active: bool) {
        let moment = if is_of_one_moment {
            Moment::One
        } else {
            Moment::Several
        };
        let found = Found {
            sample: Some(sample),
            is_active,
            moment,
        };
        if is_of_one_moment {
            self.settle(found);
        } else {
            self.found = Some(found);
        }
    }

    /// Nothing can be read of it.
    fn give_up(&mut self) {
        self.settle(Found {
            sample: None,
            is_active: false,
            moment: Moment::None,
        });
    }

    fn settle(&mut self, found: Found) {
        self.found = Some(found);
        self.is_settled = true;
    }
}

/// Whether reading it again would not help.
fn is_readable(status: StackStatus) -> bool {
    !matches!(status, StackStatus::StateFault | StackStatus::NotTaken)
}

/// Whether the thread has a Python state.
fn has_python(sample: &Sample) -> bool {
    !matches!(
        sample.status,
        StackStatus::NoThreadState | StackStatus::NotInitialized
    )
}

/// As one sample of CPU time, whatever it was.
fn counted(mut sample: Sample) -> Sample {
    sample.source = Source::OnCpu;
    sample.weight = 1;
    // What it waited for is said apart, not as a frame.
    sample.wait = Wait::Unknown;
    sample
}
