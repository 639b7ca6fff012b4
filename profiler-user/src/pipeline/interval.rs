//! What was sampled between two cuts, with tables of its own: when it is written, all of it is given back.

use ahash::HashMap;
use profiler_common::contract::reasons::StackStatus;

use super::native_stack::Step;
use super::wait_class::text;
use crate::ids::{FrameId, ProcessKey};
use crate::language::python::code::store::ResolvedId;
use crate::native::names::{AddressId, NativeNames};
use crate::profile::Process;
use crate::profile::aggregate::{Aggregator, NamedSample};
use crate::profile::frames::Frame;
use crate::profile::timeline::Timeline;
use crate::wire::assembly::Sample;
use crate::wire::decode::Wait;

/// Frames known by their code object; further ones are described again each time they are seen.
const MAX_KNOWN: usize = 1 << 21;

/// One stretch of the recording.
#[derive(Debug)]
pub(super) struct Interval {
    /// The first is 0.
    pub(super) number: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub(super) start_ns: u64,
    /// The same; `None` while it lasts.
    pub(super) end_ns: Option<u64>,
    /// The generation of native addresses that it began with.
    pub(super) generation: u64,
    pub(super) aggregator: Aggregator,
    known: HashMap<ResolvedId, FrameId>,
    /// Frames of the table that each process was the first to show.
    brought: HashMap<ProcessKey, usize>,
    native: HashMap<AddressId, Box<[FrameId]>>,
    /// Addresses in stacks whose names had not arrived.
    pending: Vec<AddressId>,
    stack: Vec<FrameId>,
}

impl Interval {
    pub(super) fn new(number: u64, start_ns: u64, generation: u64, timeline: Option<Timeline>) -> Self {
        Self {
            number,
            start_ns,
            end_ns: None,
            generation,
            aggregator: Aggregator::new(start_ns, timeline),
            known: HashMap::default(),
            brought: HashMap::default(),
            native: HashMap::default(),
            pending: Vec::new(),
            stack: Vec::new(),
        }
    }

    /// Sets its start.
    pub(super) fn begin(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
        self.aggregator.set_start(start_ns);
    }

    /// The frame of a function at a line, if it has been seen.
    pub(super) fn known(&self, id: ResolvedId) -> Option<FrameId> {
        self.known.get(&id).copied()
    }

    /// Takes in the frame of a function at a line, which this process shows.
    pub(super) fn learn(&mut self, process: ProcessKey, id: ResolvedId, frame: Frame) -> FrameId {
        let brought = self.brought.entry(process).or_default();
        let frame = self.aggregator.frames().intern_of(frame, brought);
        if self.known.len() < MAX_KNOWN {
            self.known.insert(id, frame);
        }
        frame
    }

    /// A text in place of a frame.
    pub(super) fn marker(&mut self, text: &str) -> FrameId {
        self.aggregator.frames().marker(text)
    }

    /// Counts a sample whose Python frames have been named.
    pub(super) fn add(
        &mut self,
        sample: &Sample,
        python: &[Option<FrameId>],
        steps: &[Step],
        native: Option<&NativeNames>,
        describe: impl FnOnce() -> Process,
    ) {
        let mut stack = std::mem::take(&mut self.stack);
        stack.clear();
        let of_holder = match sample.wait {
            Wait::GilOf { holder_frames } => holder_frames,
            _ => None,
        };
        let (holder, python) = python.split_at(of_holder.unwrap_or(0).min(python.len()));
        match native.filter(|_| sample.native.status.is_some()) {
            Some(names) => self.stack_steps(sample, python, steps, names, &mut stack),
            None => self.stack_python(sample, python, &mut stack),
        }
        if stack.is_empty() {
            self.stack_python(sample, python, &mut stack);
        }
        stack.extend(text(sample.wait).map(|text| self.marker(text)));
        if matches!(sample.wait, Wait::GilOf { .. }) {
            self.stack_holder(holder, of_holder.is_some(), &mut stack);
        }
        let named = NamedSample {
            source: sample.source,
            weight: sample.weight,
            holds_gil: sample.holds_gil(),
            process: sample.process,
            tid: sample.tid,
            comm: &sample.comm,
            time_ns: sample.time_ns,
            stack: &stack,
        };
        self.aggregator.add(&named, describe);
        self.stack = stack;
    }

