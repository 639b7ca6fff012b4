//! Samples on their way from the ring to the aggregate: named, in the order they came.
//!
//! The definitions that a sample needs travel before it, unless the ring was full or the stack so deep that the kernel
//! allowed no further program. Then the kernel half sends them with a later sample, and this one waits for them.

use std::collections::VecDeque;

use super::native::{Native, Place};
use crate::host::users::Users;
use crate::ids::ProcessKey;
use crate::kernel::Kernel;
use crate::language::python::threads::ThreadNames;
use crate::pipeline::symbolizer::Symbolizer;
use crate::proc::root::RootId;
use crate::processes::tracker::Tracker;
use crate::profile::aggregate::{Aggregator, NamedSample};
use crate::profile::{FrameId, Process, Profile};
use crate::session::RecordError;
use crate::session::{NativeSummary, Summary};
use crate::wire::assembly::{Assembly, Sample};

/// Drains of the ring that a sample waits for definitions; those of a process that is gone are kept no longer.
const PATIENCE: u64 = 2;
/// Samples that wait, at most.
const MAX_WAITING: usize = 8192;

/// What has been named so far, and what waits.
#[derive(Debug)]
pub(crate) struct Naming {
    pub(crate) symbolizer: Symbolizer,
    pub(crate) aggregator: Aggregator,
    waiting: VecDeque<Waiting>,
    drains: u64,
    native: Option<Native>,
    python: Vec<Option<FrameId>>,
    places: Vec<Place>,
    stack: Vec<FrameId>,
    users: Users,
    /// When an output shows them.
    thread_names: Option<ThreadNames>,
}

#[derive(Debug)]
struct Waiting {
    sample: Sample,
    places: Vec<Place>,
    process: Process,
    root: Option<RootId>,
    since: u64,
}

impl Naming {
    pub(crate) fn new(
        symbolizer: Symbolizer,
        aggregator: Aggregator,
        thread_names: bool,
        native: Option<Native>,
    ) -> Self {
        Self {
            symbolizer,
            aggregator,
            waiting: VecDeque::new(),
            drains: 0,
            native,
            python: Vec::new(),
            places: Vec::new(),
            stack: Vec::new(),
            users: Users::of_host(),
            thread_names: thread_names.then(ThreadNames::default),
        }
    }

    /// Native frames, where they are recorded.
    pub(crate) fn native(&mut self) -> Option<&mut Native> {
        self.native.as_mut()
    }

    /// Takes a sample in. Behind one that waits all wait: their order is that of the recording.
    pub(crate) fn add(&mut self, sample: &Sample, tracker: &mut Tracker) -> Result<(), RecordError> {
        if let Some(names) = &mut self.thread_names {
            names.note(sample);
        }
        let tracked = tracker.get(sample.process);
        let root = tracked.and_then(|process| process.root);
        // Now: where native frames are is known as long as the process is there.
        self.places.clear();
        if let Some(native) = &mut self.native {
            native.merge(sample, tracked, &mut self.places);
        }
        if self.waiting.is_empty() && self.symbolizer.name(sample, root, true, &mut self.python) {
            stack(
                &mut self.symbolizer,
                sample,
                &self.python,
                &self.places,
                &mut self.stack,
            );
            let users = &self.users;
            return aggregate(&mut self.aggregator, sample, &self.stack, || {
                describe(tracker, sample.process, users)
            });
        }
        if self.waiting.len() >= MAX_WAITING {
            self.release(|_| true)?;
        }
        let process = describe(tracker, sample.process, &self.users);
        self.waiting.push_back(Waiting {
            sample: sample.clone(),
            places: self.places.clone(),
            process,
            root,
            since: self.drains,
        });
        Ok(())
    }

    /// To be called after each drain of the ring: names those that need not wait any longer.
    pub(crate) fn end_drain(&mut self, tracker: &Tracker) -> Result<(), RecordError> {
        self.name_threads(false, tracker);
        let drains = self.drains;
        self.drains += 1;
        if let Some(native) = &mut self.native {
            native.end_drain(&mut self.symbolizer);
        }
        self.release(|waiting| drains - waiting.since >= PATIENCE)
    }

    /// Takes in names of native addresses that have arrived; how many are still missing.
    pub(crate) fn collect_names(&mut self) -> usize {
        let Some(native) = &mut self.native else { return 0 };
        native.end_drain(&mut self.symbolizer);
        native.names.outstanding()
    }

