//! From ring-buffer bytes to typed events. Views borrow the bytes, so that a sample costs no allocation.
//!
//! Offsets come from the record types themselves, never from literals: a changed contract changes the decoder.
//! Total: any input gives an event or a [`DecodeError`]. Touches neither `/proc` nor BPF.

mod native;

use core::mem::offset_of;

use profiler_common::contract::reasons::{GilState, StackStatus};
use profiler_common::contract::records::{
    BLOCK_COLLECTING, BLOCK_COMPILED, BLOCK_LAST, BLOCK_NATIVE, CLASS_BYTES, CODE_HEADER_BYTES,
    COMMAND_BYTES, CodeDefinition, FILENAME_BYTES, FRAMES_PER_BLOCK, LINE_TABLE_BYTES, MAX_BLOCKS,
    NAME_BYTES, ProcessRecord, RawFrame, SAMPLE_HEADER_BYTES, SampleBlock, TEXT_OF_BYTES, TextHeader,
    record_kind,
};
use profiler_common::contract::sources::Source;
use thiserror::Error;

pub use native::{KernelView, NativeFrames, NativeView};

/// Records may be padded to this many bytes.
const RECORD_ALIGNMENT: usize = 8;

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
}

/// Why bytes are not a record. Means that the two halves do not fit together; nothing a target does leads here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// Fewer bytes than the record's own counts promise.
    #[error("the record needs {needed} bytes and has {found}")]
    TooShort {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// More bytes than the record's own counts and padding account for.
    #[error("the record needs {needed} bytes and has {found}, more than padding explains")]
    TooLong {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// Not one of [`record_kind`].
    #[error("record kind {0} is unknown")]
    Kind(u16),
    /// More frames than a block holds.
    #[error("{0} frames do not fit into one block")]
    FrameCount(u16),
    /// A block beyond the last possible one.
    #[error("block {0} of a sample cannot exist")]
    BlockIndex(u8),
    /// Not a [`StackStatus`] code.
    #[error("stack status {0} is unknown")]
    StackStatus(u8),
    /// Not a [`Source`] code.
    #[error("source {0} is unknown")]
    Source(u16),
    /// Not a [`NativeStatus`] code.
    #[error("native stack status {0} is unknown")]
    NativeStatus(u8),
    /// Not a [`GilState`] code.
    #[error("lock state {0} is unknown")]
    GilState(u8),
    /// A string whose kind, length and stored bytes contradict each other.
    #[error("a string of {length} characters of {kind} bytes cannot have {stored} bytes captured")]
    Text {
        /// As [`TextHeader::kind`].
        kind: u8,
        /// As [`TextHeader::length`].
        length: u32,
        /// As [`TextHeader::stored`].
        stored: u16,
    },
    /// More captured bytes of the line table than it has, or than fit.
    #[error("a line table of {length} bytes cannot have {stored} bytes captured")]
    LineTable {
        /// As [`CodeDefinition::line_table_length`].
        length: u32,
        /// As [`CodeDefinition::line_table_stored`].
        stored: u16,
    },
    /// More bytes of a class name than fit.
    #[error("{0} bytes of a class name do not fit into a record")]
    Class(u32),
    /// More bytes of a command line than fit.
    #[error("{0} bytes of a command line do not fit into a record")]
    Command(u16),
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
        self.chunks.next().and_then(|bytes| raw_frame(bytes).ok())
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
    match u16::read(bytes, 0)? {
        record_kind::SAMPLE => sample(bytes).map(Event::Sample),
        record_kind::CODE => code(bytes).map(Event::Code),
        record_kind::NATIVE => native::native(bytes).map(Event::Native),
        record_kind::KERNEL => native::kernel(bytes).map(Event::Kernel),
        record_kind::EXEC => process(bytes, ProcessChange::Exec).map(Event::Process),
        record_kind::FORK => process(bytes, ProcessChange::Fork).map(Event::Process),
        record_kind::EXIT => process(bytes, ProcessChange::Exit).map(Event::Process),
        record_kind::UNKNOWN => process(bytes, ProcessChange::Unknown).map(Event::Process),
        record_kind::CHANGED => process(bytes, ProcessChange::Changed).map(Event::Process),
        other => Err(DecodeError::Kind(other)),
    }
}

/// A little-endian integer of a record.
trait Scalar: Sized {
    fn read(bytes: &[u8], offset: usize) -> Result<Self, DecodeError>;
}

macro_rules! scalar {
    ($($integer:ty)*) => {$(
        impl Scalar for $integer {
            fn read(bytes: &[u8], offset: usize) -> Result<Self, DecodeError> {
                let field = part(bytes, offset, size_of::<Self>())?;
                let mut array = [0; size_of::<Self>()];
                array.copy_from_slice(field);
                Ok(Self::from_le_bytes(array))
            }
        }
    )*};
}
scalar!(u8 u16 u32 u64);

/// Reads a field by its name; offset and width are the record type's.
macro_rules! field {
    ($bytes:expr, $record:ty, $name:ident) => {
        $crate::wire::decode::field_of(
            $bytes,
            core::mem::offset_of!($record, $name),
            |record: &$record| record.$name,
        )
    };
}
use field;

fn field_of<R, T: Scalar>(bytes: &[u8], offset: usize, _gives_width: fn(&R) -> T) -> Result<T, DecodeError> {
    T::read(bytes, offset)
}

fn part(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8], DecodeError> {
    let needed = offset.saturating_add(length);
    bytes.get(offset..needed).ok_or(DecodeError::TooShort {
        needed,
        found: bytes.len(),
    })
}

/// The variable tail of `length` bytes at `offset`, which ends the record but for padding.
fn tail(bytes: &[u8], offset: usize, length: usize) -> Result<&[u8], DecodeError> {
    let needed = offset.saturating_add(length);
    let found = bytes.len();
    if found >= needed.saturating_add(RECORD_ALIGNMENT) {
        return Err(DecodeError::TooLong { needed, found });
    }
    part(bytes, offset, length)
}

/// Up to the first NUL.
fn unpadded(name: &[u8]) -> &[u8] {
    name.split(|byte| *byte == 0).next().unwrap_or(name)
}

fn sample(bytes: &[u8]) -> Result<SampleView<'_>, DecodeError> {
    let frame_count = field!(bytes, SampleBlock, frame_count)?;
    if usize::from(frame_count) > FRAMES_PER_BLOCK {
        return Err(DecodeError::FrameCount(frame_count));
    }
    let index = field!(bytes, SampleBlock, index)?;
    if usize::from(index) >= MAX_BLOCKS {
        return Err(DecodeError::BlockIndex(index));
    }
    let frames = tail(
        bytes,
        SAMPLE_HEADER_BYTES,
        usize::from(frame_count) * size_of::<RawFrame>(),
    )?;
    let flags = field!(bytes, SampleBlock, flags)?;
    let last = flags & BLOCK_LAST != 0;
    let void = usize::from(field!(bytes, SampleBlock, void)?).min(FRAMES_PER_BLOCK);
    let source = field!(bytes, SampleBlock, source)?;
    let status = field!(bytes, SampleBlock, status)?;
    let gil = field!(bytes, SampleBlock, gil)?;
    Ok(SampleView {
        index,
        status: if last { Some(stack_status(status)?) } else { None },
        gil: GilState::from_code(gil.into()).ok_or(DecodeError::GilState(gil))?,
        collecting: flags & BLOCK_COLLECTING != 0,
        compiled: flags & BLOCK_COMPILED != 0,
        tgid: field!(bytes, SampleBlock, tgid)?,
        tid: field!(bytes, SampleBlock, tid)?,
        incarnation: field!(bytes, SampleBlock, incarnation)?,
        time_ns: field!(bytes, SampleBlock, time_ns)?,
        thread_state: field!(bytes, SampleBlock, thread_state)?,
        source: Source::from_code(source).ok_or(DecodeError::Source(source))?,
        weight: field!(bytes, SampleBlock, weight)?,
        cpu: field!(bytes, SampleBlock, cpu)?,
        comm: unpadded(part(bytes, offset_of!(SampleBlock, comm), COMM_BYTES)?),
        restarts: void > 0,
        native_follows: last && flags & BLOCK_NATIVE != 0,
        entries: field!(bytes, SampleBlock, entries)?
            .checked_shr(u32::try_from(void).unwrap_or(u32::MAX))
            .unwrap_or(0),
        frames: Frames {
            chunks: frames
                .get(void * size_of::<RawFrame>()..)
                .unwrap_or_default()
                .chunks_exact(size_of::<RawFrame>()),
        },
    })
}

