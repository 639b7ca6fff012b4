//! Native and kernel frames of a recording: keeps the unwind tables in step with the processes, and puts the frames of a
//! sample into one stack.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::NativeStatus;

use crate::ids::ProcessKey;
use crate::kernel::{Kernel, LoadError, MmapEvents};
use crate::native::merge::{self, Evaluation, Input, Part, Quality, Scheme};
use crate::native::names::{Intern, NativeNames, Site};
use crate::native::unwind::{Capacity, Located, Space, SpaceError, Tables};
use crate::proc::visible_id;
use crate::processes::tracker::{TrackedProcess, Tracker};
use crate::profile::FrameId;
use crate::session::RecordError;
use crate::wire::assembly::Sample;

/// Room for unwind tables: 3 MiB of mappings (1,000 processes with 64 libraries each), 2 MiB of directories (16 GiB of
/// text), 32 MiB of rows.
pub(crate) const CAPACITY: Capacity = Capacity {
    mappings: 65_536,
    blocks: 262_144,
    row_pages: 65_536,
};
/// Blocks written at once, before other work gets its turn.
const WRITTEN_AT_ONCE: usize = 64;

/// How often it is looked whether tables are ready, while nothing else is to be done.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// What the user wants to see of native code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeFrames {
    /// The kernel's frames only.
    Kernel,
    /// Not the interpreter's own machinery.
    Relevant,
    /// Everything.
    All,
}

/// One place in a sample's stack, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The Python frame of this index.
    Python(usize),
    /// A native or kernel frame, perhaps not named yet.
    Frame(FrameId),
    /// A garbage collection.
    Collecting,
    /// Python frames are missing.
    PythonMissing,
    /// Native frames are missing, for this reason.
    NativeMissing(NativeStatus),
}

/// How the native stacks fared.
#[derive(Clone, Debug, Default)]
pub struct NativeCounts {
    /// Samples by how complete their native stack is.
    pub by_status: [u64; NativeStatus::ALL.len()],
    /// Samples whose Python frames are all where they ran.
    pub exact: u64,
    /// The same, as far as native frames reach.
    pub truncated: u64,
    /// Samples without native frames.
    pub python_only: u64,
    /// Samples whose native frames could not be put among the Python frames.
    pub unmatched: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Native {
    shown: NativeFrames,
    pub(crate) tables: Tables,
    pub(crate) names: NativeNames,
    pub(crate) counts: NativeCounts,
    mmaps: MmapEvents,
    mapped: HashSet<ProcessKey>,
    parts: Vec<Part>,
    frames: Vec<FrameId>,
    next_pump: Option<Instant>,
}

impl Native {
    pub(crate) fn start(shown: NativeFrames) -> Result<Self, RecordError> {
        let io = |source| RecordError::Io {
            what: "a thread for unwind tables or symbols",
            source,
        };
        Ok(Self {
            shown,
            tables: Tables::new(CAPACITY).map_err(io)?,
            names: NativeNames::start(shown == NativeFrames::All).map_err(io)?,
            mmaps: MmapEvents::start().map_err(LoadError::from)?,
            mapped: HashSet::new(),
            counts: NativeCounts::default(),
            parts: Vec::new(),
            frames: Vec::new(),
            next_pump: None,
        })
    }

    /// Whether user frames are left out.
    pub(crate) fn is_kernel_only(&self) -> bool {
        self.shown == NativeFrames::Kernel
    }

    /// Gives new processes their lists of mappings, and those that have opened libraries new ones.
    pub(crate) fn follow(&mut self, kernel: &mut Kernel, tracker: &mut Tracker) -> Result<(), LoadError> {
        let arrived = tracker.take_arrived();
        if self.is_kernel_only() {
            return Ok(());
        }
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
            if let Some(space) = settled(key, entered)?
                && before != Some(space)
            {
                write_space(kernel, key, space)?;
            }
        }
        Ok(())
    }

    /// CPUs come and go.
    pub(crate) fn follow_hotplug(&mut self) -> Result<(), LoadError> {
        Ok(self.mmaps.follow_hotplug()?)
    }

    /// Loads what the unwinder missed.
    pub(crate) fn supply(&mut self, kernel: &mut Kernel, sample: &Sample) -> Result<(), LoadError> {
        let (Some(status), Some(last)) = (sample.native.status, sample.native.frames.last()) else {
            return Ok(());
        };
        if !matches!(status, NativeStatus::NoTable | NativeStatus::NoMapping) {
            return Ok(());
        }
        let key = sample.process;
        let is_instruction = sample.native.interrupted.last().copied().unwrap_or(false);
        let pc = last.pc.wrapping_sub(u64::from(!is_instruction));
        let needed = self.tables.need(kernel.unwind_maps(), key, pc, status);
        if let Some(Some(space)) = settled(key, needed)? {
            write_space(kernel, key, space)?;
        }
        self.pump(kernel)
    }

