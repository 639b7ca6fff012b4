//! Names of threads as Python's `threading` has them, read from the memory of running processes.
//!
//! From 3.14 on the kernel's name of a thread is its Python name, cut off after 15 bytes; before, all threads of a process
//! look alike there. Used by the session when an output shows threads. A thread that was sampled is looked up after the
//! samples have been read; once more soon, if it had no name yet (it may just have been started, and never be sampled again);
//! and again when it is sampled some seconds later (it may have been renamed). Whoever is gone by then, or has no Python
//! name, keeps the kernel's. Who is to be looked up is decided here; `lookup` does it, in a worker.

pub mod lookup;
mod registry;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::StackStatus;
use profiler_common::memory::RemoteAddr;
use serde::{Deserialize, Serialize};

use crate::fair_queue::FairQueue;
use crate::ids::ProcessKey;

/// Time until the second look at a thread whose name is known; doubled with each, up to the longest.
const RENAMED_AFTER: Duration = Duration::from_secs(5);
/// See [`RENAMED_AFTER`].
const RENAMED_AFTER_AT_MOST: Duration = Duration::from_secs(60);
/// Time until the second look at one without a name, sampled again or not. `lookup` reads the threads of a process again after
/// a shorter time.
const SECOND_LOOK_AFTER: Duration = Duration::from_millis(60);
/// Time until the next look at one without a name that is sampled again; doubled with each.
const FIRST_PATIENCE: Duration = Duration::from_millis(200);
/// Threads that wait to be looked up, of all processes and of one; further ones are when they are sampled again.
const MAX_WAITING: usize = 1 << 14;
const MAX_WAITING_OF_ONE: usize = 1 << 10;
/// Processes remembered, and threads of each.
const MAX_PROCESSES: usize = 1 << 14;
/// See [`MAX_PROCESSES`].
const MAX_THREADS: usize = 1 << 16;

/// Which threads are to be looked up.
#[derive(Debug, Default)]
pub struct ThreadNames {
    processes: HashMap<ProcessKey, KnownThreads>,
    waiting: FairQueue<ProcessKey, SampledThread>,
    /// Those for a second look, with the time of it: the earliest first.
    second: VecDeque<(Instant, SampledThread)>,
}

/// A thread, as its last sample has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampledThread {
    /// Its process.
    pub process: ProcessKey,
    /// As the initial pid namespace counts.
    pub tid: u32,
    /// Address of its `PyThreadState`.
    pub thread_state: u64,
}

#[derive(Debug, Default)]
struct KnownThreads {
    threads: HashMap<u32, Known>,
}

#[derive(Debug)]
struct Known {
    /// `None` while it waits.
    look_again: Option<Instant>,
    was_looked_up: bool,
    patience: Duration,
    /// How long its name stays what it is, probably.
    lasts: Duration,
}

impl ThreadNames {
    /// Arranges for a look at a thread that was sampled, unless there was one a moment ago. `thread_state` is the address of
    /// its state, if the sample knows it.
    pub fn note(&mut self, process: ProcessKey, tid: u32, thread_state: u64, status: StackStatus) {
        if !has_state(status)
            || RemoteAddr(thread_state).is_null()
            || self.waiting.len() >= MAX_WAITING
            || self.waiting.len_of(process) >= MAX_WAITING_OF_ONE
        {
            return;
        }
        if self.processes.len() >= MAX_PROCESSES {
            self.processes.clear();
        }
        let threads = &mut self.processes.entry(process).or_default().threads;
        if threads.len() >= MAX_THREADS {
            threads.clear();
        }
        match threads.get_mut(&tid) {
            Some(known) => {
                let is_due = |time: Instant| Instant::now() >= time;
                if !known.look_again.is_some_and(is_due) {
                    return;
                }
                known.look_again = None;
            }
            None => {
                threads.insert(tid, Known::default());
            }
        }
        let thread = SampledThread {
            process,
            tid,
            thread_state,
        };
        self.waiting.push(process, thread);
    }

    /// The next thread to be looked up. [`Self::looked_up`] follows for each.
    pub fn next_thread(&mut self) -> Option<SampledThread> {
        self.next_at(Instant::now())
    }

    fn next_at(&mut self, now: Instant) -> Option<SampledThread> {
        let is_due = |(time, _): &mut (Instant, SampledThread)| now >= *time;
        if let Some((_, thread)) = self.second.pop_front_if(is_due) {
            return Some(thread);
        }
        self.waiting.pop(|_| true).map(|(_, thread)| thread)
    }

    /// A thread was looked up, or could not be.
    pub fn looked_up(&mut self, thread: SampledThread, is_named: bool) {
        self.looked_up_at(Instant::now(), thread, is_named);
    }

    fn looked_up_at(&mut self, now: Instant, thread: SampledThread, is_named: bool) {
        let Some(process) = self.processes.get_mut(&thread.process) else {
            return;
        };
        let is_first = process.remember(thread.tid, is_named, now);
        if is_first && !is_named && self.second.len() < MAX_WAITING {
            self.second.push_back((now + SECOND_LOOK_AFTER, thread));
        }
    }

    /// The process is gone.
    pub fn forget(&mut self, process: ProcessKey) {
        self.processes.remove(&process);
        self.waiting.forget(process);
        self.second.retain(|(_, thread)| thread.process != process);
    }
}

/// Whether the thread state of a sample is known to be that of its thread.
fn has_state(status: StackStatus) -> bool {
    match status {
        StackStatus::Complete | StackStatus::NoFrames | StackStatus::FrameFault | StackStatus::Truncated => {
            true
        }
        StackStatus::NotInitialized
        | StackStatus::NoThreadState
        | StackStatus::StateFault
        | StackStatus::ForeignThreadState
        | StackStatus::TooManyThreads
        | StackStatus::NotTaken => false,
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            look_again: None,
            was_looked_up: false,
            patience: FIRST_PATIENCE,
            lasts: RENAMED_AFTER,
        }
    }
}

impl KnownThreads {
    /// A thread was looked up. Whether for the first time.
    fn remember(&mut self, tid: u32, is_named: bool, now: Instant) -> bool {
        let Some(known) = self.threads.get_mut(&tid) else {
            return false;
        };
        let is_first = !known.was_looked_up;
        known.was_looked_up = true;
        let wait = if is_named {
            let wait = known.lasts;
            known.lasts = (2 * wait).min(RENAMED_AFTER_AT_MOST);
            wait
        } else {
            let wait = known.patience;
            known.patience = (2 * wait).min(RENAMED_AFTER);
            wait
        };
        known.look_again = Some(now + wait);
        is_first
    }
}
