//! From ring-buffer bytes to typed events. Views borrow the bytes, so that a sample costs no allocation.
//!
//! A record is read as its own type ([`record`]), so a changed contract changes the decoder.
//! Total: any input gives an event or a [`DecodeError`]. Touches neither `/proc` nor BPF.

mod error;
mod native;
mod parts;
mod spell;

use core::mem::offset_of;

use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::records::{
    BLOCK_COLLECTING, BLOCK_COMPILED, BLOCK_LAST, BLOCK_NATIVE, BLOCK_WITHHELD, CLASS_BYTES,
    CODE_HEADER_BYTES, COMMAND_BYTES, CodeDefinition, FILENAME_BYTES, FRAMES_PER_BLOCK, LINE_TABLE_BYTES,
    MAX_BLOCKS, NAME_BYTES, ProcessRecord, RawFrame, SAMPLE_HEADER_BYTES, SampleBlock, TEXT_OF_BYTES,
    TextHeader, record_kind,
};
use profiler_common::contract::sources::Source;

use zerocopy::FromBytes as _;

use self::parts::{part, record, tail};

pub use error::DecodeError;
pub use native::{BlockFrames, KernelView, NativeView};
pub use spell::{Spell, Wait};

/// One record.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// Part of a sample.
    Sample(SampleView<'a>),
    /// A code object seen for the first time, or again after a while.
    Code(CodeView<'a>),
    /// A process appeared, changed its program, or went.
    Process(ProcessView<'a>),
    /// Part of the native stack of the sample before it, on the same CPU.
    Native(NativeView<'a>),
    /// The kernel frames of the sample before it, on the same CPU.
    Kernel(KernelView<'a>),
    /// A thread came back to a CPU.
    Spell(Spell),
}

/// A [`SampleBlock`], checked.
#[derive(Clone, Debug)]
pub struct SampleView<'a> {
    /// 0 for the newest frames, then 1, 2, ...; below [`MAX_BLOCKS`].
    pub index: u8,
    /// How complete the stack is, in the last block of a sample; `None` when another block follows.
    pub status: Option<StackStatus>,
    /// Whether the thread held the global interpreter lock.
    pub gil: GilState,
    /// Whether the thread was collecting garbage.
    pub collecting: bool,
    /// Whether it was running just-in-time compiled code, in which an instruction offset of 0 says nothing.
    pub compiled: bool,
    /// Whether definitions of frames were not sent because the process may send no more for now.
    pub withheld: bool,
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// `ProcessEntry::incarnation`.
    pub incarnation: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// Address of the `PyThreadState`, 0 when there is none.
    pub thread_state: u64,
    /// What the sample was taken of.
    pub source: Source,
    /// What it stands for, in the unit of the source.
    pub weight: u64,
    /// CPU number.
    pub cpu: u32,
    /// The kernel's thread name, without its padding.
    pub comm: &'a [u8],
    /// The frames of earlier blocks are to be forgotten.
    pub restarts: bool,
    /// With the last block: native frames follow.
    pub native_follows: bool,
    /// Bit `n`: frame `n` is the outermost one of its invocation of the evaluation loop (3.11).
    pub entries: u64,
    /// Of time off the CPU: which of the thread's spells, see [`Spell`].
    pub spell: u32,
    /// Of time off the CPU: what the thread waits for.
    pub wait: Wait,
    /// Address of the GIL of its interpreter, where time off the CPU is recorded; 0 where that is not known.
    pub gil_lock: u64,
    /// Newest first.
    pub frames: Frames<'a>,
}

/// The frames of one block, newest first.
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    chunks: core::slice::ChunksExact<'a, u8>,
}

impl Iterator for Frames<'_> {
    type Item = RawFrame;

    fn next(&mut self) -> Option<RawFrame> {
        RawFrame::read_from_bytes(self.chunks.next()?).ok()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.chunks.size_hint()
    }
}

impl ExactSizeIterator for Frames<'_> {}

/// One `str` as captured.
#[derive(Clone, Copy, Debug)]
pub struct TextView<'a> {
    /// Kind, length and captured bytes fit together.
    pub header: TextHeader,
    /// The captured bytes.
    pub data: &'a [u8],
}

