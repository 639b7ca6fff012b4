//! One stack out of a sample's Python, native and kernel frames.

use profiler_common::contract::reasons::NativeStatus;

use super::surroundings::Surroundings;
use crate::native::merge::{self, Evaluation, Input, Part, Quality, Scheme};
use crate::native::names::{AddressId, NativeNames, Site};
use crate::native::unwind::Located;
use crate::wire::assembly::Sample;

/// One step of a sample's stack, outermost first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The Python frame of this index.
    Python(usize),
    /// A native or kernel frame, perhaps not named yet.
    Address(AddressId),
    /// A garbage collection.
    Collecting,
    /// Python frames are missing.
    PythonMissing,
    /// Native frames are missing, for this reason.
    NativeMissing(NativeStatus),
}

/// How well native frames fitted.
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

/// Puts frames in order, and has their addresses named.
#[derive(Debug)]
pub(super) struct NativeStacks {
    pub(super) names: NativeNames,
    pub(super) counts: NativeCounts,
    parts: Vec<Part>,
}

impl NativeStacks {
    pub(super) fn new(names: NativeNames) -> Self {
        Self {
            names,
            counts: NativeCounts::default(),
            parts: Vec::new(),
        }
    }

    /// Puts a sample's frames in order, outermost first, into `steps`.
    pub(super) fn merge(&mut self, sample: &Sample, around: &impl Surroundings, steps: &mut Vec<Step>) {
        steps.clear();
        let native = &sample.native;
        let status = native.status.unwrap_or(NativeStatus::Lost);
        if let Some(count) = self.counts.by_status.get_mut(usize::from(status.code())) {
            *count += 1;
        }
        let interpreter = around.interpreter(sample.process);
        let address = |index: usize| native.address(index);
        let is_loop = |index: usize| {
            interpreter.is_some_and(|interpreter| interpreter.is_in_evaluation_loop(address(index)))
        };
        let begins_stack = |index: usize| {
            let located = around.locate(sample.process, address(index));
            located.is_some_and(|located| is_greenlet(&located))
        };
        let evaluation = Evaluation {
            scheme: interpreter.map_or(Scheme::ByAddress, |interpreter| Scheme::of(&interpreter.layout)),
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
        match merge::merge(&input, &evaluation, &mut self.parts) {
            Quality::Exact | Quality::FromNewest => self.counts.exact += 1,
            Quality::NativeTruncated => self.counts.truncated += 1,
            Quality::PythonOnly => self.counts.python_only += 1,
            Quality::Unmatched => self.counts.unmatched += 1,
        }
        let file = interpreter.map(|interpreter| interpreter.file.as_path());
        for part in self.parts.iter().rev() {
            steps.push(match *part {
                Part::Python(index) => Step::Python(index),
                Part::Collecting => Step::Collecting,
                Part::PythonMissing => Step::PythonMissing,
                Part::NativeMissing => Step::NativeMissing(status),
                Part::Kernel(index) => {
                    // A return address may be the first byte of the next function.
                    let address = native.kernel.get(index).copied().unwrap_or(0);
                    Step::Address(self.names.kernel(address.wrapping_sub(u64::from(index > 0))))
                }
                Part::Native(index) => {
                    let site = Site {
                        located: around.locate(sample.process, address(index)),
                        address: address(index),
                        process: sample.process,
                        interpreter: file.unwrap_or(std::path::Path::new("")),
                        is_loop: is_loop(index),
                    };
                    Step::Address(self.names.user(&site))
                }
            });
        }
    }
}

/// Whether it is greenlet's library, whose functions begin stacks of their own.
fn is_greenlet(located: &Located<'_>) -> bool {
    let name = located
        .mapping
        .path
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    name.starts_with(b"_greenlet.")
}
