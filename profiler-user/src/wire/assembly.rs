//! Whole samples from their blocks: a deep stack travels in several.

use ahash::HashMap;
use profiler_common::contract::reasons::{GilState, NativeStatus, StackStatus};
use profiler_common::contract::records::{NativeFrame, RawFrame};
use profiler_common::contract::sources::Source;

use crate::ids::ProcessKey;
use crate::wire::decode::{KernelView, NativeView, SampleView, Wait};

/// A whole sample. Re-used from one to the next.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Whose.
    pub process: ProcessKey,
    /// What took it.
    pub source: Source,
    /// What it stands for, in the unit of its source.
    pub weight: u64,
    /// Where it was taken.
    pub cpu: u32,
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
    /// Whether definitions of its frames were not sent because the process may send no more for now.
    pub withheld: bool,
    /// The kernel's thread name.
    pub comm: [u8; 16],
    /// Newest first, entry frames of the C stack (code 0) included.
    pub frames: Vec<RawFrame>,
    /// For each of `frames`, whether it is the outermost one of its invocation of the evaluation loop (3.11).
    pub ends_invocation: Vec<bool>,
    /// Native and kernel frames, where they are taken.
    pub native: NativeStack,
    /// Of time off the CPU: which of the thread's spells.
    pub spell: u32,
    /// Of time off the CPU: what the thread waited for.
    pub wait: Wait,
    /// Address of the GIL of its interpreter, where time off the CPU is recorded; 0 where that is not known.
    pub gil_lock: u64,
}

/// The native and kernel frames of a sample.
#[derive(Clone, Debug, Default)]
pub struct NativeStack {
    /// How complete `frames` is; `None` where native frames are not taken.
    pub status: Option<NativeStatus>,
    /// Newest first.
    pub frames: Vec<NativeFrame>,
    /// For each of `frames`, whether its `pc` is an instruction that was interrupted, not a return address.
    pub interrupted: Vec<bool>,
    /// Kernel addresses, newest first.
    pub kernel: Vec<u64>,
}

impl NativeStack {
    /// The address to look a frame up by: of a caller one within its call, not the one after it. 0 where there is none.
    #[must_use]
    pub fn address(&self, index: usize) -> u64 {
        let is_instruction = self.interrupted.get(index).copied().unwrap_or(false);
        let pc = self.frames.get(index).map_or(0, |frame| frame.pc);
        pc.wrapping_sub(u64::from(!is_instruction))
    }

    fn clear(&mut self) {
        self.status = None;
        self.frames.clear();
        self.interrupted.clear();
        self.kernel.clear();
    }
}

/// What a sample still waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Awaiting {
    /// Nothing: it was handed out, or was never begun, or cannot be completed.
    #[default]
    Nothing,
    /// Python frames.
    Python,
    /// Native frames.
    Native,
}

impl Sample {
    /// Whether the thread was running Python code: it held the GIL, or its interpreter has none.
    #[must_use]
    pub fn holds_gil(&self) -> bool {
        matches!(self.gil, GilState::Held | GilState::Absent)
    }
}

/// A sample that is being put together.
#[derive(Debug, Default)]
struct Partial {
    sample: Sample,
    /// Index of the block that comes next.
    next_block: u8,
    awaiting: Awaiting,
}

/// Blocks of samples that are not finished, by CPU, and counts.
#[derive(Debug, Default)]
pub struct Assembly {
    partial: HashMap<u32, Partial>,
    /// A sample that was given up, while the next one is already being put together.
    overtaken: Option<Sample>,
    samples: u64,
    by_status: [u64; StackStatus::ALL.len()],
}

