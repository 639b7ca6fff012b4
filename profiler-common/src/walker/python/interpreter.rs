//! Which interpreter of its process a thread runs in.
//!
//! From 3.12 on each interpreter numbers its code objects by itself and may have memory of its own. One that is made where
//! another has ended can have code objects at the same addresses that look the same, byte by byte, and are other functions.
//! What tells them apart is the id of the interpreter, which is given once, unless the process initialises Python again.
//!
//! Facts: CPython 3.12 to 3.15, `Objects/codeobject.c` (`init_code` takes `co_version` from the interpreter),
//! `Python/pystate.c` (`PyInterpreterState_New` takes `id` from `runtime->interpreters.next_id`; the main one has 0).

use crate::contract::layout::Layout;
use crate::memory::{Memory, RemoteAddr, word_at};
use crate::walker::python::Scratch;

/// Stands for the id of an interpreter that is not readable. No interpreter has it.
pub const UNREADABLE_INTERPRETER: u64 = u64::MAX;

/// The id of the interpreter at this address; 0 where it is not needed (up to 3.11), [`UNREADABLE_INTERPRETER`] where it
/// is not readable.
#[inline(always)]
pub fn interpreter_id<M: Memory>(memory: &M, layout: &Layout, interpreter: RemoteAddr) -> u64 {
    let offset = layout.interpreter.id;
    let mut id = [0u64; 1];
    if offset == 0 {
        return 0;
    }
    if memory
        .read_words(interpreter.offset(offset.into()), &mut id)
        .is_err()
    {
        return UNREADABLE_INTERPRETER;
    }
    id[0]
}

/// Notes which interpreter the thread runs in; `scratch` holds its thread state.
#[inline(always)]
pub(super) fn note_interpreter<M: Memory>(memory: &M, layout: &Layout, scratch: &mut Scratch) {
    scratch.interpreter = RemoteAddr(word_at(&scratch.state, layout.thread_state.interp));
    scratch.interpreter_id = interpreter_id(memory, layout, scratch.interpreter);
}
