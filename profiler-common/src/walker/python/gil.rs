//! Which GIL a thread runs under, and whether it waits for it.
//!
//! Facts: CPython 2.7 `Python/ceval.c` (`interpreter_lock`, a semaphore on the heap) and 3.6 `Python/ceval_gil.h` (static
//! variables); 3.7 to 3.15 `Include/internal/pycore_gil.h` (`struct _gil_runtime_state`), to which from 3.12 on each
//! interpreter has a pointer; musl `src/thread/pthread_cond_timedwait.c` (`struct waiter`, `_c_head`).

use crate::contract::layout::Layout;
use crate::contract::process::{ThreadLookup, gil_lookup};
use crate::memory::{Memory, RemoteAddr};
use crate::walker::python::Scratch;

/// What one waiting thread has on its stack is not larger.
const WAITER_BYTES: u64 = 40;

/// The GIL of the interpreter that the thread runs in; null where that is not known. [`super::locate`] has found the
/// thread's state.
#[inline(always)]
pub fn gil<M: Memory>(memory: &M, lookup: &ThreadLookup, layout: &Layout, scratch: &Scratch) -> RemoteAddr {
    let pointer = match lookup.gil_how {
        gil_lookup::AT => return RemoteAddr(lookup.gil),
        gil_lookup::POINTER => RemoteAddr(lookup.gil),
        gil_lookup::INTERPRETER if layout.interpreter.gil != 0 => {
            scratch.interpreter.offset(layout.interpreter.gil.into())
        }
        _ => return RemoteAddr::NULL,
    };
    let mut word = [0u64; 1];
    if memory.read_words(pointer, &mut word).is_err() {
        return RemoteAddr::NULL;
    }
    RemoteAddr(word[0])
}

/// Whether a thread that waits for a lock at `address` waits for this GIL; best asked as soon as it does.
#[inline(always)]
pub fn is_at_gil<M: Memory>(memory: &M, lookup: &ThreadLookup, gil: RemoteAddr, address: u64) -> bool {
    if gil.is_null() {
        return false;
    }
    if address.wrapping_sub(gil.0) < lookup.gil_bytes.into() {
        return true;
    }
    let mut word = [0u64; 1];
    lookup.gil_waiters != 0
        && memory
            .read_words(gil.offset(lookup.gil_waiters.into()), &mut word)
            .is_ok()
        && word[0] != 0
        && address.wrapping_sub(word[0]) < WAITER_BYTES
}
