//! From a thread pointer to the thread's `PyThreadState`, in constant time and whether or not it holds the GIL.
//!
//! Facts: CPython 3.8 to 3.13, `Python/pystate.c` (`_PyGILState_Reinit`, `bind_gilstate_tstate`,
//! `current_fast_set`); glibc `nptl/descr.h`; musl `src/internal/pthread_impl.h`.

use crate::layout::{Layout, frame_shape, gil_shape};
use crate::memory::{Memory, RemoteAddr, u32_at, word_at};
use crate::process::{ProcessEntry, ThreadSpecific};
use crate::reason::{GilState, StackStatus};
use crate::walker::{Scratch, WINDOW_WORDS};

/// Bytes of the window.
const WINDOW_BYTES: u64 = (WINDOW_WORDS * 8) as u64;

/// Finds the thread state of the thread with this thread pointer, and prepares `scratch` for
/// [`super::walk_block`]. When it returns another status than [`StackStatus::Complete`] there is nothing to walk.
#[inline(always)]
pub fn locate<M: Memory>(
    memory: &M,
    process: &ProcessEntry,
    layout: &Layout,
    thread_pointer: u64,
    scratch: &mut Scratch,
) -> StackStatus {
    scratch.cursor = RemoteAddr::NULL;
    scratch.thread_state = RemoteAddr::NULL;
    scratch.window_bytes = 0;
    scratch.outer = RemoteAddr::NULL;
    scratch.void = 0;
    scratch.unseen = 0;
    scratch.gil = GilState::Unknown.code();
    let status = find(memory, process, layout, thread_pointer, scratch);
    scratch.status = status.code();
    if !matches!(status, StackStatus::Complete) {
        return status;
    }
    let status = newest_frame(memory, layout, scratch);
    scratch.status = status.code();
    status
}

#[inline(always)]
fn find<M: Memory>(
    memory: &M,
    process: &ProcessEntry,
    layout: &Layout,
    thread_pointer: u64,
    scratch: &mut Scratch,
) -> StackStatus {
    let thread_id = thread_pointer.wrapping_add_signed(i64::from(process.thread_specific.self_offset));
    let runtime = RemoteAddr(process.runtime);
    let mut holder = 0;

    if layout.runtime.tstate_current != 0 {
        let mut word = [0u64; 1];
        let address = runtime.offset(u64::from(layout.runtime.tstate_current));
        if memory.read_words(address, &mut word).is_err() {
            return StackStatus::StateFault;
        }
        holder = word[0];
        // The GIL holder's state is right even in a subinterpreter, where the key still leads to the first one.
        if holder != 0 && read_state(memory, layout, RemoteAddr(holder), thread_id, scratch) {
            set_gil(layout, true, scratch);
            return StackStatus::Complete;
        }
    }

    let mut key = [0u64; 1];
    if memory
        .read_words(runtime.offset(u64::from(layout.runtime.tss_key)), &mut key)
        .is_err()
    {
        return StackStatus::StateFault;
    }
    if key[0] as u32 != 1 {
        return StackStatus::NotInitialized;
    }
    let value = thread_specific(
        memory,
        &process.thread_specific,
        thread_pointer,
        (key[0] >> 32) as u32,
    );
    if value.is_null() {
        return StackStatus::NoThreadState;
    }
    if !read_state(memory, layout, value, thread_id, scratch) {
        return StackStatus::ForeignThreadState;
    }
    set_gil(layout, holder == value.0, scratch);
    StackStatus::Complete
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
fn set_gil(layout: &Layout, is_runtime_current: bool, scratch: &mut Scratch) {
    let held = match layout.gil_shape {
        gil_shape::RUNTIME_CURRENT => is_runtime_current,
        gil_shape::STATUS_BIT => {
            u32_at(&scratch.state, layout.thread_state.status) >> (layout.gil_bit & 31) & 1 == 1
        }
        _ => return,
    };
    scratch.gil = if held {
        GilState::Held.code()
    } else {
        GilState::Released.code()
    };
}

/// Puts the newest frame into the cursor and copies the part of the data stack that holds it and its callers.
#[inline(always)]
fn newest_frame<M: Memory>(memory: &M, layout: &Layout, scratch: &mut Scratch) -> StackStatus {
    let state_frame = RemoteAddr(word_at(&scratch.state, layout.thread_state.frame));
    scratch.cursor = state_frame;
    if layout.frame_shape == frame_shape::VIA_CFRAME
        && !state_frame.is_null()
        && !follow_cframe(memory, layout, state_frame, scratch)
    {
        return StackStatus::StateFault;
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
/// The loop publishes its `_PyCFrame` some instructions before it fills in `current_frame`, which until then holds
/// whatever the C stack held (3.11, 3.12: `_PyEval_EvalFrameDefault`). The invocation before is certain.
#[inline(always)]
fn follow_cframe<M: Memory>(memory: &M, layout: &Layout, cframe: RemoteAddr, scratch: &mut Scratch) -> bool {
    let mut words = [0u64; 2];
    let current = u64::from(layout.frame.cframe_current);
    if memory.read_words(cframe.offset(current), &mut words).is_err() {
        return false;
    }
    scratch.cursor = RemoteAddr(words[0]);
    // The first one is part of the thread state and has none before it.
    if words[1] != 0 {
        let mut outer = [0u64; 1];
        if memory
            .read_words(RemoteAddr(words[1]).offset(current), &mut outer)
            .is_err()
        {
            return false;
        }
        scratch.outer = RemoteAddr(outer[0]);
    }
    true
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
        scratch.window_bytes = bytes;
    }
}
