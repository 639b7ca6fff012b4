//! The threads of profiled processes, where time off the CPU is recorded: entered here when the kernel half did not see them
//! begin, and read while they are off their CPU. See [`profiler_common::contract::spell`].

use std::io;

use aya::maps::MapError;
use aya::programs::links::LinkError;
use aya::programs::raw_trace_point::RawTracePointLink;
use aya::programs::{Iter, ProgramError, RawTracePoint};
use profiler_common::contract::programs::{FIND_THREADS, SWITCH, Tracepoint, WAKE};
use profiler_common::contract::spell::{SpellTime, ThreadSlot, thread_state};

use super::error::LoadError;
use super::load::{Kernel, program};
use super::maps::Plain;
use crate::clock::monotonic_ns;
use crate::ids::ProcessKey;
use crate::proc;

/// `BPF_NOEXIST`: only where nothing is.
const ONLY_NEW: u64 = 1;

/// Why threads were not gone through.
#[derive(Debug, thiserror::Error)]
enum IterationError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Program(#[from] ProgramError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Read(#[from] io::Error),
}

/// Time off the CPU is being watched. Dropping it ends that; what is under way on other CPUs is finished.
#[derive(Debug)]
pub struct Watch {
    _programs: [RawTracePointLink; 2],
}

impl Kernel {
    /// Watches time off the CPU from now on.
    ///
    /// # Errors
    /// [`LoadError::Program`] unless loaded with that source, [`LoadError::Map`].
    pub fn watch_threads(&mut self) -> Result<Watch, LoadError> {
        let name = "SPELLS_SINCE";
        self.threads
            .since
            .set(0, monotonic_ns(), 0)
            .map_err(|source| LoadError::Map { name, source })?;
        let watch = Watch {
            _programs: [self.attach(WAKE)?, self.attach(SWITCH)?],
        };
        self.find_entered_threads();
        Ok(watch)
    }

    fn attach(&mut self, tracepoint: Tracepoint) -> Result<RawTracePointLink, LoadError> {
        let name = tracepoint.program;
        let program = program::<RawTracePoint>(&mut self.ebpf, name)?;
        let link = program
            .attach(tracepoint.name)
            .and_then(|link| program.take_link(link));
        link.map_err(|source| LoadError::Program { name, source })
    }

    /// Enters the threads of a process that is known to the kernel half, which enters those that begin from now on.
    pub(super) fn enter_threads(&mut self, key: ProcessKey) {
        if !self.threads.are_watched {
            return;
        }
        // A process that is gone has none.
        for tid in proc::threads(key.tgid).unwrap_or_default() {
            let slot = ThreadSlot::entered(key.tgid, key.incarnation, monotonic_ns());
            let is_known = |slot: &Plain<ThreadSlot>| slot.0.incarnation == key.incarnation;
            let threads = &mut self.threads.threads;
            // One of an earlier thread with this id, whose exit came before it was entered, is replaced.
            let flags = match threads.get(&tid, 0) {
                Ok(known) if is_known(&known) => continue,
                Ok(_) => 0,
                Err(_) => ONLY_NEW,
            };
            let inserted = threads.insert(tid, Plain(slot), flags);
            if inserted.is_err() && threads.get(&tid, 0).is_err() {
                self.threads.refused += 1;
            } else {
                self.threads.entered += 1;
            }
        }
    }

    /// Threads that were entered here so far: what they are doing was decided before anybody looked.
    #[must_use]
    pub fn entered_threads(&self) -> u64 {
        self.threads.entered
    }

    /// Has the kernel half find out where the stacks of threads begin that were entered since the last time and may not run
    /// at all. Where it cannot, their time has no stack until they run.
    pub fn find_entered_threads(&mut self) {
        if self.threads.looked_for == self.threads.entered {
            return;
        }
        self.threads.looked_for = self.threads.entered;
        if let Err(error) = self.go_through_threads() {
            log::debug!("BPF program `{FIND_THREADS}`: {error}");
        }
    }

    fn go_through_threads(&mut self) -> Result<(), IterationError> {
        let program = program::<Iter>(&mut self.ebpf, FIND_THREADS)?;
        let link = program.attach()?;
        let mut file = program.take_link(link)?.into_file()?;
        // It writes nothing: reading it is what makes it go.
        io::copy(&mut file, &mut io::sink())?;
        Ok(())
    }

    /// Forgets threads that exited while they were being entered: the kernel half could not know of them.
    pub fn sweep_threads(&mut self) {
        let is_gone = |(tid, slot): &(u32, ThreadSlot)| {
            slot.state == thread_state::ENTERED && !proc::has_thread(slot.tgid, *tid)
        };
        let gone: Vec<u32> = self.slots().filter(is_gone).map(|(tid, _)| tid).collect();
        for tid in gone {
            if let Err(error) = self.threads.threads.remove(&tid) {
                log::trace!("thread {tid} was already forgotten: {error}");
            }
        }
    }

    /// What is kept of every thread, each with its id. Times go on while it is read, unless nothing is watched any more.
    pub fn slots(&self) -> impl Iterator<Item = (u32, ThreadSlot)> + '_ {
        let slots = self.threads.threads.iter();
        slots.filter_map(|slot| match slot {
            Ok((tid, Plain(slot))) => Some((tid, slot)),
            // It exited meanwhile.
            Err(MapError::KeyNotFound) => None,
            Err(error) => {
                log::debug!("threads: {error}");
                None
            }
        })
    }

    /// What is kept of a thread.
    #[must_use]
    pub fn slot(&self, tid: u32) -> Option<ThreadSlot> {
        let slot = self.threads.threads.get(&tid, 0).ok();
        slot.map(|Plain(slot)| slot)
    }

    /// When time off the CPU began to be watched, `CLOCK_MONOTONIC` nanoseconds; 0 before.
    #[must_use]
    pub fn watched_since_ns(&self) -> u64 {
        self.threads.since.get(&0, 0).unwrap_or(0)
    }

    /// Time that profiled threads spent off their CPUs in spells that have ended, nanoseconds.
    #[must_use]
    pub fn spell_time_ns(&self, time: SpellTime) -> u64 {
        let times = self.threads.times.get(&(time as u32), 0);
        times.map_or(0, |times| times.iter().sum())
    }
}
