//! What travels through the ring buffers, kernel to user. Fixed-width fields; the compiler proves that
//! there is no padding but what is spelled out (`IntoBytes`) and that any bytes are a record (`FromBytes`).

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First field of every record.
pub mod record_kind {
    /// [`super::SampleBlock`]: part of one sample.
    pub const SAMPLE: u16 = 1;
    /// [`super::CodeDefinition`]: a code object seen for the first time.
    pub const CODE: u16 = 2;
    /// [`super::ProcessRecord`]: a process executed another program.
    pub const EXEC: u16 = 3;
    /// [`super::ProcessRecord`]: a process was forked.
    pub const FORK: u16 = 4;
    /// [`super::ProcessRecord`]: the last thread of a process exited.
    pub const EXIT: u16 = 5;
    /// [`super::ProcessRecord`]: a sample met a process that user space has said nothing about.
    pub const UNKNOWN: u16 = 6;
    /// [`super::ProcessRecord`]: a process changed its cgroup or its name.
    pub const CHANGED: u16 = 7;
    /// [`super::NativeBlock`]: part of a sample's native stack.
    pub const NATIVE: u16 = 8;
    /// [`super::KernelStack`]: a sample's kernel frames.
    pub const KERNEL: u16 = 9;
    /// [`super::SpellRecord`]: a thread is on a CPU again.
    pub const SPELL: u16 = 10;
}

/// Frames in one [`SampleBlock`]; a deeper stack takes several blocks.
pub const FRAMES_PER_BLOCK: usize = 64;
/// Blocks in one sample, at most: the kernel chains 33 programs (`MAX_TAIL_CALL_CNT`).
pub const MAX_BLOCKS: usize = 32;
/// Python frames in one sample, at most; the rest is cut off and the sample marked.
pub const MAX_FRAMES: usize = FRAMES_PER_BLOCK * MAX_BLOCKS;

/// One Python frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RawFrame {
    /// Address of the code object; 0 marks a frame that is not Python code: an entry frame of the C stack (a boundary,
    /// see [`RawFrame::entry`]), or with `check` [`BOOKKEEPING_FRAME`] one to be ignored.
    pub code: u64,
    /// Byte offset of the current instruction in the bytecode; [`NO_INSTRUCTION`] before the first.
    pub instr_offset: u32,
    /// Hash of the code object's identity range (see `CodeLayout::identity_start`) and of its interpreter's id (see
    /// `InterpreterLayout::id`).
    pub check: u32,
}

impl RawFrame {
    /// The entry frame at `address`: from 3.12 on a local variable of the evaluation loop, so that this address lies in
    /// exactly one native frame. Below 2^62.
    #[inline(always)]
    #[must_use]
    pub const fn entry(address: u64) -> Self {
        Self {
            code: 0,
            instr_offset: address as u32,
            check: ((address >> 32) as u32) << 2 | ENTRY_FRAME,
        }
    }

    /// The address, for a frame made by [`Self::entry`].
    #[must_use]
    pub const fn entry_address(&self) -> Option<u64> {
        if self.code == 0 && self.check & 3 == ENTRY_FRAME {
            Some((self.check as u64 >> 2) << 32 | self.instr_offset as u64)
        } else {
            None
        }
    }
}

/// The two low bits of `RawFrame::check` of an entry frame; `code` is 0.
const ENTRY_FRAME: u32 = 2;

/// `RawFrame::check` of a frame that is neither Python code nor a boundary (see `layout::CODE_BOOKKEEPING`).
pub const BOOKKEEPING_FRAME: u32 = 1;

/// `RawFrame::instr_offset` of a frame that has not run an instruction yet.
pub const NO_INSTRUCTION: u32 = u32::MAX;

/// `SampleBlock::flags`: no further block of this sample follows.
pub const BLOCK_LAST: u8 = 1 << 0;
/// `SampleBlock::flags`: the thread was collecting garbage.
pub const BLOCK_COLLECTING: u8 = 1 << 1;
/// `SampleBlock::flags`: the thread was running just-in-time compiled code, in which an instruction offset of 0 says
/// nothing (see `ThreadStateLayout::executor`).
pub const BLOCK_COMPILED: u8 = 1 << 2;

/// `SampleBlock::flags`, with [`BLOCK_LAST`]: the native stack follows in [`NativeBlock`] records.
pub const BLOCK_NATIVE: u8 = 1 << 3;
/// `SampleBlock::flags`: definitions of frames of this sample, up to here, were not sent because the process had used up what
/// it may send (see [`super::definitions`]). Nothing is to be waited for.
pub const BLOCK_WITHHELD: u8 = 1 << 4;
/// `SampleBlock::flags`, of time off the CPU: if the thread is in a `futex` call, it waits for the GIL.
pub const BLOCK_AT_GIL: u8 = 1 << 5;