/// `TASK_COMM_LEN`, the width of both records' `comm`.
const COMM_BYTES: usize = 16;
const _: fn(&SampleBlock, &ProcessRecord) -> [[u8; COMM_BYTES]; 2] =
    |sample, process| [sample.comm, process.comm];

fn stack_status(code: u8) -> Result<StackStatus, DecodeError> {
    StackStatus::from_code(code.into()).ok_or(DecodeError::StackStatus(code))
}

fn raw_frame(bytes: &[u8]) -> Result<RawFrame, DecodeError> {
    Ok(RawFrame {
        code: field!(bytes, RawFrame, code)?,
        instr_offset: field!(bytes, RawFrame, instr_offset)?,
        check: field!(bytes, RawFrame, check)?,
    })
}

fn code(bytes: &[u8]) -> Result<CodeView<'_>, DecodeError> {
    let length = field!(bytes, CodeDefinition, line_table_length)?;
    let stored = field!(bytes, CodeDefinition, line_table_stored)?;
    if usize::from(stored) > LINE_TABLE_BYTES || u32::from(stored) > length {
        return Err(DecodeError::LineTable { length, stored });
    }
    let line_table = tail(bytes, CODE_HEADER_BYTES, stored.into())?;
    let name = part(bytes, offset_of!(CodeDefinition, name_data), NAME_BYTES)?;
    let filename = part(bytes, offset_of!(CodeDefinition, filename_data), FILENAME_BYTES)?;
    let class_stored = field!(bytes, CodeDefinition, class_stored)?;
    let class = part(bytes, offset_of!(CodeDefinition, class_data), CLASS_BYTES)?
        .get(..usize::try_from(class_stored).unwrap_or(usize::MAX))
        .ok_or(DecodeError::Class(class_stored))?;
    Ok(CodeView {
        tgid: field!(bytes, CodeDefinition, tgid)?,
        incarnation: field!(bytes, CodeDefinition, incarnation)?,
        code: field!(bytes, CodeDefinition, code)?,
        check: field!(bytes, CodeDefinition, check)?,
        first_line: field!(bytes, CodeDefinition, first_line)?,
        line_table_object: field!(bytes, CodeDefinition, line_table_object)?,
        line_table_length: length,
        layout: field!(bytes, CodeDefinition, layout)?,
        name: text(bytes, offset_of!(CodeDefinition, name), name)?,
        filename: text(bytes, offset_of!(CodeDefinition, filename), filename)?,
        class_object: field!(bytes, CodeDefinition, class_object)?,
        class,
        line_table,
    })
}