    /// Whether all addresses in its stacks have names by now.
    pub(super) fn is_named(&mut self, names: Option<&NativeNames>) -> bool {
        self.pending
            .retain(|address| names.is_some_and(|names| names.names(*address).is_none()));
        self.pending.is_empty()
    }

    fn stack_steps(
        &mut self,
        sample: &Sample,
        python: &[Option<FrameId>],
        steps: &[Step],
        names: &NativeNames,
        stack: &mut Vec<FrameId>,
    ) {
        for step in steps {
            let frame = match *step {
                Step::Python(index) => python.get(index).copied().flatten(),
                Step::Address(address) => {
                    self.stack_address(address, names, stack);
                    None
                }
                Step::Collecting => Some(self.marker(COLLECTING)),
                Step::PythonMissing => outermost_marker(sample.status).map(|text| self.marker(text)),
                Step::NativeMissing(status) => Some(self.marker(&format!("<native: {}>", status.text()))),
            };
            stack.extend(frame);
        }
    }

    fn stack_address(&mut self, address: AddressId, names: &NativeNames, stack: &mut Vec<FrameId>) {
        if let Some(frames) = self.native.get(&address) {
            return stack.extend_from_slice(frames);
        }
        match names.names(address) {
            Some(frames) => {
                let table = self.aggregator.frames();
                let frames: Box<[FrameId]> = frames.iter().map(|frame| table.intern(frame.clone())).collect();
                stack.extend_from_slice(&frames);
                self.native.insert(address, frames);
            }
            None => {
                stack.push(FrameId::pending(address.0));
                if self.pending.last() != Some(&address) {
                    self.pending.push(address);
                }
            }
        }
    }

    /// The innermost frames of the thread that held the GIL, outermost first.
    fn stack_holder(&mut self, holder: &[Option<FrameId>], was_sampled: bool, stack: &mut Vec<FrameId>) {
        let before = stack.len();
        stack.extend(holder.iter().rev().flatten());
        if stack.len() == before {
            stack.push(self.marker(if was_sampled {
                NO_PYTHON_CODE
            } else {
                HOLDER_NOT_SAMPLED
            }));
        }
    }

    /// Named Python frames, outermost first, with markers for what is missing.
    fn stack_python(&mut self, sample: &Sample, python: &[Option<FrameId>], stack: &mut Vec<FrameId>) {
        stack.extend(outermost_marker(sample.status).map(|text| self.marker(text)));
        stack.extend(python.iter().rev().flatten());
        if sample.collecting {
            stack.push(self.marker(COLLECTING));
        }
        if stack.is_empty() {
            stack.push(self.marker(NO_PYTHON_CODE));
        }
    }
}

/// The garbage collector, called by whatever frame is before it.
const COLLECTING: &str = "<gc>";
/// Stands for whoever held the GIL while a thread waited for it.
const HOLDER_NOT_SAMPLED: &str = "<holder not sampled>";
/// Stands for a sample whose frames are all boundaries.
const NO_PYTHON_CODE: &str = "<no Python code>";

/// What stands at the root of a stack that does not reach the thread's start.
fn outermost_marker(status: StackStatus) -> Option<&'static str> {
    match status {
        StackStatus::Complete => None,
        StackStatus::NotInitialized => Some("<interpreter starting or stopping>"),
        StackStatus::NoThreadState => Some("<native thread>"),
        StackStatus::NoFrames => Some(NO_PYTHON_CODE),
        StackStatus::FrameFault => Some("<unreadable frame>"),
        StackStatus::Truncated => Some("<truncated>"),
        StackStatus::StateFault => Some("<unreadable interpreter state>"),
        StackStatus::ForeignThreadState => Some("<foreign thread state>"),
        StackStatus::TooManyThreads => Some("<thread state not found>"),
        StackStatus::NotTaken => Some("<stack not taken>"),
    }
}