impl Assembly {
    /// Adds a block of Python frames; the sample that this completes, if any: the one it belongs to, or the one before on
    /// the same CPU, whose native frames were lost.
    pub fn add(&mut self, view: &SampleView<'_>) -> Option<&Sample> {
        let partial = self.partial.entry(view.cpu).or_default();
        let mut overtaken = None;
        if view.index == 0 {
            if partial.awaiting == Awaiting::Native {
                partial.sample.native.status = Some(NativeStatus::Lost);
                overtaken = Some(partial.sample.clone());
            }
            partial.sample.restart(view);
            partial.awaiting = Awaiting::Python;
        } else if partial.awaiting != Awaiting::Python
            || view.index != partial.next_block
            || partial.sample.time_ns != view.time_ns
        {
            // An earlier block was lost to a full ring; the kernel half counted the sample as dropped.
            partial.awaiting = Awaiting::Nothing;
            return None;
        }
        let sample = &mut partial.sample;
        sample.withheld |= view.withheld;
        if view.restarts {
            sample.frames.clear();
            sample.ends_invocation.clear();
        }
        sample.frames.extend(view.frames.clone());
        let bits = (0..view.frames.len()).map(|index| view.entries >> index & 1 == 1);
        sample.ends_invocation.extend(bits);
        partial.next_block = view.index.saturating_add(1);
        if let Some(status) = view.status {
            sample.status = status;
            partial.next_block = 0;
            partial.awaiting = if view.native_follows {
                Awaiting::Native
            } else {
                Awaiting::Nothing
            };
            self.samples += 1;
            if let Some(count) = self.by_status.get_mut(usize::from(status.code())) {
                *count += 1;
            }
        }
        if overtaken.is_some() {
            self.overtaken = overtaken;
            return self.overtaken.as_ref();
        }
        (view.status.is_some() && !view.native_follows).then_some(&partial.sample)
    }

    /// Adds a block of native frames; the sample when this was its last one.
    pub fn add_native(&mut self, view: &NativeView<'_>) -> Option<&Sample> {
        let partial = self.awaiting(view.cpu, view.time_ns)?;
        let native = &mut partial.sample.native;
        if view.index != partial.next_block {
            native.status = Some(NativeStatus::Lost);
            partial.awaiting = Awaiting::Nothing;
            return Some(&partial.sample);
        }
        let before = native.frames.len();
        native.frames.extend(view.frames.clone());
        let added = native.frames.len() - before;
        let bits = (0..added).map(|index| view.interrupted >> index & 1 == 1);
        native.interrupted.extend(bits);
        partial.next_block = view.index.saturating_add(1);
        native.status = Some(view.status?);
        partial.awaiting = Awaiting::Nothing;
        Some(&partial.sample)
    }

    /// Adds kernel frames.
    pub fn add_kernel(&mut self, view: &KernelView<'_>) {
        if let Some(partial) = self.awaiting(view.cpu, view.time_ns) {
            partial.sample.native.kernel.extend(view.addresses());
        }
    }

    fn awaiting(&mut self, cpu: u32, time_ns: u64) -> Option<&mut Partial> {
        let partial = self.partial.get_mut(&cpu)?;
        (partial.awaiting == Awaiting::Native && partial.sample.time_ns == time_ns).then_some(partial)
    }

    /// Samples whose native frames never came; to be called when nothing comes any more.
    pub fn finish(&mut self) -> impl Iterator<Item = Sample> + use<> {
        let partial = std::mem::take(&mut self.partial);
        let unfinished = partial
            .into_values()
            .filter(|partial| partial.awaiting == Awaiting::Native);
        unfinished.map(|partial| {
            let mut sample = partial.sample;
            sample.native.status = Some(NativeStatus::Lost);
            sample
        })
    }

    /// Whole samples so far.
    #[must_use]
    pub fn samples(&self) -> u64 {
        self.samples
    }

    /// Whole samples by how complete they are.
    #[must_use]
    pub fn by_status(&self) -> Vec<(StackStatus, u64)> {
        StackStatus::ALL.iter().copied().zip(self.by_status).collect()
    }
}

impl Sample {
    fn restart(&mut self, view: &SampleView<'_>) {
        self.process = ProcessKey {
            tgid: view.tgid,
            incarnation: view.incarnation,
        };
        self.source = view.source;
        self.weight = view.weight;
        self.cpu = view.cpu;
        self.tid = view.tid;
        self.thread_state = view.thread_state;
        self.time_ns = view.time_ns;
        self.gil = view.gil;
        self.collecting = view.collecting;
        self.compiled = view.compiled;
        self.withheld = false;
        self.spell = view.spell;
        self.wait = view.wait;
        self.gil_lock = view.gil_lock;
        self.comm = [0; 16];
        for (to, from) in self.comm.iter_mut().zip(view.comm) {
            *to = *from;
        }
        self.frames.clear();
        self.ends_invocation.clear();
        self.native.clear();
    }
}