    /// Nothing comes any more: gives the result.
    pub(crate) fn finish(
        mut self,
        kernel: &Kernel,
        assembly: &Assembly,
        tracker: &Tracker,
    ) -> Result<(Summary, Profile), RecordError> {
        self.name_threads(true, tracker);
        self.release(|_| true)?;
        let Self {
            mut symbolizer,
            aggregator,
            native,
            ..
        } = self;
        let mut summary = Summary::collect(kernel, assembly, &aggregator, &symbolizer);
        let mut late = Vec::new();
        if let Some(native) = native {
            let is_kernel_only = native.is_kernel_only();
            let named = native.names.finish(&mut symbolizer);
            late = named.late;
            summary.native = Some(NativeSummary {
                is_kernel_only,
                counts: native.counts,
                tables: native.tables.statistics(),
                unnamed: named.unnamed,
            });
        }
        Ok((summary, aggregator.finish(symbolizer.into_frames(), &late)))
    }

    fn name_threads(&mut self, is_last: bool, tracker: &Tracker) {
        let (Some(names), aggregator) = (&mut self.thread_names, &mut self.aggregator) else {
            return;
        };
        let interpreter = |process| Some(&*tracker.get(process)?.interpreter);
        names.look(is_last, interpreter, |process, tid, name| {
            aggregator.name_thread(process, tid, name);
        });
    }

    /// A process is gone, and its samples have been read.
    pub(crate) fn forget(&mut self, process: ProcessKey) {
        self.symbolizer.forget(process);
        if let Some(native) = &mut self.native {
            native.tables.leave(process);
        }
        if let Some(names) = &mut self.thread_names {
            names.forget(process);
        }
    }

    /// Names from the oldest on, as long as everything is there or `gave_up` says to go without.
    fn release(&mut self, gave_up: impl Fn(&Waiting) -> bool) -> Result<(), RecordError> {
        while let Some(oldest) = self.waiting.front() {
            let may_wait = !gave_up(oldest);
            if !self
                .symbolizer
                .name(&oldest.sample, oldest.root, may_wait, &mut self.python)
            {
                break;
            }
            if let Some(Waiting {
                sample,
                places,
                process,
                ..
            }) = self.waiting.pop_front()
            {
                stack(
                    &mut self.symbolizer,
                    &sample,
                    &self.python,
                    &places,
                    &mut self.stack,
                );
                aggregate(&mut self.aggregator, &sample, &self.stack, || process)?;
            }
        }
        Ok(())
    }
}

/// Frames in their places; Python frames alone where native ones are not recorded.
fn stack(
    symbolizer: &mut Symbolizer,
    sample: &Sample,
    python: &[Option<FrameId>],
    places: &[Place],
    stack: &mut Vec<FrameId>,
) {
    if sample.native.status.is_none() {
        return symbolizer.stack_python(sample, python, stack);
    }
    stack.clear();
    for place in places {
        let frame = match *place {
            Place::Python(index) => python.get(index).copied().flatten(),
            Place::Frame(frame) => Some(frame),
            Place::Collecting => Some(symbolizer.collecting()),
            Place::PythonMissing => symbolizer.python_missing(sample.status),
            Place::NativeMissing(status) => Some(symbolizer.marker(&format!("<native: {}>", status.text()))),
        };
        stack.extend(frame);
    }
    if stack.is_empty() {
        symbolizer.stack_python(sample, python, stack);
    }
}

fn aggregate(
    aggregator: &mut Aggregator,
    sample: &Sample,
    stack: &[FrameId],
    describe: impl FnOnce() -> Process,
) -> Result<(), RecordError> {
    let named = NamedSample {
        process: sample.process,
        tid: sample.tid,
        comm: &sample.comm,
        time_ns: sample.time_ns,
        stack,
    };
    aggregator
        .add(&named, describe)
        .map_err(|source| RecordError::Io {
            what: "temporary file for samples",
            source,
        })
}

/// A process as it is remembered.
fn describe(tracker: &mut Tracker, key: ProcessKey, users: &Users) -> Process {
    let described = tracker.describe(key).map(|process| Process {
        pid: key.tgid,
        command_line: process.command_line.clone(),
        user: users.name(process.identity.user),
        script: process.identity.script.clone(),
        container: process.identity.placement.container.clone(),
    });
    described.unwrap_or_else(|| Process {
        pid: key.tgid,
        ..Process::default()
    })
}
