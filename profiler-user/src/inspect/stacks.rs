//! The stack of a thread, read from outside, as the records that the kernel half sends of a sample. It is exact if the
//! thread was off its CPU all the while: what nobody runs does not change.

use std::collections::HashSet;

use profiler_common::contract::reasons::StackStatus;
use profiler_common::contract::records::{
    BLOCK_AT_GIL, BLOCK_COLLECTING, BLOCK_COMPILED, BLOCK_LAST, CODE_HEADER_BYTES, CodeDefinition,
    MAX_BLOCKS, NO_SYSTEM_CALL, RawFrame, SAMPLE_HEADER_BYTES, SampleBlock, UNKNOWN_SYSTEM_CALL, record_kind,
};
use profiler_common::contract::sources::Source;
use profiler_common::memory::Memory;
use profiler_common::walker::python::{
    CodeSeen, Scratch, capture, capture_class, gil, identity, is_at_gil, locate, walk_block,
};
use zerocopy::{FromZeros as _, IntoBytes as _};

use super::messages::{FoundStack, ThreadToRead};
use super::rest::Rest;
use crate::language::python::locals::{FrameLocals, LocalsWanted, Reader};
use crate::proc;
use crate::proc::switches::{Switches, times_on};

/// Bytes of definitions of one stack; what is beyond has no name.
const MAX_DEFINITION_BYTES: usize = 4 << 20;

/// Asks about every code object.
struct NothingSeen;

impl CodeSeen for NothingSeen {
    fn seen(&self, _code: u64, _check: u32) -> bool {
        false
    }
}

/// How often a thread is looked at that runs while it is read.
const LOOKS: u32 = 4;

/// Reads it, if possible of one moment; and the variables of its frames, if these are wanted.
pub(super) fn stack<M: Memory>(
    memory: &M,
    thread: &ThreadToRead,
    locals: Option<&LocalsWanted>,
) -> FoundStack {
    let mut found = FoundStack::default();
    for look in 1..=LOOKS {
        let before = Switches::read(thread.pid, thread.tid).ok();
        let before = before.filter(Switches::is_off);
        let stays_off = || {
            before
                .is_some_and(|before| times_on(thread.pid, thread.tid).is_ok_and(|times| times == before.on))
        };
        let was_blocked = proc::stat(thread.tid).is_ok_and(|stat| stat.state != 'R');
        let rest = locals.and_then(|_| Rest::of(thread.pid));
        let mut frames = Vec::new();
        found = FoundStack {
            records: records(memory, thread, &mut frames),
            is_of_one_moment: stays_off(),
            was_blocked,
            ..FoundStack::default()
        };
        if let Some(wanted) = locals
            && (found.is_of_one_moment || look == LOOKS)
        {
            found.locals = values(memory, thread, wanted, &frames, rest.as_ref());
            found.locals_are_of_that_moment = found.is_of_one_moment && stays_off();
        }
        if found.is_of_one_moment {
            break;
        }
    }
    found
}

/// The variables of frames. Of a process that stays at rest one reading is enough.
fn values<M: Memory>(
    memory: &M,
    thread: &ThreadToRead,
    wanted: &LocalsWanted,
    frames: &[FrameAt],
    rest: Option<&Rest>,
) -> Vec<Option<FrameLocals>> {
    let read = |is_at_rest| -> Vec<Option<FrameLocals>> {
        let mut reader = Reader::new(memory, &thread.layout, wanted, is_at_rest);
        let of_frame = |at: &FrameAt| reader.frame(at.frame, at.code);
        frames.iter().map(of_frame).collect()
    };
    if let Some(rest) = rest {
        let found = read(true);
        if rest.lasts() {
            return found;
        }
    }
    read(false)
}

/// A frame of Python code.
#[derive(Clone, Copy)]
struct FrameAt {
    frame: u64,
    code: u64,
}

/// Takes note where the frames of a block are, as they are put together from blocks later.
fn note_frames(frames: &mut Vec<FrameAt>, block: &SampleBlock, scratch: &Scratch) {
    if block.void > 0 {
        frames.clear();
    }
    let all = block.frames.iter().zip(scratch.origins);
    let all = all.take(block.frame_count.into()).skip(block.void.into());
    let python = all.filter(|(frame, _)| frame.code != 0);
    frames.extend(python.map(|(frame, origin)| FrameAt {
        frame: origin,
        code: frame.code,
    }));
}