/// A [`CodeDefinition`], checked.
#[derive(Clone, Debug)]
pub struct CodeView<'a> {
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// `ProcessEntry::incarnation`.
    pub incarnation: u64,
    /// Address of the code object.
    pub code: u64,
    /// As `RawFrame::check`.
    pub check: u32,
    /// `co_firstlineno`, an `int`.
    pub first_line: u32,
    /// Address of the line-table `bytes` object.
    pub line_table_object: u64,
    /// Its size in bytes.
    pub line_table_length: u32,
    /// `ProcessEntry::layout`.
    pub layout: u32,
    /// Address of the interpreter whose id is part of `check`.
    pub interpreter: u64,
    /// `co_qualname`, or `co_name` before 3.11.
    pub name: TextView<'a>,
    /// `co_filename`.
    pub filename: TextView<'a>,
    /// The class of a method, up to 3.10: as `CodeDefinition::class_object`.
    pub class_object: u64,
    /// Its `tp_name`, or the beginning of it.
    pub class: &'a [u8],
    /// The captured bytes of the line table.
    pub line_table: &'a [u8],
}

/// What happened to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProcessChange {
    /// It executed another program.
    Exec,
    /// It was forked.
    Fork,
    /// Its last thread exited.
    Exit,
    /// A sample met it, and user space has said nothing about it.
    Unknown,
    /// It moved to another cgroup, or changed its name.
    Changed,
}

/// A [`ProcessRecord`], checked.
#[derive(Clone, Debug)]
pub struct ProcessView<'a> {
    /// What happened.
    pub change: ProcessChange,
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// For a fork, the parent's process id.
    pub parent_tgid: u32,
    /// See [`ProcessRecord::incarnation`].
    pub incarnation: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// The kernel's name of the process, without its padding.
    pub comm: &'a [u8],
    /// The arguments, each ended by NUL; cut off after [`COMMAND_BYTES`].
    pub command: &'a [u8],
}

impl<'a> ProcessView<'a> {
    /// The arguments one by one.
    pub fn arguments(&self) -> impl Iterator<Item = &'a [u8]> {
        let command = self.command.strip_suffix(b"\0").unwrap_or(self.command);
        let count = if command.is_empty() { 0 } else { usize::MAX };
        command.split(|byte| *byte == 0).take(count)
    }
}

/// Decodes one record.
///
/// # Errors
/// See [`DecodeError`].
pub fn decode(bytes: &[u8]) -> Result<Event<'_>, DecodeError> {
    let (kind, _) = u16::read_from_prefix(bytes).map_err(|_| DecodeError::TooShort {
        needed: size_of::<u16>(),
        found: bytes.len(),
    })?;
    match kind {
        record_kind::SAMPLE => sample(bytes).map(Event::Sample),
        record_kind::CODE => code(bytes).map(Event::Code),
        record_kind::NATIVE => native::native(bytes).map(Event::Native),
        record_kind::KERNEL => native::kernel(bytes).map(Event::Kernel),
        record_kind::SPELL => spell::spell(bytes).map(Event::Spell),
        record_kind::EXEC => process(bytes, ProcessChange::Exec).map(Event::Process),
        record_kind::FORK => process(bytes, ProcessChange::Fork).map(Event::Process),
        record_kind::EXIT => process(bytes, ProcessChange::Exit).map(Event::Process),
        record_kind::UNKNOWN => process(bytes, ProcessChange::Unknown).map(Event::Process),
        record_kind::CHANGED => process(bytes, ProcessChange::Changed).map(Event::Process),
        other => Err(DecodeError::Kind(other)),
    }
}

/// Up to the first NUL.
fn unpadded(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or(name)
}

