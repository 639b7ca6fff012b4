//! Keeps the unwind tables of the kernel half in step with the processes, and loads what samples were found to miss.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::NativeStatus;
use tokio::sync::Notify;

use super::error::SessionError;
use crate::ids::ProcessKey;
use crate::inspect::{self, Inspectors, Opener, Question};
use crate::kernel::{Kernel, LoadError, MmapEvents};
use crate::native::unwind::{Capacity, Needed, Space, Statistics, Tables};
use crate::processes::tracker::Tracker;
use crate::wire::assembly::Sample;
use crate::workers::Ticket;

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
    /// Processes whose mappings are being looked at, and the address for whose sake, if it is one.
    looks: Vec<(ProcessKey, Ticket, Option<u64>)>,
    next_pump: Option<Instant>,
    /// Writes that the kernel half refused. Each costs frames, not the recording.
    pub(super) refused_writes: u64,
}

impl NativeTables {
    pub(super) fn start(opener: Opener) -> Result<Self, SessionError> {
        Ok(Self {
            tables: Tables::new(CAPACITY, opener).map_err(SessionError::io("a thread for unwind tables"))?,
            mmaps: MmapEvents::start().map_err(LoadError::from)?,
            mapped: HashSet::new(),
            looks: Vec::new(),
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
        let inspectors = tracker.inspectors();
        let asked: Vec<Ticket> = std::mem::take(&mut self.mapped)
            .into_iter()
            .map(|key| self.look(&inspectors, key, None))
            .collect();
        for ticket in asked {
            inspectors.wait_for(ticket);
        }
        self.settle(kernel, &inspectors);
    }

    /// Asks what a process executes.
    fn look(&mut self, inspectors: &Inspectors, key: ProcessKey, pc: Option<u64>) -> Ticket {
        let ticket = inspectors.ask(&Question::Space {
            pid: key.tgid,
            known: self.tables.known_lines(key),
        });
        self.looks.push((key, ticket, pc));
        ticket
    }

    /// Takes in what has been found.
    fn settle(&mut self, kernel: &mut Kernel, inspectors: &Inspectors) {
        for (key, ticket, pc) in std::mem::take(&mut self.looks) {
            let Some(found) = inspectors.take_space(ticket) else {
                self.looks.push((key, ticket, pc));
                continue;
            };
            match found {
                Ok(Some(found)) => self.enter(kernel, key, *found),
                Ok(None) => {}
                Err(failure) => log::debug!("mappings of process {}: {failure}", key.tgid),
            }
            if let Some(pc) = pc {
                self.tables.looked(key, pc);
            }
        }
    }

    fn enter(&mut self, kernel: &mut Kernel, key: ProcessKey, found: inspect::Space) {
        let before = self.tables.space_of(key);
        match self.tables.enter(kernel.unwind_maps(), key, found) {
            Ok(space) if before != Some(space) => self.write_space(kernel, key, space),
            Ok(_) => {}
            Err(error) => {
                log::debug!("unwind tables of process {}: {error}", key.tgid);
                self.refused_writes += 1;
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
    pub(super) fn supply(&mut self, kernel: &mut Kernel, inspectors: &Inspectors, sample: &Sample) {
        let (Some(status), Some(last)) = (sample.native.status, sample.native.frames.len().checked_sub(1))
        else {
            return;
        };
        if !matches!(status, NativeStatus::NoTable | NativeStatus::NoMapping) {
            return;
        }
        let key = sample.process;
        let pc = sample.native.address(last);
        match self.tables.need(key, pc, status) {
            Needed::Nothing => {}
            Needed::List(space) => self.write_space(kernel, key, space),
            // Not more than one look at a time.
            Needed::Look if self.looks.iter().any(|(other, ..)| *other == key) => {}
            Needed::Look => {
                let ticket = self.look(inspectors, key, Some(pc));
                inspectors.wait_for(ticket);
                self.settle(kernel, inspectors);
            }
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
    pub(super) fn prepare(&mut self, kernel: &mut Kernel, inspectors: &Inspectors, patience: Duration) {
        let end = Instant::now() + patience;
        while (self.tables.is_loading() || !self.looks.is_empty()) && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY);
            inspectors.pump();
            self.settle(kernel, inspectors);
            self.pump(kernel);
        }
    }

    pub(super) fn leave(&mut self, process: ProcessKey) {
        self.tables.leave(process);
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.tables.statistics()
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