/// Reads definitions, each before the block that needs it. See [`each_record`]. `at` are the frames then.
fn records<M: Memory>(memory: &M, thread: &ThreadToRead, at: &mut Vec<FrameAt>) -> Vec<u8> {
    let layout = &thread.layout;
    let mut scratch = Box::new(Scratch::EMPTY);
    let mut block = first_block(thread);
    let mut records = Records::default();
    let mut definitions = Definitions::default();
    let status = locate(
        memory,
        &thread.lookup,
        layout,
        thread.thread_pointer,
        &mut scratch,
    );
    block.thread_state = scratch.thread_state.0;
    block.gil = u8::try_from(scratch.gil).unwrap_or(0);
    block.flags |= if scratch.collecting == 1 {
        BLOCK_COLLECTING
    } else {
        0
    };
    block.flags |= if scratch.compiled == 1 { BLOCK_COMPILED } else { 0 };
    if matches!(status, StackStatus::Complete | StackStatus::NoFrames) {
        let gil = gil(memory, &thread.lookup, layout, &scratch);
        block.gil_lock = gil.0;
        let is_at_gil = is_at_gil(memory, &thread.lookup, gil, block.argument);
        block.flags |= if is_at_gil { BLOCK_AT_GIL } else { 0 };
    }
    if status != StackStatus::Complete {
        block.status = u8::try_from(status.code()).unwrap_or(0);
        block.flags |= BLOCK_LAST;
        records.push(sent(&block));
        return records.0;
    }
    for index in 0..MAX_BLOCKS {
        let walked = walk_block(memory, &NothingSeen, layout, &mut scratch, &mut block.frames);
        let done = scratch.cursor.is_null();
        if !done && index + 1 == MAX_BLOCKS {
            scratch.status = StackStatus::Truncated.code();
        }
        block.index = u8::try_from(index).unwrap_or(u8::MAX);
        block.frame_count = u16::try_from(walked).unwrap_or(0);
        block.void = u16::try_from(scratch.void).unwrap_or(0);
        block.entries = scratch.entries;
        block.status = u8::try_from(scratch.status).unwrap_or(0);
        let is_last = done || index + 1 == MAX_BLOCKS;
        block.flags |= if is_last { BLOCK_LAST } else { 0 };
        for (slot, frame) in block.frames.iter().take(walked).enumerate() {
            if let Some(definition) = definitions.of(memory, thread, &mut scratch, slot, *frame) {
                records.push(definition);
            }
        }
        records.push(sent(&block));
        note_frames(at, &block, &scratch);
        if is_last {
            break;
        }
    }
    records.0
}

fn first_block(thread: &ThreadToRead) -> SampleBlock {
    let mut block = SampleBlock::new_zeroed();
    block.kind = record_kind::SAMPLE;
    block.tgid = thread.pid;
    block.tid = thread.tid;
    block.incarnation = thread.incarnation;
    block.source = Source::OffCpu.code();
    (block.system_call, block.argument) = match proc::system_call(thread.pid, thread.tid) {
        Some(Some(call)) => call,
        Some(None) => (NO_SYSTEM_CALL, 0),
        None => (UNKNOWN_SYSTEM_CALL, 0),
    };
    block
}

/// Only the first `frame_count` frames are sent.
fn sent(block: &SampleBlock) -> &[u8] {
    let bytes = SAMPLE_HEADER_BYTES + usize::from(block.frame_count) * size_of::<RawFrame>();
    block.as_bytes().get(..bytes).unwrap_or_default()
}

/// Bytes that say how long a record is.
const LENGTH_BYTES: usize = size_of::<u32>();

/// Records one after the other, each after its length.
#[derive(Default)]
struct Records(Vec<u8>);

impl Records {
    fn push(&mut self, record: impl AsRef<[u8]>) {
        let record = record.as_ref();
        self.0
            .extend(u32::try_from(record.len()).unwrap_or(0).to_le_bytes());
        self.0.extend(record);
    }
}

/// The records of an answer, as far as they are whole.
pub fn each_record(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(record)
    })
}

/// What code objects are called, each once.
#[derive(Default)]
struct Definitions {
    known: HashSet<(u64, u32)>,
    bytes: usize,
}

impl Definitions {
    /// The definition of the code object of a frame of the block, unless it was sent or there is none.
    fn of<M: Memory>(
        &mut self,
        memory: &M,
        thread: &ThreadToRead,
        scratch: &mut Scratch,
        slot: usize,
        frame: RawFrame,
    ) -> Option<Vec<u8>> {
        let RawFrame { code, check, .. } = frame;
        if code == 0 || check == 0 || self.bytes > MAX_DEFINITION_BYTES || !self.known.insert((code, check)) {
            return None;
        }
        let layout = &thread.layout;
        let mut out = CodeDefinition::EMPTY;
        out.tgid = thread.pid;
        out.incarnation = thread.incarnation;
        out.layout = thread.layout_index;
        out.interpreter = scratch.interpreter.0;
        identity(
            memory,
            layout,
            code,
            scratch.interpreter_id,
            &mut scratch.identity,
        );
        capture(
            memory,
            layout,
            code,
            check,
            &scratch.identity,
            &mut scratch.state,
            &mut out,
        );
        let origin = scratch.origins.get(slot).copied().unwrap_or(0);
        capture_class(memory, layout, code, origin, &mut scratch.state, &mut out);
        let bytes = CODE_HEADER_BYTES + usize::from(out.line_table_stored);
        self.bytes += bytes;
        out.as_bytes().get(..bytes).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests {
    use super::{Records, each_record};

    #[test]
    fn records_are_told_apart_and_one_that_is_cut_off_is_none() {
        let mut records = Records::default();
        for record in [&b"one"[..], b"", b"three"] {
            records.push(record);
        }
        let whole: Vec<&[u8]> = each_record(&records.0).collect();
        assert_eq!(whole, [&b"one"[..], b"", b"three"]);
        let cut = &records.0[..records.0.len() - 1];
        assert_eq!(each_record(cut).count(), 2);
        assert_eq!(each_record(&[0xff; 7]).count(), 0);
    }
}
