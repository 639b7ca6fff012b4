//! Keeps the unwind tables of the kernel half in step with the processes, and loads what samples were found to miss.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::NativeStatus;
use tokio::sync::Notify;

use super::error::SessionError;
use super::looks::Looks;
use super::settings::NativeFrames;
use crate::ids::ProcessKey;
use crate::inspect::{self, Inspectors, Opener};
use crate::kernel::{Kernel, LoadError, MmapEvents};
use crate::native::names::NativeNames;
use crate::native::unwind::{Capacity, Needed, Space, Statistics, Tables};
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
/// How long the beginning of a recording waits for files that are late.
const LATE_AT_MOST: Duration = Duration::from_millis(300);

/// What native frames need.
#[derive(Default)]
pub(super) struct Native {
    pub(super) tables: Option<NativeTables>,
    pub(super) names: Option<NativeNames>,
}

impl Native {
    /// Starts what these frames need.
    pub(super) fn start(shown: Option<NativeFrames>) -> Result<Self, SessionError> {
        let Some(shown) = shown else {
            return Ok(Self::default());
        };
        let opener = Opener::start().map_err(SessionError::io("a thread for files"))?;
        let names = NativeNames::start(shown == NativeFrames::All, opener.clone());
        Ok(Self {
            tables: match shown {
                NativeFrames::Kernel => None,
                NativeFrames::Relevant | NativeFrames::All => Some(NativeTables::start(opener)?),
            },
            names: Some(names.map_err(SessionError::io("a thread for symbols"))?),
        })
    }
}

/// The tables of all profiled processes.
#[derive(Debug)]
pub(super) struct NativeTables {
    pub(super) tables: Tables,
    mmaps: MmapEvents,
    mapped: HashSet<ProcessKey>,
    opener: Opener,
    looks: Looks,
    next_pump: Option<Instant>,
    /// Writes that the kernel half refused. Each costs frames, not the recording.
    pub(super) refused_writes: u64,
}

impl NativeTables {
    fn start(opener: Opener) -> Result<Self, SessionError> {
        opener.prepare();
        let tables = Tables::new(CAPACITY, opener.clone());
        Ok(Self {
            tables: tables.map_err(SessionError::io("a thread for unwind tables"))?,
            mmaps: MmapEvents::start().map_err(LoadError::from)?,
            mapped: HashSet::new(),
            opener,
            looks: Looks::default(),
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
        mapped.retain(|key| self.tables.space_of(*key).is_some() || self.looks.is_open(*key));
        for arrival in arrived {
            let key = arrival.process;
            self.opener.renew(key.tgid);
            // The child's entry is a copy of its parent's: nothing to write.
            if let Some(parent) = arrival.parent
                && self.tables.fork(parent, key).is_some()
            {
                continue;
            }
            self.mapped.insert(key);
        }
        let inspectors = tracker.inspectors();
        let mut mapped = std::mem::take(&mut self.mapped);
        for key in &mapped {
            self.look(&inspectors, *key, None);
        }
        for key in mapped.drain() {
            self.looks.wait_for(&inspectors, key);
        }
        // Its room is used again.
        self.mapped = mapped;
        self.settle(kernel, &inspectors);
    }

    /// Asks what a process executes.
    fn look(&mut self, inspectors: &Inspectors, key: ProcessKey, pc: Option<u64>) {
        let known = self.tables.known_lines(key);
        self.looks.ask(inspectors, key, known, pc);
    }

    /// Takes in what has been found.
    fn settle(&mut self, kernel: &mut Kernel, inspectors: &Inspectors) {
        if self.looks.is_empty() {
            return;
        }
        for looked in self.looks.take(inspectors) {
            let key = looked.process;
            if let Some(found) = looked.found {
                self.enter(kernel, key, *found);
            }
            if let Some(pc) = looked.pc {
                self.tables.looked(key, pc);
            }
            if looked.again {
                self.look(inspectors, key, None);
            }
        }
    }

    /// When a look may have been answered.
    pub(super) fn next_look(&self, inspectors: &Inspectors) -> Option<Instant> {
        self.looks.next(inspectors)
    }

    /// Processes whose mappings could not be looked at, although they were there.
    pub(super) fn failed_looks(&self) -> u64 {
        self.looks.failed
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
            Needed::Look if self.looks.is_open(key) => {}
            Needed::Look => {
                self.look(inspectors, key, Some(pc));
                self.looks.wait_for(inspectors, key);
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

    /// Loads the tables of what runs already, so that the first samples have them; gives up after `patience`, and before on
    /// those whose memory or files do not answer.
    pub(super) fn prepare(&mut self, kernel: &mut Kernel, inspectors: &Inspectors, patience: Duration) {
        let started = Instant::now();
        loop {
            inspectors.pump();
            self.settle(kernel, inspectors);
            self.pump(kernel);
            let passed = started.elapsed();
            let is_looking = !self.looks.is_empty() && !inspectors.has_only_late();
            let is_loading = self.tables.is_loading() || (self.tables.has_late() && passed < LATE_AT_MOST);
            if (!is_looking && !is_loading) || passed >= patience {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    pub(super) fn leave(&mut self, inspectors: &Inspectors, process: ProcessKey) {
        self.looks.forget(inspectors, process);
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