/// Part of one sample: newest frame first. Sent with only the first `frame_count` frames.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SampleBlock {
    /// [`record_kind::SAMPLE`].
    pub kind: u16,
    /// Frames in this block.
    pub frame_count: u16,
    /// 0 for the newest frames, then 1, 2, ...
    pub index: u8,
    /// `BLOCK_*` bits.
    pub flags: u8,
    /// A [`crate::contract::reasons::StackStatus`] code; meaningful in the last block.
    pub status: u8,
    /// A [`crate::contract::reasons::GilState`] code.
    pub gil: u8,
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
    /// What the sample stands for, in the unit of its source.
    pub weight: u64,
    /// CPU number.
    pub cpu: u32,
    /// Leading frames of this block that are not frames of the stack; if not 0, so are those of earlier blocks.
    pub void: u16,
    /// A [`crate::contract::sources::Source`] code.
    pub source: u16,
    /// The kernel's thread name, NUL-padded.
    pub comm: [u8; 16],
    /// Bit `n`: the frame at `n` is the outermost one of its invocation of the evaluation loop (3.11's `is_entry`).
    pub entries: u64,
    /// Of time off the CPU: `ThreadSlot::spell`, by which its [`SpellRecord`] is found.
    pub spell: u32,
    /// Of time off the CPU: the system call that the thread was in, [`NO_SYSTEM_CALL`] or
    /// [`UNKNOWN_SYSTEM_CALL`].
    pub system_call: u32,
    /// The first argument of that call.
    pub argument: u64,
    /// Address of the GIL of the thread's interpreter, where time off the CPU is recorded; 0 where that is not known.
    pub gil_lock: u64,
    /// The frames.
    pub frames: [RawFrame; FRAMES_PER_BLOCK],
}

/// `SampleBlock::system_call` of a thread that was in none: it waits for a page of its memory.
pub const NO_SYSTEM_CALL: u32 = u32::MAX;
/// `SampleBlock::system_call` of one of which that is not known.
pub const UNKNOWN_SYSTEM_CALL: u32 = u32::MAX - 1;

/// Bytes of a [`SampleBlock`] before its frames.
pub const SAMPLE_HEADER_BYTES: usize = size_of::<SampleBlock>() - FRAMES_PER_BLOCK * size_of::<RawFrame>();

/// Frames in one [`NativeBlock`]; a deeper stack takes several.
pub const NATIVE_FRAMES_PER_BLOCK: usize = 64;
/// Kernel frames of one sample, at most (`PERF_MAX_STACK_DEPTH`).
pub const KERNEL_FRAMES: usize = 127;

/// One native frame: a function of a program or library.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NativeFrame {
    /// Newest frame: the instruction that was interrupted; others: where the callee will return to.
    pub pc: u64,
    /// The stack pointer at `pc`. The frame's memory is from here up to the caller's `sp`.
    pub sp: u64,
}

/// `NativeBlock::flags`: no further block of this stack follows.
pub const NATIVE_LAST: u8 = 1 << 0;
/// `NativeBlock::flags`: the thread was in the kernel, and [`KernelStack`] has been sent or lost.
pub const NATIVE_IN_KERNEL: u8 = 1 << 1;

/// Part of the native stack of the sample that this CPU has just sent: newest frame first. Sent with only the first
/// `frame_count` frames.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct NativeBlock {
    /// [`record_kind::NATIVE`].
    pub kind: u16,
    /// Frames in this block.
    pub frame_count: u16,
    /// 0 for the newest frames, then 1, 2, ...
    pub index: u8,
    /// `NATIVE_*` bits.
    pub flags: u8,
    /// A [`crate::contract::reasons::NativeStatus`] code; meaningful in the last block.
    pub status: u16,
    /// CPU number.
    pub cpu: u32,
    /// Explicit padding.
    pub pad: u32,
    /// `SampleBlock::time_ns` of the sample.
    pub time_ns: u64,
    /// Bit `n`: the frame at `n` was interrupted by a signal: its `pc` is an instruction, not a return address.
    pub interrupted: u64,
    /// The frames.
    pub frames: [NativeFrame; NATIVE_FRAMES_PER_BLOCK],
}

/// Bytes of a [`NativeBlock`] before its frames.
pub const NATIVE_HEADER_BYTES: usize =
    size_of::<NativeBlock>() - NATIVE_FRAMES_PER_BLOCK * size_of::<NativeFrame>();

/// Kernel frames of the sample that this CPU has just sent: newest first. Sent with only the first `frame_count` frames.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct KernelStack {
    /// [`record_kind::KERNEL`].
    pub kind: u16,
    /// Frames.
    pub frame_count: u16,
    /// CPU number.
    pub cpu: u32,
    /// `SampleBlock::time_ns` of the sample.
    pub time_ns: u64,
    /// Addresses in the kernel.
    pub frames: [u64; KERNEL_FRAMES],
}

/// Bytes of a [`KernelStack`] before its frames.
pub const KERNEL_HEADER_BYTES: usize = size_of::<KernelStack>() - KERNEL_FRAMES * 8;

