//! What the kernel half is told about processes.
//!
//! User space says what it found out about one incarnation of a process, and names that incarnation: whatever it writes is
//! without effect once the process has executed another program, or has ended. See
//! [`profiler_common::contract::process`].

use aya::maps::MapError;
use aya::sys::SyscallError;
use profiler_common::contract::process::{Incarnation, ProcessEntry, ProcessId};
use rustix::io::Errno;

use super::error::LoadError;
use super::load::Kernel;
use super::maps::Plain;
use crate::clock::monotonic_ns;
use crate::ids::ProcessKey;

/// `BPF_NOEXIST`: only where nothing is.
const ONLY_NEW: u64 = 1;
/// `BPF_EXIST`: only where something is.
const ONLY_EXISTING: u64 = 2;

impl Kernel {
    /// Which process has this id from now on, until the kernel half sees it fork, execute or exit: to be asked *before* one
    /// looks at what it runs. `flags` are those of an [`Incarnation`] that was not known before.
    ///
    /// # Errors
    /// [`LoadError::Map`] when the map is full.
    pub fn claim_process(&mut self, tgid: u32, flags: u32) -> Result<ProcessKey, LoadError> {
        let new = Incarnation {
            incarnation: monotonic_ns(),
            tgid,
            flags,
        };
        // It may end, or appear, between the two questions; it does so once.
        for _ in 0..8 {
            if let Some(known) = self.current_process(tgid) {
                return Ok(known);
            }
            match self.processes.incarnations.insert(tgid, Plain(new), ONLY_NEW) {
                Err(error) if is(&error, Errno::EXIST) => {}
                Err(source) => return Err(refused("INCARNATIONS", source)),
                Ok(()) => {
                    return Ok(ProcessKey {
                        tgid,
                        incarnation: new.incarnation,
                    });
                }
            }
        }
        Err(refused("INCARNATIONS", MapError::KeyNotFound))
    }

    /// The process that has this id now, if it is known.
    #[must_use]
    pub fn current_process(&self, tgid: u32) -> Option<ProcessKey> {
        let Plain(found) = self.processes.incarnations.get(&tgid, 0).ok()?;
        Some(ProcessKey {
            tgid,
            incarnation: found.incarnation,
        })
    }

    /// Starts the profiling of a process, and of its threads. Without effect if it has executed another program, or ended, since it was
    /// claimed.
    ///
    /// # Errors
    /// [`LoadError::Map`] when the map is full.
    pub fn set_process(&mut self, entry: &ProcessEntry) -> Result<(), LoadError> {
        self.processes
            .processes
            .insert(Plain(entry.id()), Plain(*entry), 0)
            .map_err(|source| refused("PROCESSES", source))?;
        // The kernel half removes an entry whose time is over; one that comes later it does not know of.
        if self.current_process(entry.tgid).map(|key| key.incarnation) != Some(entry.incarnation) {
            self.remove_entry(entry.id());
            return Ok(());
        }
        self.enter_threads(ProcessKey {
            tgid: entry.tgid,
            incarnation: entry.incarnation,
        });
        Ok(())
    }

    /// Changes what is known of a process, if it is still there.
    ///
    /// # Errors
    /// [`LoadError::Map`] when the kernel refuses; that the process has ended or executed another program is not an error.
    pub fn change_process(
        &mut self,
        key: ProcessKey,
        change: impl FnOnce(&mut ProcessEntry),
    ) -> Result<(), LoadError> {
        let Some(mut entry) = self.process(key) else {
            return Ok(());
        };
        change(&mut entry);
        match self
            .processes
            .processes
            .insert(Plain(entry.id()), Plain(entry), ONLY_EXISTING)
        {
            Err(error) if is(&error, Errno::NOENT) => Ok(()),
            result => result.map_err(|source| refused("PROCESSES", source)),
        }
    }

    /// What the kernel half knows about a process.
    #[must_use]
    pub fn process(&self, key: ProcessKey) -> Option<ProcessEntry> {
        let id = Plain(ProcessId::new(key.tgid, key.incarnation));
        let entry = self.processes.processes.get(&id, 0).ok();
        entry.map(|Plain(entry)| entry)
    }

    /// Forgets a process that has ended without an event. One that is already forgotten is not an error.
    pub fn remove_process(&mut self, key: ProcessKey) {
        if self.current_process(key.tgid) == Some(key)
            && let Err(error) = self.processes.incarnations.remove(&key.tgid)
        {
            log::trace!("process {} was already removed: {error}", key.tgid);
        }
        self.remove_entry(ProcessId::new(key.tgid, key.incarnation));
    }

    fn remove_entry(&mut self, id: ProcessId) {
        if let Err(error) = self.processes.processes.remove(&Plain(id)) {
            log::trace!("process {} was already removed: {error}", id.tgid);
        }
    }
}

/// Whether the kernel refused for this reason.
fn is(error: &MapError, reason: Errno) -> bool {
    let MapError::SyscallError(SyscallError { io_error, .. }) = error else {
        return false;
    };
    Errno::from_io_error(io_error) == Some(reason)
}

fn refused(name: &'static str, source: MapError) -> LoadError {
    LoadError::Map { name, source }
}
