//! When code objects need not be looked at again: from 3.14 on each interpreter counts those that have died.
//!
//! While nothing has died a code object at the same address is the same one. The count is the interpreter's: another one at
//! the same address has another id, another program another incarnation. Only where a process initialises its interpreter
//! again does it start at 0 with the same id; there it is not used. Definitions
//! are sent once for each id.
//!
//! Facts: CPython 3.14 and 3.15, `Objects/codeobject.c` (`code_dealloc` counts before it frees), `Python/pystate.c`
//! (`_PyInterpreterState_Enable`, `init_interpreter`: ids are given once), `_PyRuntimeState_Init` (which resets both).

use crate::contract::layout::Layout;
use crate::contract::process::ThreadLookup;
use crate::memory::{Memory, RemoteAddr, word_at};
use crate::walker::python::Scratch;

/// Odd multipliers (digits of the square roots of primes).
const MULTIPLIERS: [u64; 3] = [
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0xcbbb_9d5d_c105_9ed9,
];

/// Notes which interpreter the thread runs in, and its generation; `scratch` holds its thread state.
#[inline(always)]
pub(super) fn note_generation<M: Memory>(
    memory: &M,
    lookup: &ThreadLookup,
    layout: &Layout,
    scratch: &mut Scratch,
) {
    scratch.interpreter = 0;
    scratch.generation = 0;
    let fields = &layout.interpreter;
    if fields.code_generation == 0 {
        return;
    }
    let interpreter = RemoteAddr(word_at(&scratch.state, layout.thread_state.interp));
    let (mut generation, mut id) = ([0u64; 1], [0u64; 1]);
    if memory
        .read_words(interpreter.offset(fields.id.into()), &mut id)
        .is_err()
    {
        return;
    }
    scratch.interpreter = mix(interpreter.0, id[0], 0);
    if lookup.initialises_once == 0
        || memory
            .read_words(interpreter.offset(fields.code_generation.into()), &mut generation)
            .is_err()
    {
        return;
    }
    scratch.generation = mix(interpreter.0, id[0], generation[0]);
}

/// One number for the three, which no others are likely to have; never 0.
#[inline(always)]
fn mix(interpreter: u64, id: u64, generation: u64) -> u64 {
    let mut mixed = interpreter.wrapping_mul(MULTIPLIERS[0]);
    mixed = (mixed ^ (mixed >> 32) ^ id).wrapping_mul(MULTIPLIERS[1]);
    mixed = (mixed ^ (mixed >> 32) ^ generation).wrapping_mul(MULTIPLIERS[2]);
    (mixed ^ (mixed >> 32)) | 1
}
