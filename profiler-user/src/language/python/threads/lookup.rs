//! The name of one thread, from the memory of its process: the thread's state leads to its interpreter, whose
//! `threading._active` has the `Thread` object. Remembers where that was found. Runs in a worker.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use profiler_common::contract::layout::Layout;
use profiler_common::memory::{Memory, RemoteAddr};
use serde::{Deserialize, Serialize};

use super::registry::Named;
use super::{SampledThread, registry};
use crate::ids::ProcessKey;
use crate::language::python::Interpreter;
use crate::language::python::layout::objects::ObjectFields;
use crate::language::python::objects::{Objects, word};
use crate::proc::{self, memory::ProcMemory};

/// Time between two readings of all threads of an interpreter.
const READ_EVERY: Duration = Duration::from_millis(50);
/// Most time between two searches for `threading` in an interpreter that has not imported it. A program may import it and
/// start its threads at any moment.
const SEARCH_EVERY: Duration = Duration::from_secs(1);
/// What a search takes is at most this part of the time until the next one.
const SEARCH_SHARE: u32 = 20;
/// Processes remembered, and interpreters of each.
const MAX_PROCESSES: usize = 1 << 12;
/// See [`MAX_PROCESSES`].
const MAX_INTERPRETERS: usize = 64;

/// What it takes to read the threads of an interpreter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ThreadFields {
    /// Where it keeps its fields.
    #[serde(with = "crate::as_bytes::numbers")]
    pub layout: Layout,
    /// Where it keeps what only user space reads.
    pub objects: ObjectFields,
    /// As [`Interpreter::kernel_id`].
    pub kernel_id: Option<u16>,
}

impl ThreadFields {
    /// Those of an interpreter.
    #[must_use]
    pub fn of(interpreter: &Interpreter) -> Self {
        Self {
            layout: interpreter.layout,
            objects: interpreter.objects,
            kernel_id: interpreter.kernel_id(),
        }
    }
}

/// Where the threads of processes were found.
#[derive(Debug, Default)]
pub struct Registries {
    processes: HashMap<ProcessKey, OfProcess>,
}

#[derive(Debug, Default)]
struct OfProcess {
    /// By the address of the interpreter.
    registries: HashMap<RemoteAddr, Registry>,
}

/// `threading._active`, as it was when it was read.
#[derive(Debug)]
struct Registry {
    active: Option<RemoteAddr>,
    threads: HashMap<u64, RemoteAddr>,
    /// Before, it is not read again.
    read_again: Instant,
}

impl Registries {
    /// The name of a thread, if it has one and is there.
    pub fn name(&mut self, thread: SampledThread, fields: &ThreadFields) -> Option<String> {
        if self.processes.len() >= MAX_PROCESSES && !self.processes.contains_key(&thread.process) {
            self.processes.clear();
        }
        // The thread's own entry is there even when the first thread of the process has exited.
        let memory = ProcMemory::open(thread.tid).ok()?;
        let objects = Objects::new(&memory, &fields.layout, &fields.objects);
        let process = self.processes.entry(thread.process).or_default();
        process.find(&objects, fields, thread)
    }
}

impl OfProcess {
    /// The name of a thread: by the process's first interpreter, or by the one that the thread
    /// runs, where that has started it.
    fn find<M: Memory>(
        &mut self,
        objects: &Objects<'_, M>,
        reading: &ThreadFields,
        sampled: SampledThread,
    ) -> Option<String> {
        let fields = &reading.layout.thread_state;
        let state = RemoteAddr(sampled.thread_state);
        let field = |at: u16| word(objects.memory(), state.offset(at.into()));
        let ident = field(fields.thread_id).filter(|ident| *ident != 0)?;
        // By now the state may be another thread's.
        let mut id = [0; 4];
        let kernel_id = RemoteAddr(ident).offset(reading.kernel_id?.into());
        objects.memory().read_bytes(kernel_id, &mut id, 4).ok()?;
        let tid = u32::from_le_bytes(id);
        if tid != proc::innermost_id(sampled.tid).ok()? {
            return None;
        }
        let own = RemoteAddr(field(fields.interp)?);
        let main = registry::main_interpreter(objects, own);
        let of = |process: &mut Self, interpreter| process.name(objects, interpreter, (ident, tid));
        of(self, main).or_else(|| (own != main).then(|| of(self, own)).flatten())
    }

    fn name<M: Memory>(
        &mut self,
        objects: &Objects<'_, M>,
        interpreter: RemoteAddr,
        (ident, tid): (u64, u32),
    ) -> Option<String> {
        let named = |registry: &Registry| {
            let thread = *registry.threads.get(&ident)?;
            registry::name(objects, thread, ident)
        };
        let known = self.registries.get(&interpreter);
        if let Some(registry) = known {
            // A thread that has ended since then may have left its `pthread_self()` to another one.
            let is_it = |named: &Named| named.native_id.is_none_or(|id| id == u64::from(tid));
            let name = named(registry).filter(is_it).map(|named| named.name);
            if name.is_some() || Instant::now() < registry.read_again {
                return name;
            }
        }
        let start = Instant::now();
        let active = known
            .and_then(|registry| registry.active)
            .or_else(|| registry::find(objects, interpreter));
        let threads = active.and_then(|active| registry::threads(objects, active));
        let patience = match active {
            Some(_) => READ_EVERY,
            None => (start.elapsed() * SEARCH_SHARE).clamp(READ_EVERY, SEARCH_EVERY),
        };
        if self.registries.len() >= MAX_INTERPRETERS {
            self.registries.clear();
        }
        let registry = Registry {
            // What is no dictionary any more is to be searched for again.
            active: threads.as_ref().and(active),
            threads: threads.unwrap_or_default(),
            read_again: Instant::now() + patience,
        };
        let name = named(&registry).map(|named| named.name);
        self.registries.insert(interpreter, registry);
        name
    }
}
