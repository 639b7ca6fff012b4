//! How each C library keeps `pthread_getspecific` data, `pthread_self()` and the thread-local variables of
//! libraries, by architecture: the one place where both matter.
//!
//! Used by `recognise::judgement`; `profiler_common::walker::python::locate` does the arithmetic. Sources: glibc
//! `nptl/descr.h` (`struct pthread.specific_1stblock`, `.specific`) and `sysdeps/*/nptl/tls.h` in 2.31 to
//! 2.44, musl `src/internal/pthread_impl.h` and `arch/*/pthread_arch.h` from 1.2.2; offsets were read from
//! the compiled libraries. Thread-local variables: glibc `sysdeps/generic/dl-dtv.h` (`dtv_t`) and
//! `csu/libc-tls.c`, musl `src/thread/__tls_get_addr.c`. musl 1.1 and 1.2.0 keep the table 8 bytes further on and are not told apart here:
//! their threads appear as having no Python state.

use profiler_common::contract::process::{DynamicThreadVector, ThreadSpecific};

use crate::elf::Architecture;
use crate::language::python::recognise::analysis::Libc;

/// glibc: `struct pthread_key_data` is {sequence number, value}; 32 keys to a block
/// (`PTHREAD_KEY_2NDLEVEL_SIZE`).
const GLIBC_STRIDE: u8 = 16;
const GLIBC_VALUE: u8 = 8;
const GLIBC_BLOCK_KEYS: u8 = 32;

/// glibc on aarch64: from the start of `struct pthread`.
const GLIBC_AARCH64_FIRST_BLOCK: i32 = 0x110;
const GLIBC_AARCH64_SECOND_LEVEL: i32 = 784;

/// One row per C library and architecture that is supported.
const TABLE: &[(Architecture, Libc, ThreadSpecific)] = &[
    // The thread pointer is the start of `struct pthread`; the same in 2.31, 2.35, 2.36, 2.39 and 2.41 to 2.44.
    (Architecture::X86_64, Libc::Glibc, glibc(0, 0x310, 0x510)),
    // `struct pthread.tsd`, a pointer to an array of pointers.
    (Architecture::X86_64, Libc::Musl, musl(0, 0x80)),
    // `pthread_self()` lies 200 bytes before the thread pointer; 1.2.2 to 1.2.6.
    (Architecture::Aarch64, Libc::Musl, musl(-200, -0x58)),
];

/// The same for the dynamic thread vectors.
const VECTORS: &[(Architecture, Libc, DynamicThreadVector)] = &[
    // `tcbhead_t.dtv`; entries are {block, what to free}; `dtv[-1].counter` is the length.
    (Architecture::X86_64, Libc::Glibc, vector(8, 16, -16)),
    (Architecture::Aarch64, Libc::Glibc, vector(0, 16, -16)),
    // `struct pthread.dtv`; entries are pointers; `dtv[0]` is the length.
    (Architecture::X86_64, Libc::Musl, vector(8, 8, 0)),
    (Architecture::Aarch64, Libc::Musl, vector(-8, 8, 0)),
];

/// Where the C library keeps the kernel's id of a thread, from `pthread_self()`: 4 bytes, set again by `fork`.
const KERNEL_IDS: &[(Architecture, Libc, u16)] = &[
    // `struct pthread.tid`, `_thread_db_pthread_tid` of the library; the same in 2.31, 2.36, 2.41 and 2.43.
    (Architecture::X86_64, Libc::Glibc, 720),
    // `struct pthread.tid`, after six words; from 1.2.2 on.
    (Architecture::X86_64, Libc::Musl, 48),
];

/// Where the C library `libc` keeps the kernel's id of a thread, bytes from `pthread_self()`.
#[must_use]
pub fn kernel_id(architecture: Architecture, libc: Libc) -> Option<u16> {
    KERNEL_IDS
        .iter()
        .find(|row| (row.0, row.1) == (architecture, libc))
        .map(|row| row.2)
}

/// Where in a condition variable the pointer is to what the thread that came last has on its stack and waits at, bytes; 0
/// for a C library whose threads wait at an address inside the condition variable.
#[must_use]
pub fn newest_waiter(libc: Libc) -> u8 {
    match libc {
        Libc::Glibc => 0,
        // `_c_head`, `__p[1]`; the same from 1.1.0 to 1.2.6.
        Libc::Musl => 8,
    }
}