impl Default for Sample {
    /// A complete stack without frames.
    fn default() -> Self {
        Self {
            process: ProcessKey::default(),
            source: Source::OnCpu,
            weight: 0,
            cpu: 0,
            tid: 0,
            thread_state: 0,
            time_ns: 0,
            status: StackStatus::Complete,
            gil: GilState::Unknown,
            collecting: false,
            compiled: false,
            withheld: false,
            comm: [0; 16],
            frames: Vec::new(),
            ends_invocation: Vec::new(),
            native: NativeStack::default(),
            spell: 0,
            wait: Wait::Unknown,
            gil_lock: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use profiler_common::contract::reasons::NativeStatus;
    use profiler_common::contract::records::{
        BLOCK_LAST, BLOCK_NATIVE, BLOCK_WITHHELD, NATIVE_LAST, NativeBlock, SampleBlock,
    };

    use super::Assembly;
    use crate::wire::decode::{Event, decode, encode};

    fn python(assembly: &mut Assembly, time_ns: u64, flags: u8) -> Option<(u64, Option<NativeStatus>)> {
        let record = SampleBlock {
            time_ns,
            flags,
            frame_count: 1,
            ..encode::NO_SAMPLE
        };
        let bytes = encode::sample(&record);
        let Ok(Event::Sample(view)) = decode(&bytes) else {
            unreachable!("a sample")
        };
        assembly
            .add(&view)
            .map(|sample| (sample.time_ns, sample.native.status))
    }

    fn native(
        assembly: &mut Assembly,
        time_ns: u64,
        index: u8,
        flags: u8,
    ) -> Option<(usize, Option<NativeStatus>)> {
        let record = NativeBlock {
            time_ns,
            index,
            flags,
            frame_count: 2,
            ..encode::NO_NATIVE
        };
        let bytes = encode::native(&record);
        let Ok(Event::Native(view)) = decode(&bytes) else {
            unreachable!("a native block")
        };
        let sample = assembly.add_native(&view);
        sample.map(|sample| (sample.native.frames.len(), sample.native.status))
    }

    const FOLLOWED: u8 = BLOCK_LAST | BLOCK_NATIVE;

    #[test]
    fn definitions_that_any_block_says_were_withheld_are_not_to_be_waited_for() {
        let mut assembly = Assembly::default();
        for (time_ns, blocks, withheld) in [
            (1, [0, 0], false),
            (2, [BLOCK_WITHHELD, 0], true),
            (3, [0, 0], false),
        ] {
            for (index, flags) in blocks.into_iter().enumerate() {
                let is_last = index + 1 == blocks.len();
                let bytes = encode::sample(&SampleBlock {
                    time_ns,
                    index: u8::try_from(index).expect("two"),
                    flags: flags | if is_last { BLOCK_LAST } else { 0 },
                    ..encode::NO_SAMPLE
                });
                let sample = assembly.add(&encode::sample_view(&bytes));
                assert_eq!(sample.map(|sample| sample.withheld), is_last.then_some(withheld));
            }
        }
    }

    #[test]
    fn a_sample_waits_for_its_native_frames() {
        let mut assembly = Assembly::default();
        assert_eq!(python(&mut assembly, 1, FOLLOWED), None);
        assert_eq!(native(&mut assembly, 1, 0, 0), None);
        assert_eq!(
            native(&mut assembly, 1, 1, NATIVE_LAST),
            Some((4, Some(NativeStatus::Complete)))
        );
        assert_eq!(python(&mut assembly, 2, BLOCK_LAST), Some((2, None)));
        assert_eq!(assembly.samples(), 2);
        assert_eq!(assembly.finish().count(), 0);
    }

    #[test]
    fn a_sample_whose_native_frames_are_lost_is_whole_all_the_same() {
        let mut assembly = Assembly::default();
        assert_eq!(python(&mut assembly, 1, FOLLOWED), None);
        // The next sample of the CPU tells.
        assert_eq!(
            python(&mut assembly, 2, FOLLOWED),
            Some((1, Some(NativeStatus::Lost)))
        );
        // A gap between blocks tells.
        assert_eq!(
            native(&mut assembly, 2, 1, NATIVE_LAST),
            Some((0, Some(NativeStatus::Lost)))
        );
        // What comes too late changes nothing.
        assert_eq!(native(&mut assembly, 2, 2, NATIVE_LAST), None);
        // The end tells.
        assert_eq!(python(&mut assembly, 3, FOLLOWED), None);
        let last: Vec<_> = assembly.finish().map(|sample| sample.native.status).collect();
        assert_eq!(last, [Some(NativeStatus::Lost)]);
        assert_eq!(assembly.samples(), 3);
    }
}
