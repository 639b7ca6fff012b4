//! From a thread pointer to the thread's `PyThreadState`, whether or not it holds the GIL: in constant time, but for
//! 2.7, where a list is searched up to a limit.
//!
//! Facts: CPython 2.7 to 3.15, `Python/pystate.c` (`PyGILState_GetThisThreadState`, `bind_gilstate_tstate`,
//! `current_fast_set`), `Python/ceval_gil.c`; glibc `nptl/descr.h`; musl `src/internal/pthread_impl.h`.

use crate::contract::layout::{Layout, frame_shape, gil_shape};
use crate::contract::process::{ThreadLookup, ThreadSpecific, thread_lookup};
use crate::contract::reasons::{GilState, StackStatus};
use crate::memory::{Memory, RemoteAddr, u32_at, word_at};
use crate::walker::python::generation::note_generation;
use crate::walker::python::interpreter::note_interpreter;
use crate::walker::python::{Scratch, WINDOW_WORDS};

/// Bytes of the window.
const WINDOW_BYTES: u64 = (WINDOW_WORDS * 8) as u64;
/// A C stack is not larger.
const C_STACK_BYTES: u64 = 1 << 30;
/// A thread state is not larger.
const THREAD_STATE_BYTES: u64 = 1024;
/// Thread states looked at where only a list leads to them.
const MAX_LISTED: usize = 128;

/// Finds the thread state of the thread with this thread pointer, and prepares `scratch` for
/// [`super::walk_block`]. When it returns another status than [`StackStatus::Complete`] there is nothing to walk.
#[inline(always)]
pub fn locate<M: Memory>(
    memory: &M,
    lookup: &ThreadLookup,
    layout: &Layout,
    thread_pointer: u64,
    scratch: &mut Scratch,
) -> StackStatus {
    scratch.cursor = RemoteAddr::NULL;
    scratch.thread_state = RemoteAddr::NULL;
    scratch.window_slots = 0;
    scratch.outer = RemoteAddr::NULL;
    scratch.void = 0;
    scratch.unseen = 0;
    scratch.gil = GilState::Unknown.code();
    scratch.collecting = 0;
    scratch.compiled = 0;
    scratch.code_type = lookup.code_type;
    let status = find(memory, lookup, layout, thread_pointer, scratch);
    scratch.status = status.code();
    if !matches!(status, StackStatus::Complete) {
        return status;
    }
    note_collection(memory, lookup, layout, scratch);
    note_interpreter(memory, layout, scratch);
    note_generation(memory, lookup, layout, scratch);
    let executor = layout.thread_state.executor;
    scratch.compiled = u32::from(executor != 0 && word_at(&scratch.state, executor) != 0);
    let status = newest_frame(memory, layout, scratch);
    scratch.status = status.code();
    status
}

#[inline(always)]
fn find<M: Memory>(
    memory: &M,
    lookup: &ThreadLookup,
    layout: &Layout,
    thread_pointer: u64,
    scratch: &mut Scratch,
) -> StackStatus {
    let thread_id = thread_pointer.wrapping_add_signed(i64::from(lookup.specific.self_offset));
    let mut word = [0u64; 1];
    let mut holder = 0;
    if lookup.holder != 0 {
        if memory.read_words(RemoteAddr(lookup.holder), &mut word).is_err() {
            return StackStatus::StateFault;
        }
        holder = word[0];
        // The GIL holder's state is right even in a subinterpreter, where the key still leads to the first one.
        if holder != 0 && read_state(memory, layout, RemoteAddr(holder), thread_id, scratch) {
            set_gil(layout, true, scratch);
            return StackStatus::Complete;
        }
    }
    // The same for one that released it a moment ago. What is there may be long freed, so a failure says nothing.
    if lookup.last_holder != 0
        && memory
            .read_words(RemoteAddr(lookup.last_holder), &mut word)
            .is_ok()
        && word[0] != 0
        && word[0] != holder
        && read_state(memory, layout, RemoteAddr(word[0]), thread_id, scratch)
    {
        set_gil(layout, false, scratch);
        return StackStatus::Complete;
    }
    if lookup.how == thread_lookup::LIST {
        return search(memory, lookup, layout, thread_id, scratch);
    }
    let state = match own_state(memory, lookup, thread_pointer) {
        Ok(state) => state,
        Err(status) => return status,
    };
    if !read_state(memory, layout, state, thread_id, scratch) {
        return StackStatus::ForeignThreadState;
    }
    set_gil(layout, holder == state.0, scratch);
    StackStatus::Complete
}

