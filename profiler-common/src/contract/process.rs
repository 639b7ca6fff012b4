//! What the kernel half knows about processes, in two maps.
//!
//! `INCARNATIONS` says which process has a tgid now, and changes at the instant of a fork, exec or exit: the kernel
//! half alone replaces its elements, user space only adds one where there is none. `PROCESSES` says what user space found
//! out about a process, keyed by tgid and incarnation. So whatever user space writes, and however late, never meets
//! another program than the one it has looked at.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// How to emulate `pthread_getspecific(key)` and `pthread_self()` from the thread pointer, for one C library on one
/// architecture. Filled in by `profiler-user`'s `interpreter::thread_specific`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ThreadSpecific {
    /// From the thread pointer to the slot of key 0, bytes. With `indirect`, to a pointer to that slot.
    pub table_offset: i32,
    /// From the thread pointer to the array of pointers to second-level blocks, bytes; 0 when there is none.
    pub second_level_offset: i32,
    /// From the thread pointer to `pthread_self()`, bytes.
    pub self_offset: i32,
    /// Bytes from one key's slot to the next.
    pub stride: u8,
    /// Bytes from the start of a slot to the value.
    pub value_offset: u8,
    /// 1 when `table_offset` leads to a pointer to the table (musl), 0 when to the table itself (glibc).
    pub indirect: u8,
    /// Keys in one block; keys at or above it are found through the second level. 0: all keys are in the first.
    pub block_keys: u8,
}

/// How to find a thread's variables of one module (program or library) from the thread pointer, for one C library on
/// one architecture: what `__tls_get_addr` does. Filled in by `profiler-user`'s `interpreter::thread_specific`.
///
/// With `v` the word at `thread pointer + offset` and `m` the module's number (from 1): the thread has the module's
/// variables if `m` is at most the word at `v + length_offset`, and the word `b` at `v + m * stride` is neither 0 nor
/// -1; they begin at `b`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DynamicThreadVector {
    /// From the thread pointer to the pointer to the vector, bytes.
    pub offset: i32,
    /// Bytes from one module's entry to the next; an entry starts with the address of the module's block.
    pub stride: u8,
    /// From the vector to the highest module number that it has an entry for, bytes.
    pub length_offset: i8,
    /// Explicit padding.
    pub pad: [u8; 2],
}

/// `ThreadLookup::how`: what leads from a thread to its `PyThreadState`.
pub mod thread_lookup {
    /// `anchor` is the address of a `Py_tss_t`: an `int` that is 1 once created, then the `pthread_key_t` (3.7 to 3.14).
    pub const KEY_STRUCT: u8 = 0;
    /// `anchor` is the address of an `int`: the `pthread_key_t`, negative before it is created (3.6).
    pub const KEY: u8 = 1;
    /// `anchor` bytes from the thread pointer lies `_Py_tss_gilstate` (3.15).
    pub const THREAD_LOCAL: u8 = 2;
    /// `_Py_tss_gilstate` lies `anchor` bytes into the block of `module` (3.15).
    pub const MODULE_LOCAL: u8 = 3;
    /// `anchor` is the address of `interp_head`: all thread states are gone through (2.7, which keeps its own list of
    /// thread-specific values behind a lock).
    pub const LIST: u8 = 4;
}

/// `ThreadLookup::gil_how`: what leads from a thread to the GIL of its interpreter.
pub mod gil_lookup {
    /// Nothing is known that does, or the interpreter has no GIL.
    pub const UNKNOWN: u8 = 0;
    /// `gil` is where it lies (3.6 to 3.11).
    pub const AT: u8 = 1;
    /// `gil` is the address of the pointer to it (2.7).
    pub const POINTER: u8 = 2;
    /// The thread's interpreter has the pointer to it (3.12+): see `InterpreterLayout::gil`.
    pub const INTERPRETER: u8 = 3;
}

