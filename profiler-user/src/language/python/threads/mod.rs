//! Names of threads as Python's `threading` has them, read from the memory of running processes.
//!
//! From 3.14 on the kernel's name of a thread is its Python name, cut off after 15 bytes; before, all threads of a process
//! look alike there. Used by the recorder when an output shows threads. A thread that was sampled is looked up after the
//! samples have been read, and again when it is sampled some seconds later (it may have been renamed), for no more than a
//! small part of the time; whoever is gone by then, or has no Python name, keeps the kernel's.

mod registry;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::StackStatus;
use profiler_common::memory::{Memory, RemoteAddr};

use crate::ids::ProcessKey;
use crate::language::python::Interpreter;
use crate::language::python::objects::{Objects, word};
use crate::proc::{self, memory::ProcMemory};

/// Time between two looks at a thread whose name is known.
const RENAMED_AFTER: Duration = Duration::from_secs(5);
/// Time until the second look at one without a name; doubled with each.
const FIRST_PATIENCE: Duration = Duration::from_millis(200);
/// Time between two readings of all threads of an interpreter.
const READ_EVERY: Duration = Duration::from_millis(50);
/// Time between two searches for `threading` in an interpreter that has not imported it.
const SEARCH_EVERY: Duration = Duration::from_secs(1);
/// Time spent on looks after each drain of the rings, and after the last one; the last look may exceed it.
const BUDGET: Duration = Duration::from_millis(10);
/// See [`BUDGET`].
const LAST_BUDGET: Duration = Duration::from_millis(250);
/// Threads that wait to be looked up; further ones are when they are sampled again.
const MAX_WAITING: usize = 1 << 14;
/// Processes remembered, and threads and interpreters of each.
const MAX_PROCESSES: usize = 1 << 14;
/// See [`MAX_PROCESSES`].
const MAX_THREADS: usize = 1 << 16;
/// See [`MAX_PROCESSES`].
const MAX_INTERPRETERS: usize = 64;

/// Finds names of threads, some at a time.
#[derive(Debug, Default)]
pub struct ThreadNames {
    processes: HashMap<ProcessKey, KnownThreads>,
    waiting: VecDeque<Sampled>,
}

/// A thread, as its last sample has it.
#[derive(Clone, Copy, Debug)]
struct Sampled {
    process: ProcessKey,
    tid: u32,
    thread_state: RemoteAddr,
}

#[derive(Debug, Default)]
struct KnownThreads {
    threads: HashMap<u32, Known>,
    /// By the address of the interpreter.
    registries: HashMap<RemoteAddr, Registry>,
}

#[derive(Debug)]
struct Known {
    /// `None` while it waits.
    look_again: Option<Instant>,
    patience: Duration,
}

/// `threading._active`, as it was when it was read.
#[derive(Debug)]
struct Registry {
    active: Option<RemoteAddr>,
    threads: HashMap<u64, RemoteAddr>,
    read: Instant,
}

impl ThreadNames {
    /// Arranges for a look at a thread that was sampled, unless there was one a moment ago. `thread_state` is the address of
    /// its state, if the sample knows it.
    pub fn note(&mut self, process: ProcessKey, tid: u32, thread_state: u64, status: StackStatus) {
        let thread_state = RemoteAddr(thread_state);
        if !has_state(status) || thread_state.is_null() || self.waiting.len() >= MAX_WAITING {
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
        self.waiting.push_back(Sampled {
            process,
            tid,
            thread_state,
        });
    }

    /// Looks up threads that wait, as long as there is time, and passes on the names that it finds. `interpreter` is asked
    /// what a process runs. To be called after each drain of the rings.
    pub fn look<'i>(
        &mut self,
        is_last: bool,
        interpreter: impl Fn(ProcessKey) -> Option<&'i Interpreter>,
        mut found: impl FnMut(ProcessKey, u32, String),
    ) {
        let started = Instant::now();
        let budget = if is_last { LAST_BUDGET } else { BUDGET };
        while started.elapsed() < budget
            && let Some(sampled) = self.waiting.pop_front()
        {
            let (Some(interpreter), Some(process)) = (
                interpreter(sampled.process),
                self.processes.get_mut(&sampled.process),
            ) else {
                continue;
            };
            // The thread's own entry is there even when the first thread of the process has exited.
            let name = ProcMemory::open(sampled.tid).ok().and_then(|memory| {
                let objects = Objects::new(&memory, &interpreter.layout, &interpreter.objects);
                process.find(&objects, interpreter, sampled)
            });
            log::trace!("thread {}: {name:?} at {:?}", sampled.tid, started.elapsed());
            process.remember(sampled.tid, name.is_some(), Instant::now());
            if let Some(name) = name {
                found(sampled.process, sampled.tid, name);
            }
        }
    }