/// The thread state that the thread itself points to.
#[inline(always)]
fn own_state<M: Memory>(
    memory: &M,
    lookup: &ThreadLookup,
    thread_pointer: u64,
) -> Result<RemoteAddr, StackStatus> {
    let mut word = [0u64; 1];
    let state = match lookup.how {
        thread_lookup::THREAD_LOCAL => {
            let variable = RemoteAddr(thread_pointer).offset(lookup.anchor);
            if memory.read_words(variable, &mut word).is_err() {
                return Err(StackStatus::StateFault);
            }
            RemoteAddr(word[0])
        }
        thread_lookup::MODULE_LOCAL => module_local(memory, lookup, thread_pointer),
        how => {
            if memory.read_words(RemoteAddr(lookup.anchor), &mut word).is_err() {
                return Err(StackStatus::StateFault);
            }
            let (is_created, key) = if how == thread_lookup::KEY {
                (word[0] as u32 >> 31 == 0, word[0] as u32)
            } else {
                (word[0] as u32 == 1, (word[0] >> 32) as u32)
            };
            if !is_created {
                return Err(StackStatus::NotInitialized);
            }
            thread_specific(memory, &lookup.specific, thread_pointer, key)
        }
    };
    if state.is_null() {
        Err(StackStatus::NoThreadState)
    } else {
        Ok(state)
    }
}

/// Goes through all thread states of all interpreters.
#[inline(always)]
fn search<M: Memory>(
    memory: &M,
    lookup: &ThreadLookup,
    layout: &Layout,
    thread_id: u64,
    scratch: &mut Scratch,
) -> StackStatus {
    let mut word = [0u64; 1];
    if memory.read_words(RemoteAddr(lookup.anchor), &mut word).is_err() {
        return StackStatus::StateFault;
    }
    if word[0] == 0 {
        return StackStatus::NotInitialized;
    }
    scratch.outer = RemoteAddr(word[0]);
    for _ in 0..MAX_LISTED {
        if scratch.cursor.is_null() {
            // The first thread of the next interpreter.
            if scratch.outer.is_null() {
                return StackStatus::NoThreadState;
            }
            let threads = scratch.outer.offset(u64::from(layout.interpreter.threads));
            if memory.read_words(threads, &mut word).is_err() {
                return StackStatus::StateFault;
            }
            scratch.cursor = RemoteAddr(word[0]);
            if memory.read_words(scratch.outer, &mut word).is_err() {
                return StackStatus::StateFault;
            }
            scratch.outer = RemoteAddr(word[0]);
        } else if read_state(memory, layout, scratch.cursor, thread_id, scratch) {
            scratch.outer = RemoteAddr::NULL;
            set_gil(layout, false, scratch);
            return StackStatus::Complete;
        } else {
            scratch.cursor = RemoteAddr(word_at(&scratch.state, layout.thread_state.next));
        }
    }
    StackStatus::TooManyThreads
}

/// Emulates `__tls_get_addr` for a pointer-sized variable and reads it; null for every failure, and where the thread has
/// not used the library yet.
#[inline(always)]
fn module_local<M: Memory>(memory: &M, lookup: &ThreadLookup, thread_pointer: u64) -> RemoteAddr {
    let mut word = [0u64; 1];
    let vector = RemoteAddr(thread_pointer).offset(i64::from(lookup.vector.offset) as u64);
    if memory.read_words(vector, &mut word).is_err() {
        return RemoteAddr::NULL;
    }
    let vector = RemoteAddr(word[0]);
    let length = vector.offset(i64::from(lookup.vector.length_offset) as u64);
    if memory.read_words(length, &mut word).is_err() || u64::from(lookup.module) > word[0] {
        return RemoteAddr::NULL;
    }
    let entry = vector.offset(u64::from(lookup.module) * u64::from(lookup.vector.stride));
    // 0 and -1: no block yet.
    if memory.read_words(entry, &mut word).is_err() || word[0] == 0 || word[0] == u64::MAX {
        return RemoteAddr::NULL;
    }
    if memory
        .read_words(RemoteAddr(word[0]).offset(lookup.anchor), &mut word)
        .is_err()
    {
        return RemoteAddr::NULL;
    }
    RemoteAddr(word[0])
}

