//! What the kernel half knows about one profiled process: the value of the `PROCESSES` map, keyed by tgid.

/// How to emulate `pthread_getspecific(key)` and `pthread_self()` from the thread pointer, for one C library on one
/// architecture. Filled in by `profiler-user`'s `interpreter::thread_specific`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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

/// `ProcessEntry::flags`: the process runs a supported interpreter; without it every sample is counted as not Python.
pub const PROCESS_PYTHON: u32 = 1 << 0;
/// `ProcessEntry::flags`: forked children are profiled too.
pub const PROCESS_FOLLOW_CHILDREN: u32 = 1 << 1;
/// `ProcessEntry::flags`: the process runs a supported interpreter but a filter excludes it. It is not sampled; its life
/// is reported, because the verdict may change.
pub const PROCESS_EXCLUDED: u32 = 1 << 2;

/// One process, as the kernel half sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct ProcessEntry {
    /// Tells one address space from another that had the same tgid: nanoseconds of the monotonic clock when this
    /// address space was first seen (fork, exec, or the scan at start).
    pub incarnation: u64,
    /// Address of `_PyRuntime`.
    pub runtime: u64,
    /// How the C library keeps thread-specific data.
    pub thread_specific: ThreadSpecific,
    /// Index into the `LAYOUTS` map.
    pub layout: u32,
    /// `PROCESS_*` bits.
    pub flags: u32,
}

const _: () = assert!(size_of::<ThreadSpecific>() == 16);
const _: () = assert!(size_of::<ProcessEntry>() == 40);
