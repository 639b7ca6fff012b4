//! Whole samples from their blocks: a deep stack travels in several.

use std::collections::HashMap;

use profiler_common::reason::{GilState, StackStatus};
use profiler_common::record::RawFrame;

use crate::code::store::ProcessKey;
use crate::decode::SampleView;

/// A whole sample. Re-used from one to the next.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Whose.
    pub process: ProcessKey,
    /// Thread id.
    pub tid: u32,
    /// Address of its `PyThreadState`, 0 when it has none.
    pub thread_state: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// How complete `frames` is.
    pub status: StackStatus,
    /// Whether the thread held the GIL.
    pub gil: GilState,
    /// Whether the thread was collecting garbage.
    pub collecting: bool,
    /// Whether it was running just-in-time compiled code, in which an instruction offset of 0 says nothing.
    pub compiled: bool,
    /// The kernel's thread name.
    pub comm: [u8; 16],
    /// Newest first, entry frames of the C stack (code 0) included.
    pub frames: Vec<RawFrame>,
    next_block: u8,
}

impl Sample {
    /// Whether the thread was running Python code: it held the GIL, or its interpreter has none.
    #[must_use]
    pub fn holds_gil(&self) -> bool {
        matches!(self.gil, GilState::Held | GilState::Absent)
    }
}

/// Blocks of samples that are not finished, by CPU, and counts.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    partial: HashMap<u32, Sample>,
    samples: u64,
    by_status: [u64; StackStatus::ALL.len()],
}

impl Assembly {
    /// Adds a block; the sample when this was its last one.
    pub(super) fn add(&mut self, view: &SampleView<'_>) -> Option<&Sample> {
        let sample = self.partial.entry(view.cpu).or_insert_with(empty);
        if view.index == 0 {
            sample.restart(view);
        } else if view.index != sample.next_block || sample.time_ns != view.time_ns {
            // An earlier block was lost to a full ring; the kernel half counted the sample as dropped.
            sample.next_block = u8::MAX;
            return None;
        }
        if view.restarts {
            sample.frames.clear();
        }
        sample.frames.extend(view.frames.clone());
        sample.next_block = view.index.saturating_add(1);
        sample.status = view.status?;
        self.samples += 1;
        if let Some(count) = self.by_status.get_mut(usize::from(sample.status.code())) {
            *count += 1;
        }
        Some(sample)
    }

    /// Whole samples so far.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    /// Whole samples by how complete they are.
    pub(super) fn by_status(&self) -> Vec<(StackStatus, u64)> {
        StackStatus::ALL.iter().copied().zip(self.by_status).collect()
    }
}

impl Sample {
    fn restart(&mut self, view: &SampleView<'_>) {
        self.process = ProcessKey {
            tgid: view.tgid,
            incarnation: view.incarnation,
        };
        self.tid = view.tid;
        self.thread_state = view.thread_state;
        self.time_ns = view.time_ns;
        self.gil = view.gil;
        self.collecting = view.collecting;
        self.compiled = view.compiled;
        self.comm = [0; 16];
        for (to, from) in self.comm.iter_mut().zip(view.comm) {
            *to = *from;
        }
        self.frames.clear();
    }
}

fn empty() -> Sample {
    Sample {
        process: ProcessKey {
            tgid: 0,
            incarnation: 0,
        },
        tid: 0,
        thread_state: 0,
        time_ns: 0,
        status: StackStatus::Complete,
        gil: GilState::Unknown,
        collecting: false,
        compiled: false,
        comm: [0; 16],
        frames: Vec::new(),
        next_block: 0,
    }
}