/// Emulates `pthread_getspecific`; null for every failure, as the function itself does.
#[inline(always)]
fn thread_specific<M: Memory>(memory: &M, how: &ThreadSpecific, thread_pointer: u64, key: u32) -> RemoteAddr {
    let mut word = [0u64; 1];
    let base = RemoteAddr(thread_pointer);
    let mut table = base.offset(i64::from(how.table_offset) as u64);
    let mut index = key;
    if how.indirect != 0 {
        if memory.read_words(table, &mut word).is_err() {
            return RemoteAddr::NULL;
        }
        table = RemoteAddr(word[0]);
    } else if how.block_keys != 0 && key >= u32::from(how.block_keys) {
        let block = (key / u32::from(how.block_keys)) & 0x3ff;
        let slot = base
            .offset(i64::from(how.second_level_offset) as u64)
            .offset(u64::from(block) * 8);
        if memory.read_words(slot, &mut word).is_err() || word[0] == 0 {
            return RemoteAddr::NULL;
        }
        table = RemoteAddr(word[0]);
        index = key % u32::from(how.block_keys);
    }
    let slot = table.offset(u64::from(index) * u64::from(how.stride) + u64::from(how.value_offset));
    if memory.read_words(slot, &mut word).is_err() {
        return RemoteAddr::NULL;
    }
    RemoteAddr(word[0])
}

/// Reads the thread state at `address`; `false` unless it belongs to the thread `thread_id`.
#[inline(always)]
fn read_state<M: Memory>(
    memory: &M,
    layout: &Layout,
    address: RemoteAddr,
    thread_id: u64,
    scratch: &mut Scratch,
) -> bool {
    let bytes = u32::from(layout.thread_state.bytes);
    if memory
        .read_words_prefix(address, &mut scratch.state, bytes)
        .is_err()
    {
        return false;
    }
    scratch.thread_state = address;
    word_at(&scratch.state, layout.thread_state.thread_id) == thread_id
}

#[inline(always)]
fn set_gil(layout: &Layout, is_holder: bool, scratch: &mut Scratch) {
    let held = match layout.gil_shape {
        gil_shape::HOLDER => is_holder,
        gil_shape::ATTACHED => u32_at(&scratch.state, layout.thread_state.status) == 1,
        _ => u32_at(&scratch.state, layout.thread_state.status) >> (layout.gil_bit & 31) & 1 == 1,
    };
    scratch.gil = if held {
        u16::from(layout.gil_held)
    } else if layout.thread_state.gil_requested != 0
        && u32_at(&scratch.state, layout.thread_state.gil_requested) != 0
    {
        GilState::Waiting.code()
    } else {
        GilState::Released.code()
    };
}

/// Notes whether the thread collects garbage: a collection runs in the thread that holds the GIL, or, where there is
/// none, while all others stand still.
#[inline(always)]
fn note_collection<M: Memory>(memory: &M, lookup: &ThreadLookup, layout: &Layout, scratch: &mut Scratch) {
    if scratch.gil != GilState::Held.code() && scratch.gil != GilState::Absent.code() {
        return;
    }
    let address = if layout.interpreter.collecting != 0 {
        let interpreter = RemoteAddr(word_at(&scratch.state, layout.thread_state.interp));
        interpreter.offset(u64::from(layout.interpreter.collecting))
    } else {
        RemoteAddr(lookup.collecting)
    };
    let mut word = [0u64; 1];
    if !address.is_null() && memory.read_words(address, &mut word).is_ok() {
        scratch.collecting = u32::from(word[0] as u32 != 0);
    }
}