    /// The process is gone.
    pub fn forget(&mut self, process: ProcessKey) {
        self.processes.remove(&process);
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
        | StackStatus::TooManyThreads => false,
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            look_again: None,
            patience: FIRST_PATIENCE,
        }
    }
}

impl KnownThreads {
    /// The name of a thread: by the process's first interpreter, or by the one that the thread
    /// runs, where that has started it.
    fn find<M: Memory>(
        &mut self,
        objects: &Objects<'_, M>,
        interpreter: &Interpreter,
        sampled: Sampled,
    ) -> Option<String> {
        let fields = &interpreter.layout.thread_state;
        let field = |at: u16| word(objects.memory(), sampled.thread_state.offset(at.into()));
        let ident = field(fields.thread_id).filter(|ident| *ident != 0)?;
        // By now the state may be another thread's.
        let mut id = [0; 4];
        let kernel_id = RemoteAddr(ident).offset(interpreter.kernel_id()?.into());
        objects.memory().read_bytes(kernel_id, &mut id, 4).ok()?;
        if u32::from_le_bytes(id) != proc::innermost_id(sampled.tid).ok()? {
            return None;
        }
        let own = RemoteAddr(field(fields.interp)?);
        let main = registry::main_interpreter(objects, own);
        let of = |process: &mut Self, interpreter| process.name(objects, interpreter, ident);
        of(self, main).or_else(|| (own != main).then(|| of(self, own)).flatten())
    }

    fn name<M: Memory>(
        &mut self,
        objects: &Objects<'_, M>,
        interpreter: RemoteAddr,
        ident: u64,
    ) -> Option<String> {
        let named = |registry: &Registry| {
            let thread = *registry.threads.get(&ident)?;
            registry::name(objects, thread, ident)
        };
        let known = self.registries.get(&interpreter);
        if let Some(registry) = known {
            let name = named(registry);
            if name.is_some() || registry.is_fresh() {
                return name;
            }
        }
        let active = known
            .and_then(|registry| registry.active)
            .or_else(|| registry::find(objects, interpreter));
        let threads = active.and_then(|active| registry::threads(objects, active));
        if self.registries.len() >= MAX_INTERPRETERS {
            self.registries.clear();
        }
        let registry = Registry {
            // What is no dictionary any more is to be searched for again.
            active: threads.as_ref().and(active),
            threads: threads.unwrap_or_default(),
            read: Instant::now(),
        };
        let name = named(&registry);
        self.registries.insert(interpreter, registry);
        name
    }

    /// A thread was looked up.
    fn remember(&mut self, tid: u32, is_named: bool, now: Instant) {
        let Some(known) = self.threads.get_mut(&tid) else {
            return;
        };
        let wait = if is_named {
            RENAMED_AFTER
        } else {
            let wait = known.patience;
            known.patience = (2 * wait).min(RENAMED_AFTER);
            wait
        };
        known.look_again = Some(now + wait);
    }
}

impl Registry {
    fn is_fresh(&self) -> bool {
        let every = if self.active.is_some() {
            READ_EVERY
        } else {
            SEARCH_EVERY
        };
        self.read.elapsed() < every
    }
}
