//! Keeps the unwind tables of the kernel half in step with the processes, and loads what samples were found to miss.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::NativeStatus;
use tokio::sync::Notify;

use super::error::SessionError;
use crate::ids::ProcessKey;
use crate::kernel::{Kernel, LoadError, MmapEvents};
use crate::native::unwind::{Capacity, Space, SpaceError, Statistics, Tables};
use crate::proc::visible_id;
use crate::processes::tracker::Tracker;
use crate::wire::assembly::Sample;

/// Room for unwind tables: 3 MiB of mappings (1,000 processes with 64 libraries each), 2 MiB of directories (16 GiB of
/// text), 32 MiB of rows.
pub(super) const CAPACITY: Capacity = Capacity {
    mappings: 65_536,
    blocks: 262_144,
    row_pages: 65_536,
};
/// Blocks written at once, before other work gets its turn.
const WRITTEN_AT_ONCE: usize = 64;
/// Time between two looks at whether tables are ready, while there is nothing else to do.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The tables of all profiled processes.
#[derive(Debug)]
pub(super) struct NativeTables {
    pub(super) tables: Tables,
    mmaps: MmapEvents,
    mapped: HashSet<ProcessKey>,
    next_pump: Option<Instant>,
    /// Writes that the kernel half refused. Each costs frames, not the recording.
    pub(super) refused_writes: u64,
}

impl NativeTables {
    pub(super) fn start() -> Result<Self, SessionError> {
        Ok(Self {
            tables: Tables::new(CAPACITY).map_err(SessionError::io("a thread for unwind tables"))?,
            mmaps: MmapEvents::start().map_err(LoadError::from)?,
            mapped: HashSet::new(),
            next_pump: None,
            refused_writes: 0,
        })
    }

    /// Gives new processes their lists of mappings, and those that have opened libraries new ones.
    pub(super) fn follow(&mut self, kernel: &mut Kernel, tracker: &mut Tracker) {
        let arrived = tracker.take_arrived();
        let mapped = &mut self.mapped;
        let is_lossy = self.mmaps.drain(|pid| mapped.extend(tracker.current(pid)));
        if is_lossy {
            mapped.extend(tracker.all_current());
        }
        // Not those that a filter excludes.
        mapped.retain(|key| self.tables.space_of(*key).is_some());
        for arrival in arrived {
            let key = arrival.process;
            // The child's entry is a copy of its parent's: nothing to write.
            if let Some(parent) = arrival.parent
                && self.tables.fork(parent, key).is_some()
            {
                continue;
            }
            self.mapped.insert(key);
        }
        for key in std::mem::take(&mut self.mapped) {
            let before = self.tables.space_of(key);
            let entered = self.tables.enter(kernel.unwind_maps(), key, visible_id(key.tgid));
            if let Some(space) = self.settled(key, entered)
                && before != Some(space)
            {
                self.write_space(kernel, key, space);
            }
        }
    }

    /// CPUs come and go.
    pub(super) fn follow_hotplug(&mut self) {
        if let Err(error) = self.mmaps.follow_hotplug() {
            log::debug!("records of mappings: {error}");
            self.refused_writes += 1;
        }
    }

    /// Loads what the unwinder missed.
    pub(super) fn supply(&mut self, kernel: &mut Kernel, sample: &Sample) {
        let (Some(status), Some(last)) = (sample.native.status, sample.native.frames.len().checked_sub(1))
        else {
            return;
        };
        if !matches!(status, NativeStatus::NoTable | NativeStatus::NoMapping) {
            return;
        }
        let key = sample.process;
        let pc = sample.native.address(last);
        let needed = self.tables.need(kernel.unwind_maps(), key, pc, status);
        if let Some(Some(space)) = self.settled(key, needed) {
            self.write_space(kernel, key, space);
        }
        self.pump(kernel);
    }

    /// A sample's frames were shown: their tables are in use.
    pub(super) fn touch(&mut self, sample: &Sample) {
        let pcs = (0..sample.native.frames.len()).map(|index| sample.native.address(index));
        self.tables.touch(sample.process, pcs);
    }

    /// Writes tables that are ready.
    pub(super) fn pump(&mut self, kernel: &mut Kernel) {
        match self.tables.pump(kernel.unwind_maps(), WRITTEN_AT_ONCE) {
            Ok(next) => self.next_pump = next,
            Err(error) => {
                log::debug!("writing unwind tables: {error}");
                self.refused_writes += 1;
                self.next_pump = None;
            }
        }
    }

    /// Notified when tables are ready.
    pub(super) fn work_ready(&self) -> Arc<Notify> {
        self.tables.work_ready()
    }

    /// When to pump although nothing was notified.
    pub(super) fn next_pump(&self) -> Option<Instant> {
        self.next_pump
    }

    /// Loads the tables of what runs already, so that the first samples have them; gives up after `patience`.
    pub(super) fn prepare(&mut self, kernel: &mut Kernel, patience: Duration) {
        let end = Instant::now() + patience;
        while self.tables.is_loading() && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY);
            self.pump(kernel);
        }
    }

    pub(super) fn leave(&mut self, process: ProcessKey) {
        self.tables.leave(process);
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.tables.statistics()
    }

    /// What a change of a process's list came to: nothing when the process is gone or the kernel half had no room.
    fn settled<T>(&mut self, key: ProcessKey, result: Result<T, SpaceError<LoadError>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(SpaceError::Map(error)) => {
                log::debug!("unwind tables of process {}: {error}", key.tgid);
                self.refused_writes += 1;
                None
            }
            Err(SpaceError::Process(error)) => {
                log::debug!("mappings of process {}: {error}", key.tgid);
                None
            }
        }
    }

    fn write_space(&mut self, kernel: &mut Kernel, key: ProcessKey, space: Space) {
        let written = kernel.change_process(key, |entry| {
            entry.space = space.space;
            entry.first_mapping = space.first_mapping;
            entry.mapping_count = space.mapping_count;
        });
        if let Err(error) = written {
            log::debug!("process {}: {error}", key.tgid);
            self.refused_writes += 1;
        }
    }
}