    /// Writes tables that are ready.
    pub(crate) fn pump(&mut self, kernel: &mut Kernel) -> Result<(), LoadError> {
        self.next_pump = self.tables.pump(kernel.unwind_maps(), WRITTEN_AT_ONCE)?;
        Ok(())
    }

    /// When to pump although nothing was notified.
    pub(crate) fn next_pump(&self) -> Option<Instant> {
        self.next_pump
    }

    /// Puts a sample's frames in order, outermost first, into `places`.
    pub(crate) fn merge(
        &mut self,
        sample: &Sample,
        process: Option<&TrackedProcess>,
        places: &mut Vec<Place>,
    ) {
        places.clear();
        let native = &sample.native;
        let status = native.status.unwrap_or(NativeStatus::Lost);
        if let Some(count) = self.counts.by_status.get_mut(usize::from(status.code())) {
            *count += 1;
        }
        let address = |index: usize| {
            let is_instruction = native.interrupted.get(index).copied().unwrap_or(false);
            let pc = native.frames.get(index).map_or(0, |frame| frame.pc);
            pc.wrapping_sub(u64::from(!is_instruction))
        };
        let is_loop = |index: usize| {
            process.is_some_and(|process| process.interpreter.is_in_evaluation_loop(address(index)))
        };
        let tables = &self.tables;
        let begins_stack = |index: usize| {
            let located = tables.locate(sample.process, address(index));
            located.is_some_and(|located| is_greenlet(&located))
        };
        let evaluation = Evaluation {
            scheme: process.map_or(Scheme::ByAddress, |process| {
                Scheme::of(&process.interpreter.layout)
            }),
            is_loop: &is_loop,
            begins_stack: &begins_stack,
        };
        let input = Input {
            python: &sample.frames,
            entries: &sample.ends_invocation,
            status: sample.status,
            collecting: sample.collecting,
            native: &native.frames,
            native_complete: status == NativeStatus::Complete,
            kernel: native.kernel.len(),
        };
        let quality = merge::merge(&input, &evaluation, &mut self.parts);
        match quality {
            Quality::Exact | Quality::FromNewest => self.counts.exact += 1,
            Quality::NativeTruncated => self.counts.truncated += 1,
            Quality::PythonOnly => self.counts.python_only += 1,
            Quality::Unmatched => self.counts.unmatched += 1,
        }
        let interpreter = process.map(|process| process.interpreter.file.as_path());
        for part in self.parts.iter().rev() {
            self.frames.clear();
            match *part {
                Part::Python(index) => places.push(Place::Python(index)),
                Part::Collecting => places.push(Place::Collecting),
                Part::PythonMissing => places.push(Place::PythonMissing),
                Part::NativeMissing => places.push(Place::NativeMissing(status)),
                Part::Kernel(index) => {
                    // A return address may be the first byte of the next function.
                    let address = native.kernel.get(index).copied().unwrap_or(0);
                    let address = address.wrapping_sub(u64::from(index > 0));
                    self.names.push_kernel(address, &mut self.frames);
                }
                Part::Native(index) => {
                    let site = Site {
                        located: self.tables.locate(sample.process, address(index)),
                        address: address(index),
                        process: sample.process,
                        interpreter: interpreter.unwrap_or(std::path::Path::new("")),
                        is_loop: is_loop(index),
                    };
                    self.names.push_user(&site, &mut self.frames);
                }
            }
            places.extend(self.frames.iter().copied().map(Place::Frame));
        }
        let pcs = (0..native.frames.len()).map(address);
        self.tables.touch(sample.process, pcs);
    }

    /// Takes in names that have arrived, and asks for those that are missing.
    pub(crate) fn end_drain(&mut self, frames: &mut impl Intern) {
        self.names.flush();
        self.names.collect(frames);
    }

    /// Loads the tables of what runs already, so that the first samples have them; gives up after `patience`.
    pub(crate) fn prepare(&mut self, kernel: &mut Kernel, patience: Duration) -> Result<(), LoadError> {
        let end = Instant::now() + patience;
        while self.tables.is_loading() && Instant::now() < end {
            std::thread::sleep(LOOK_EVERY);
            self.pump(kernel)?;
        }
        Ok(())
    }
}

/// greenlet's library, whose functions begin stacks of their own.
fn is_greenlet(located: &Located<'_>) -> bool {
    let name = located
        .mapping
        .path
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    name.starts_with(b"_greenlet.")
}

/// A process that is gone has no list, which is no failure.
fn settled<T>(key: ProcessKey, result: Result<T, SpaceError<LoadError>>) -> Result<Option<T>, LoadError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(SpaceError::Map(error)) => Err(error),
        Err(SpaceError::Process(error)) => {
            log::debug!("mappings of process {}: {error}", key.tgid);
            Ok(None)
        }
    }
}

fn write_space(kernel: &mut Kernel, key: ProcessKey, space: Space) -> Result<(), LoadError> {
    kernel.change_process(key, |entry| {
        entry.space = space.space;
        entry.first_mapping = space.first_mapping;
        entry.mapping_count = space.mapping_count;
    })
}