/// The string whose header is at `offset` and whose captured bytes begin `room`.
fn text<'a>(bytes: &[u8], offset: usize, room: &'a [u8]) -> Result<TextView<'a>, DecodeError> {
    let bytes = part(bytes, offset, size_of::<TextHeader>())?;
    let header = TextHeader {
        object: field!(bytes, TextHeader, object)?,
        length: field!(bytes, TextHeader, length)?,
        stored: field!(bytes, TextHeader, stored)?,
        kind: field!(bytes, TextHeader, kind)?,
        pad: 0,
    };
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
    let stored = field!(bytes, ProcessRecord, command_stored)?;
    if usize::from(stored) > COMMAND_BYTES {
        return Err(DecodeError::Command(stored));
    }
    Ok(ProcessView {
        change,
        tgid: field!(bytes, ProcessRecord, tgid)?,
        parent_tgid: field!(bytes, ProcessRecord, parent_tgid)?,
        incarnation: field!(bytes, ProcessRecord, incarnation)?,
        time_ns: field!(bytes, ProcessRecord, time_ns)?,
        comm: unpadded(part(bytes, offset_of!(ProcessRecord, comm), COMM_BYTES)?),
        command: tail(bytes, offset_of!(ProcessRecord, command), stored.into())?,
    })
}

#[cfg(test)]
pub(crate) mod encode;
#[cfg(test)]
mod tests;