/// How the `PyThreadState` of a thread is found, whether or not it holds the GIL. Addresses are the process's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ThreadLookup {
    /// Address of the pointer to the thread state that holds the GIL (up to 3.11); 0 where there is none.
    pub holder: u64,
    /// Address of the pointer to the thread state that held the GIL last (3.7 to 3.11); 0 where there is none. Right for
    /// a subinterpreter that released the GIL, where the key leads to the thread's first state.
    pub last_holder: u64,
    /// What [`Self::how`] says.
    pub anchor: u64,
    /// Address of the `int` that is not 0 during a garbage collection (up to 3.8); 0 where it is unknown or part of the
    /// interpreter state.
    pub collecting: u64,
    /// Address of `PyCode_Type`, the type of every code object; 0 where it is unknown.
    pub code_type: u64,
    /// What [`Self::gil_how`] says.
    pub gil: u64,
    /// How the C library keeps thread-specific data.
    pub specific: ThreadSpecific,
    /// How it keeps the thread-local variables of libraries.
    pub vector: DynamicThreadVector,
    /// For [`thread_lookup::MODULE_LOCAL`]: the library's number in the dynamic thread vector.
    pub module: u32,
    /// A [`thread_lookup`] code.
    pub how: u8,
    /// 1: this process initialises its interpreter once, so that `InterpreterLayout::code_generation` of one interpreter
    /// only ever grows. A program that embeds an interpreter may start another at the same place, which counts from 0.
    pub initialises_once: u8,
    /// A [`gil_lookup`] code.
    pub gil_how: u8,
    /// Bytes of the GIL: who waits for a lock at one of them waits for the GIL.
    pub gil_bytes: u8,
    /// Where threads that wait for a condition variable wait at an address of their own stack (musl): from the GIL to the
    /// pointer to what the thread that came last has there. Else 0.
    pub gil_waiters: u8,
    /// Explicit padding.
    pub pad: [u8; 7],
}

/// `Incarnation::flags`: forked children are profiled too.
pub const PROCESS_FOLLOW_CHILDREN: u32 = 1 << 0;
/// `Incarnation::flags`: children are reported, theirs too, so that user space can say that they exist. They are not profiled.
pub const PROCESS_REPORT_CHILDREN: u32 = 1 << 1;

/// Which process has a tgid now: value of the `INCARNATIONS` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Incarnation {
    /// Tells one address space from another that had the same tgid: nanoseconds of the monotonic clock when this
    /// address space was first seen (fork, exec, or the first look).
    pub incarnation: u64,
    /// The key again: an element may be given to another process while it is read.
    pub tgid: u32,
    /// [`PROCESS_FOLLOW_CHILDREN`], [`PROCESS_REPORT_CHILDREN`].
    pub flags: u32,
}

/// Key of the `PROCESSES` map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcessId {
    /// [`Incarnation::incarnation`].
    pub incarnation: u64,
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// Explicit padding.
    pub pad: u32,
}

impl ProcessId {
    /// The process that had this tgid in this incarnation.
    #[inline(always)]
    #[must_use]
    pub const fn new(tgid: u32, incarnation: u64) -> Self {
        Self {
            incarnation,
            tgid,
            pad: 0,
        }
    }
}

/// `ProcessEntry::flags`: the process runs a supported interpreter, and is sampled.
pub const PROCESS_PYTHON: u32 = 1 << 0;
/// `ProcessEntry::flags`: the process runs a supported interpreter but a filter excludes it. It is not sampled; its life
/// is reported, because the verdict may change.
pub const PROCESS_EXCLUDED: u32 = 1 << 1;

/// One process that runs Python: value of the `PROCESSES` map. Written by user space, copied by the kernel half at a fork,
/// removed by it at an exec or exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ProcessEntry {
    /// Part of the key, again: an element may be given to another process while it is read.
    pub incarnation: u64,
    /// How a thread's Python state is found.
    pub lookup: ThreadLookup,
    /// Index into the `LAYOUTS` map.
    pub layout: u32,
    /// `PROCESS_*` bits.
    pub flags: u32,
    /// Number of the list of executable mappings, never given twice; 0 when there is none. A forked child has its
    /// parent's.
    pub space: u32,
    /// Index of the first [`crate::contract::unwind::Mapping`] of that list; they are sorted by address.
    pub first_mapping: u32,
    /// Mappings in the list; at most [`crate::contract::unwind::MAX_MAPPINGS`].
    pub mapping_count: u32,
    /// Part of the key, again.
    pub tgid: u32,
}

impl ProcessEntry {
    /// Its key.
    #[inline(always)]
    #[must_use]
    pub const fn id(&self) -> ProcessId {
        ProcessId::new(self.tgid, self.incarnation)
    }
}