/// A thread was off its CPU, and is back. What it was doing meanwhile is in the [`SampleBlock`] with the same thread and
/// spell, which was sent before, if it was walked.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SpellRecord {
    /// [`record_kind::SPELL`].
    pub kind: u16,
    /// Explicit padding.
    pub pad: u16,
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// Thread id in the initial pid namespace.
    pub tid: u32,
    /// `ThreadSlot::spell`.
    pub spell: u32,
    /// `ProcessEntry::incarnation`.
    pub incarnation: u64,
    /// When it left its CPU, `CLOCK_MONOTONIC`, nanoseconds.
    pub out_ns: u64,
    /// How long it was blocked from then on.
    pub blocked_ns: u64,
    /// How long it waited for a CPU after that.
    pub waiting_ns: u64,
    /// `ThreadSlot::odds`.
    pub odds: u32,
    /// The CPU that it is on now.
    pub cpu: u32,
    /// The kernel's thread name, NUL-padded.
    pub comm: [u8; 16],
}

/// Bytes kept of a qualified name; longer ones are completed from user space.
pub const NAME_BYTES: usize = 256;
/// Bytes kept of a file name.
pub const FILENAME_BYTES: usize = 512;
/// Bytes kept of a class name.
pub const CLASS_BYTES: usize = 128;
/// Bytes kept of a line table.
pub const LINE_TABLE_BYTES: usize = 4096;

/// `TextHeader::kind` of bytes in the file system's encoding (2.7).
pub const TEXT_OF_BYTES: u8 = 0xff;

/// One `str` as captured: raw characters of 1, 2 or 4 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TextHeader {
    /// Address of the `str` object, for a second try.
    pub object: u64,
    /// Characters in the string.
    pub length: u32,
    /// Bytes captured, a prefix of the string's data; fewer than `length * kind` when it was too long.
    pub stored: u16,
    /// Bytes per character (1: Latin-1 or ASCII, 2, 4), or [`TEXT_OF_BYTES`]; 0 when the object could not be read.
    pub kind: u8,
    /// Explicit padding.
    pub pad: u8,
}

/// A code object, captured in the kernel at first sight so that its name outlives the process. Sent with only the
/// first `line_table_stored` bytes of the line table.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct CodeDefinition {
    /// [`record_kind::CODE`].
    pub kind: u16,
    /// Bytes captured of the line table.
    pub line_table_stored: u16,
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// `ProcessEntry::incarnation`.
    pub incarnation: u64,
    /// Address of the code object.
    pub code: u64,
    /// As `RawFrame::check`.
    pub check: u32,
    /// `co_firstlineno`.
    pub first_line: u32,
    /// Address of the line-table `bytes` object, for a second try.
    pub line_table_object: u64,
    /// Its size in bytes; `u32::MAX` when it could not be read.
    pub line_table_length: u32,
    /// `ProcessEntry::layout`.
    pub layout: u32,
    /// Address of the interpreter whose id is part of `check`.
    pub interpreter: u64,
    /// Up to 3.10, for a method: address of the type of the first argument at this moment, or of the first argument when
    /// that is a class; else 0.
    pub class_object: u64,
    /// Bytes of `class_data`.
    pub class_stored: u32,
    /// Explicit padding.
    pub pad: u32,
    /// `co_qualname`, or `co_name` before 3.11.
    pub name: TextHeader,
    /// `co_filename`.
    pub filename: TextHeader,
    /// Data of `name`.
    pub name_data: [u8; NAME_BYTES],
    /// Data of `filename`.
    pub filename_data: [u8; FILENAME_BYTES],
    /// `tp_name` of the class.
    pub class_data: [u8; CLASS_BYTES],
    /// Data of the line table.
    pub line_table: [u8; LINE_TABLE_BYTES],
}

impl CodeDefinition {
    /// All zero.
    pub const EMPTY: Self = zerocopy::transmute!([0u8; size_of::<Self>()]);
}

/// Bytes of a [`CodeDefinition`] before its line table.
pub const CODE_HEADER_BYTES: usize = size_of::<CodeDefinition>() - LINE_TABLE_BYTES;

/// Bytes kept of a command line.
pub const COMMAND_BYTES: usize = 512;

/// A process appeared, changed its program, or went.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcessRecord {
    /// One of [`record_kind`].
    pub kind: u16,
    /// Bytes of `command`.
    pub command_stored: u16,
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// For a fork, the parent's process id.
    pub parent_tgid: u32,
    /// Explicit padding.
    pub pad: u32,
    /// `ProcessEntry::incarnation` from now on (fork, exec), of the entry that was removed (exit) or is there (changed);
    /// 0 when the process was not profiled.
    pub incarnation: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// The kernel's name of the process, NUL-padded.
    pub comm: [u8; 16],
    /// After an exec: the arguments, each ended by NUL, cut off at the array's end.
    pub command: [u8; COMMAND_BYTES],
}

/// A process that a sample met and nobody has described: a [`ProcessRecord`] of kind [`record_kind::UNKNOWN`] without a
/// command, small enough for a program's stack.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct UnknownProcess {
    /// [`record_kind::UNKNOWN`].
    pub kind: u16,
    /// 0.
    pub command_stored: u16,
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// 0.
    pub parent_tgid: u32,
    /// Explicit padding.
    pub pad: u32,
    /// 0.
    pub incarnation: u64,
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub time_ns: u64,
    /// The kernel's name of the sampled thread, NUL-padded.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<UnknownProcess>() == size_of::<ProcessRecord>() - COMMAND_BYTES);