fn sample(bytes: &[u8]) -> Result<SampleView<'_>, DecodeError> {
    let record: SampleBlock = record(bytes, SAMPLE_HEADER_BYTES)?;
    let frame_count = usize::from(record.frame_count);
    if frame_count > FRAMES_PER_BLOCK {
        return Err(DecodeError::FrameCount(record.frame_count));
    }
    if usize::from(record.index) >= MAX_BLOCKS {
        return Err(DecodeError::BlockIndex(record.index));
    }
    let frames = tail(bytes, SAMPLE_HEADER_BYTES, frame_count * size_of::<RawFrame>())?;
    let last = record.flags & BLOCK_LAST != 0;
    let void = usize::from(record.void).min(FRAMES_PER_BLOCK);
    let status = StackStatus::from_code(record.status.into());
    let status = status.ok_or(DecodeError::StackStatus(record.status));
    Ok(SampleView {
        index: record.index,
        status: if last { Some(status?) } else { None },
        gil: GilState::from_code(record.gil.into()).ok_or(DecodeError::GilState(record.gil))?,
        collecting: record.flags & BLOCK_COLLECTING != 0,
        compiled: record.flags & BLOCK_COMPILED != 0,
        withheld: record.flags & BLOCK_WITHHELD != 0,
        tgid: record.tgid,
        tid: record.tid,
        incarnation: record.incarnation,
        time_ns: record.time_ns,
        thread_state: record.thread_state,
        source: Source::from_code(record.source).ok_or(DecodeError::Source(record.source))?,
        weight: record.weight,
        cpu: record.cpu,
        comm: unpadded(part(bytes, offset_of!(SampleBlock, comm), record.comm.len())?),
        restarts: void > 0,
        native_follows: last && record.flags & BLOCK_NATIVE != 0,
        entries: u32::try_from(void)
            .ok()
            .and_then(|void| record.entries.checked_shr(void))
            .unwrap_or(0),
        spell: record.spell,
        wait: spell::wait(&record),
        gil_lock: record.gil_lock,
        frames: Frames {
            chunks: frames
                .get(void * size_of::<RawFrame>()..)
                .unwrap_or_default()
                .chunks_exact(size_of::<RawFrame>()),
        },
    })
}

fn code(bytes: &[u8]) -> Result<CodeView<'_>, DecodeError> {
    let record: CodeDefinition = record(bytes, CODE_HEADER_BYTES)?;
    let (length, stored) = (record.line_table_length, record.line_table_stored);
    if usize::from(stored) > LINE_TABLE_BYTES || u32::from(stored) > length {
        return Err(DecodeError::LineTable { length, stored });
    }
    let line_table = tail(bytes, CODE_HEADER_BYTES, stored.into())?;
    let name = part(bytes, offset_of!(CodeDefinition, name_data), NAME_BYTES)?;
    let filename = part(bytes, offset_of!(CodeDefinition, filename_data), FILENAME_BYTES)?;
    let class = part(bytes, offset_of!(CodeDefinition, class_data), CLASS_BYTES)?
        .get(..usize::try_from(record.class_stored).unwrap_or(usize::MAX))
        .ok_or(DecodeError::Class(record.class_stored))?;
    Ok(CodeView {
        tgid: record.tgid,
        incarnation: record.incarnation,
        code: record.code,
        check: record.check,
        first_line: record.first_line,
        line_table_object: record.line_table_object,
        line_table_length: length,
        layout: record.layout,
        interpreter: record.interpreter,
        name: text(record.name, name)?,
        filename: text(record.filename, filename)?,
        class_object: record.class_object,
        class,
        line_table,
    })
}

/// The string with this header, whose captured bytes begin `room`.
fn text(header: TextHeader, room: &[u8]) -> Result<TextView<'_>, DecodeError> {
    let TextHeader {
        kind, length, stored, ..
    } = header;
    let width = if kind == TEXT_OF_BYTES { 1 } else { kind };
    let total = u64::from(length) * u64::from(width);
    let data = room
        .get(..stored.into())
        .filter(|_| matches!(kind, 0 | 1 | 2 | 4 | TEXT_OF_BYTES) && u64::from(stored) <= total);
    let data = data.ok_or(DecodeError::Text { kind, length, stored })?;
    Ok(TextView { header, data })
}

fn process(bytes: &[u8], change: ProcessChange) -> Result<ProcessView<'_>, DecodeError> {
    let record: ProcessRecord = record(bytes, offset_of!(ProcessRecord, command))?;
    let stored = usize::from(record.command_stored);
    if stored > COMMAND_BYTES {
        return Err(DecodeError::Command(record.command_stored));
    }
    Ok(ProcessView {
        change,
        tgid: record.tgid,
        parent_tgid: record.parent_tgid,
        incarnation: record.incarnation,
        time_ns: record.time_ns,
        comm: unpadded(part(bytes, offset_of!(ProcessRecord, comm), record.comm.len())?),
        command: tail(bytes, offset_of!(ProcessRecord, command), stored)?,
    })
}

#[cfg(test)]
pub(crate) mod encode;
#[cfg(test)]
mod tests;