/// How the C library `libc` keeps the thread-local variables of libraries on `architecture`.
#[must_use]
pub fn dynamic_thread_vector(architecture: Architecture, libc: Libc) -> Option<DynamicThreadVector> {
    VECTORS
        .iter()
        .find(|row| (row.0, row.1) == (architecture, libc))
        .map(|row| row.2)
}

const fn vector(offset: i32, stride: u8, length_offset: i8) -> DynamicThreadVector {
    DynamicThreadVector {
        offset,
        stride,
        length_offset,
        pad: [0; 2],
    }
}

/// How the C library `libc` keeps thread-specific data on `architecture`. `None` where that takes knowing
/// more: glibc on aarch64 needs its version's `sizeof(struct pthread)`, see [`glibc_aarch64`].
#[must_use]
pub fn thread_specific(architecture: Architecture, libc: Libc) -> Option<ThreadSpecific> {
    TABLE
        .iter()
        .find(|row| (row.0, row.1) == (architecture, libc))
        .map(|row| row.2)
}

/// glibc on aarch64 keeps `struct pthread` right before the thread pointer, so its size decides: 1792 bytes
/// in 2.31, 1856 in 2.36, 1824 in 2.41 and 2.43. The library exports it as `_thread_db_sizeof_pthread` (from
/// 2.34), for debuggers (`nptl_db/structs.def`).
#[must_use]
pub const fn glibc_aarch64(sizeof_pthread: u16) -> ThreadSpecific {
    let start = -(sizeof_pthread as i32);
    glibc(
        start,
        start + GLIBC_AARCH64_FIRST_BLOCK,
        start + GLIBC_AARCH64_SECOND_LEVEL,
    )
}

const fn glibc(self_offset: i32, table_offset: i32, second_level_offset: i32) -> ThreadSpecific {
    ThreadSpecific {
        table_offset,
        second_level_offset,
        self_offset,
        stride: GLIBC_STRIDE,
        value_offset: GLIBC_VALUE,
        indirect: 0,
        block_keys: GLIBC_BLOCK_KEYS,
    }
}

const fn musl(self_offset: i32, table_offset: i32) -> ThreadSpecific {
    ThreadSpecific {
        table_offset,
        second_level_offset: 0,
        self_offset,
        stride: 8,
        value_offset: 0,
        indirect: 1,
        block_keys: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance from the thread pointer to the slot's value for a key in the first block.
    fn direct(how: &ThreadSpecific, key: i32) -> i32 {
        how.table_offset + key * i32::from(how.stride) + i32::from(how.value_offset)
    }

    #[test]
    fn glibc_on_x86_64_finds_the_slots_that_its_disassembly_shows() {
        let how = thread_specific(Architecture::X86_64, Libc::Glibc).expect("supported");
        assert_eq!(
            (direct(&how, 0), direct(&how, 1), direct(&how, 31)),
            (0x318, 0x328, 0x508)
        );
        assert_eq!(
            (how.second_level_offset, how.self_offset, how.block_keys),
            (0x510, 0, 32)
        );
    }

    #[test]
    fn glibc_on_aarch64_follows_the_size_of_its_thread_descriptor() {
        for (size, table) in [(1792, -1520), (1856, -1584), (1824, -1552)] {
            let how = glibc_aarch64(size);
            assert_eq!(how.table_offset, table);
            assert_eq!(how.self_offset, -i32::from(size));
            assert_eq!(
                how.second_level_offset - how.table_offset,
                512,
                "32 keys of 16 bytes lie between"
            );
        }
        assert_eq!(thread_specific(Architecture::Aarch64, Libc::Glibc), None);
    }

    #[test]
    fn musl_goes_through_one_pointer() {
        let intel = thread_specific(Architecture::X86_64, Libc::Musl).expect("supported");
        assert_eq!(
            (
                intel.table_offset,
                intel.indirect,
                intel.stride,
                intel.value_offset
            ),
            (0x80, 1, 8, 0)
        );
        let arm = thread_specific(Architecture::Aarch64, Libc::Musl).expect("supported");
        assert_eq!(
            (arm.table_offset, arm.self_offset, arm.indirect),
            (-0x58, -200, 1)
        );
    }

    #[test]
    fn other_processors_have_no_row() {
        for libc in [Libc::Glibc, Libc::Musl] {
            assert_eq!(dynamic_thread_vector(Architecture::Other(243), libc), None);
            assert_eq!(thread_specific(Architecture::Other(243), libc), None);
        }
    }
}
