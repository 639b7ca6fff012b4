//! When code objects need not be looked at again: from 3.14 on each interpreter counts those that have died.
//!
//! While nothing has died a code object at the same address is the same one. The count is the interpreter's: another one at
//! the same address has another id, another program another incarnation. Only where a process initialises its interpreter
//! again does it start at 0 with the same id; there it is not used.
//!
//! Facts: CPython 3.14 and 3.15, `Objects/codeobject.c` (`code_dealloc` counts before it frees), `Python/pystate.c`
//! (`_PyInterpreterState_Enable`, `init_interpreter`: ids are given once), `_PyRuntimeState_Init` (which resets both).

use crate::contract::layout::Layout;
use crate::contract::process::ThreadLookup;
use crate::memory::Memory;
use crate::walker::python::Scratch;
use crate::walker::python::interpreter::UNREADABLE_INTERPRETER;

/// Odd multipliers (digits of the square roots of primes).
const MULTIPLIERS: [u64; 3] = [
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0xcbbb_9d5d_c105_9ed9,
];

/// Notes the generation of the interpreter that the thread runs in, which [`super::interpreter`] has noted.
#[inline(always)]
pub(super) fn note_generation<M: Memory>(
    memory: &M,
    lookup: &ThreadLookup,
    layout: &Layout,
    scratch: &mut Scratch,
) {
    scratch.generation = 0;
    let offset = layout.interpreter.code_generation;
    if offset == 0 || lookup.initialises_once == 0 || scratch.interpreter_id == UNREADABLE_INTERPRETER {
        return;
    }
    let mut generation = [0u64; 1];
    if memory
        .read_words(scratch.interpreter.offset(offset.into()), &mut generation)
        .is_err()
    {
        return;
    }
    scratch.generation = mix(scratch.interpreter.0, scratch.interpreter_id, generation[0]);
}

/// One number for the three, which no others are likely to have; never 0.
#[inline(always)]
fn mix(interpreter: u64, id: u64, generation: u64) -> u64 {
    let mut mixed = interpreter.wrapping_mul(MULTIPLIERS[0]);
    mixed = (mixed ^ (mixed >> 32) ^ id).wrapping_mul(MULTIPLIERS[1]);
    mixed = (mixed ^ (mixed >> 32) ^ generation).wrapping_mul(MULTIPLIERS[2]);
    (mixed ^ (mixed >> 32)) | 1
}