/// Puts the newest frame into the cursor and copies the part of the data stack that holds it and its callers.
#[inline(always)]
fn newest_frame<M: Memory>(memory: &M, layout: &Layout, scratch: &mut Scratch) -> StackStatus {
    let state_frame = RemoteAddr(word_at(&scratch.state, layout.thread_state.frame));
    scratch.cursor = state_frame;
    if layout.frame_shape == frame_shape::VIA_CFRAME && !state_frame.is_null() {
        let status = follow_cframe(memory, layout, state_frame, scratch);
        if !matches!(status, StackStatus::Complete) {
            return status;
        }
    }
    if scratch.cursor.is_null() {
        return StackStatus::NoFrames;
    }
    if layout.thread_state.datastack_chunk != 0 {
        copy_window(memory, layout, scratch);
    }
    StackStatus::Complete
}

/// Reads the `_PyCFrame` of the newest invocation of the evaluation loop, and that of the one before.
///
/// The loop publishes its `_PyCFrame` some instructions before it fills it in, so until then it holds whatever the C stack
/// held (3.11, 3.12: `_PyEval_EvalFrameDefault`; compilers store both fields at once). The invocation before is certain,
/// if it is where such a thing can be. If it is not, the newest frame must be one by its looks.
#[inline(always)]
fn follow_cframe<M: Memory>(
    memory: &M,
    layout: &Layout,
    cframe: RemoteAddr,
    scratch: &mut Scratch,
) -> StackStatus {
    let mut words = [0u64; 2];
    let current = u64::from(layout.frame.cframe_current);
    if memory.read_words(cframe.offset(current), &mut words).is_err() {
        return StackStatus::StateFault;
    }
    scratch.cursor = RemoteAddr(words[0]);
    // It lies further out on the C stack, or, the first one, in the thread state.
    let is_outer = words[1].wrapping_sub(cframe.0) < C_STACK_BYTES
        || words[1].wrapping_sub(scratch.thread_state.0) < THREAD_STATE_BYTES;
    if !is_outer && !scratch.cursor.is_null() && !is_frame(memory, layout, scratch) {
        return StackStatus::FrameFault;
    }
    let mut outer = [0u64; 1];
    if is_outer
        && memory
            .read_words(RemoteAddr(words[1]).offset(current), &mut outer)
            .is_ok()
    {
        scratch.outer = RemoteAddr(outer[0]);
    }
    StackStatus::Complete
}

/// Whether the frame at the cursor has a code object.
#[inline(always)]
fn is_frame<M: Memory>(memory: &M, layout: &Layout, scratch: &Scratch) -> bool {
    let mut word = [0u64; 1];
    let code = scratch.cursor.offset(u64::from(layout.frame.code));
    if memory.read_words(code, &mut word).is_err() {
        return false;
    }
    let object_type = RemoteAddr(word[0]).offset(u64::from(layout.code.object_type));
    memory.read_words(object_type, &mut word).is_ok()
        && (scratch.code_type == 0 || scratch.code_type == word[0])
}

/// One read of up to 8 KiB costs little more than one of 8 bytes, and most frames of a stack lie side by side. The
/// copy ends with the newest frame and starts within its chunk: all of that has been written, so it is resident.
/// A failed copy costs speed only.
#[inline(always)]
fn copy_window<M: Memory>(memory: &M, layout: &Layout, scratch: &mut Scratch) {
    let chunk = word_at(&scratch.state, layout.thread_state.datastack_chunk);
    let end = scratch.cursor.0.wrapping_add(u64::from(layout.frame.bytes));
    let mut bytes = end.wrapping_sub(chunk);
    // The newest frame of a running generator lies in the heap; its callers are then read one by one.
    if chunk == 0 || bytes > 16 * WINDOW_BYTES {
        return;
    }
    if bytes > WINDOW_BYTES {
        bytes = WINDOW_BYTES;
    }
    let start = RemoteAddr(end.wrapping_sub(bytes));
    if memory
        .read_words_prefix(start, &mut scratch.frames, bytes as u32)
        .is_ok()
    {
        scratch.window_start = start;
        let beyond_first = bytes.wrapping_sub(u64::from(layout.frame.bytes));
        scratch.window_slots = if beyond_first < WINDOW_BYTES {
            beyond_first / 8 + 1
        } else {
            0
        };
    }
}
