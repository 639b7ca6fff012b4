//! Names of threads as Python's `threading` has them, read from the memory of running processes.
//!
//! From 3.14 on the kernel's name of a thread is its Python name, cut off after 15 bytes; before, all threads of a process
//! look alike there. Used by the recorder when an output shows threads. A thread is looked up when it is sampled, again
//! after some seconds (it may have been renamed), and for no more than a small part of the time; whoever is gone by then,
//! or has no Python name, keeps the kernel's.

mod registry;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use profiler_common::memory::{Memory, RemoteAddr};

use crate::code::store::ProcessKey;
use crate::interpreter::Interpreter;
use crate::objects::{Objects, word};
use crate::process::memory::ProcMemory;
use crate::recorder::Sample;

/// Time between two looks at a thread whose name is known.
const RENAMED_AFTER: Duration = Duration::from_secs(5);
/// Time until the second look at one without a name; doubled with each.
const FIRST_PATIENCE: Duration = Duration::from_millis(200);
/// Time between two readings of all threads of an interpreter.
const READ_EVERY: Duration = Duration::from_millis(100);
/// Time between two searches for `threading` in an interpreter that has not imported it.
const SEARCH_EVERY: Duration = Duration::from_secs(1);
/// Time spent on looks after each drain of the rings; the last one may exceed it.
const BUDGET: Duration = Duration::from_millis(4);
/// Processes remembered, and threads and interpreters of each.
const MAX_PROCESSES: usize = 1 << 14;
/// See [`MAX_PROCESSES`].
const MAX_THREADS: usize = 1 << 16;
/// See [`MAX_PROCESSES`].
const MAX_INTERPRETERS: usize = 64;

/// See the module.
#[derive(Debug, Default)]
pub struct ThreadNames {
    processes: HashMap<ProcessKey, Process>,
    spent: Duration,
}

#[derive(Debug, Default)]
struct Process {
    threads: HashMap<u32, Known>,
    /// By the address of the interpreter.
    registries: HashMap<RemoteAddr, Registry>,
}

#[derive(Debug)]
struct Known {
    name: Option<String>,
    look_again: Instant,
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
    /// Looks up the thread of a sample, unless that was done a moment ago.
    pub fn look(&mut self, sample: &Sample, interpreter: &Interpreter) {
        let started = Instant::now();
        let is_due = |known: &Known| started >= known.look_again;
        let known = self
            .processes
            .get(&sample.process)
            .and_then(|process| process.threads.get(&sample.tid));
        if sample.thread_state == 0 || self.spent >= BUDGET || !known.is_none_or(is_due) {
            return;
        }
        if self.processes.len() >= MAX_PROCESSES {
            self.processes.clear();
        }
        let process = self.processes.entry(sample.process).or_default();
        // The thread's own entry is there even when the first thread of the process has exited.
        let name = ProcMemory::open(sample.tid).ok().and_then(|memory| {
            let objects = Objects::new(&memory, &interpreter.layout, &interpreter.objects);
            process.find(&objects, interpreter, RemoteAddr(sample.thread_state))
        });
        process.remember(sample.tid, name, started);
        self.spent += started.elapsed();
    }

    /// The name of a thread, if it has one and was looked up.
    #[must_use]
    pub fn get(&self, process: ProcessKey, tid: u32) -> Option<&str> {
        self.processes.get(&process)?.threads.get(&tid)?.name.as_deref()
    }

    /// The process is gone.
    pub fn forget(&mut self, process: ProcessKey) {
        self.processes.remove(&process);
    }

    /// To be called after each drain of the rings.
    pub fn end_drain(&mut self) {
        self.spent = Duration::ZERO;
    }
}

impl Process {
    /// The name of the thread with this `PyThreadState`: by the process's first interpreter, or by the one that the thread
    /// runs, where that has started it.
    fn find<M: Memory>(
        &mut self,
        objects: &Objects<'_, M>,
        interpreter: &Interpreter,
        thread_state: RemoteAddr,
    ) -> Option<String> {
        let fields = &interpreter.layout.thread_state;
        let field = |at: u16| word(objects.memory(), thread_state.offset(at.into()));
        let ident = field(fields.thread_id).filter(|ident| *ident != 0)?;
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

    /// A thread that has no name any more, because it is about to end, keeps the one it had.
    fn remember(&mut self, tid: u32, name: Option<String>, now: Instant) {
        if self.threads.len() >= MAX_THREADS {
            self.threads.clear();
        }
        let known = self.threads.entry(tid).or_insert(Known {
            name: None,
            look_again: now,
            patience: FIRST_PATIENCE,
        });
        let wait = if name.is_some() {
            RENAMED_AFTER
        } else {
            let wait = known.patience;
            known.patience = (2 * wait).min(RENAMED_AFTER);
            wait
        };
        known.name = name.or_else(|| known.name.take());
        known.look_again = now + wait;
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
