//! From the newest frame to the oldest, one block of [`FRAMES_PER_BLOCK`] at a time.
//!
//! Facts: CPython 2.7 to 3.15, `Include/internal/pycore_frame.h`, `Include/cpython/frameobject.h`.

use crate::contract::layout::{CODE_BOOKKEEPING, Layout, instr_shape};
use crate::contract::reasons::StackStatus;
use crate::contract::records::{BOOKKEEPING_FRAME, FRAMES_PER_BLOCK, NO_INSTRUCTION, RawFrame};
use crate::memory::{Memory, RemoteAddr, u32_at};
use crate::walker::python::{BUFFER_WORDS, FRAME_WORDS, Scratch, WINDOW_WORDS, identity};

/// What is known of code objects from earlier samples.
pub trait CodeSeen {
    /// Whether user space already has the definition of a code object; `false` asks for it to be captured.
    fn seen(&self, code: u64, check: u32) -> bool;

    /// What was given to [`Self::remember`] for this code object in the context of this sample, which `Scratch::context`
    /// stands for; 0 when nothing was.
    #[inline(always)]
    fn recall(&self, _code: u64) -> u32 {
        0
    }

    /// Takes note of the identity of a code object that user space has the definition of, or of one that needs none.
    #[inline(always)]
    fn remember(&self, _code: u64, _check: u32) {}
}

/// Frames of one [`walk_stretch`]; a divisor of [`FRAMES_PER_BLOCK`].
pub const FRAMES_PER_STRETCH: usize = 8;
const _: () = assert!(FRAMES_PER_BLOCK.is_multiple_of(FRAMES_PER_STRETCH));

/// Fills the slot of a frame that is not Python code.
const BOUNDARY: RawFrame = RawFrame {
    code: 0,
    instr_offset: NO_INSTRUCTION,
    check: 0,
};

/// Walks up to one block of frames from `scratch.cursor`, newest first, and returns how many it wrote.
///
/// Afterwards the cursor is null when the stack is finished; `scratch.status` says how. `scratch.unseen` counts the
/// frames whose code `seen` did not know, `scratch.void` the leading frames that are to be left out. `frames` still holds
/// the block before: most stacks differ little from one sample to the next, and what did not change need not be looked
/// up.
///
/// The kernel half does the same with [`begin_block`] and [`walk_stretch`].
#[inline(always)]
pub fn walk_block<M: Memory, S: CodeSeen>(
    memory: &M,
    seen: &S,
    layout: &Layout,
    scratch: &mut Scratch,
    frames: &mut [RawFrame; FRAMES_PER_BLOCK],
) -> usize {
    begin_block(scratch);
    let mut walked = 0;
    while walked < FRAMES_PER_BLOCK && !scratch.cursor.is_null() {
        walked = walk_stretch(memory, seen, layout, scratch, frames, walked);
    }
    walked
}

/// To be called before the first stretch of a block.
#[inline(always)]
pub fn begin_block(scratch: &mut Scratch) {
    scratch.fresh = u32::from(scratch.context != 0 && scratch.context == scratch.frames_context);
    scratch.frames_context = scratch.context;
    scratch.identified = 0;
    scratch.unseen = 0;
    scratch.void = 0;
    scratch.entries = 0;
}

/// Walks the next [`FRAMES_PER_STRETCH`] frames of a block, which go to `frames` from `first` on, and returns where the
/// stretch ended. Few enough that the verifier can look at them as a function of its own, once for the whole block.
#[inline(always)]
pub fn walk_stretch<M: Memory, S: CodeSeen>(
    memory: &M,
    seen: &S,
    layout: &Layout,
    scratch: &mut Scratch,
    frames: &mut [RawFrame; FRAMES_PER_BLOCK],
    first: usize,
) -> usize {
    let zero = scratch.zero;
    for step in 0..FRAMES_PER_STRETCH {
        let index = first.wrapping_add(step);
        let slot = &mut frames[index & (FRAMES_PER_BLOCK - 1)];
        if scratch.cursor.is_null() {
            return index;
        }
        let Some(frame) = load_frame(memory, layout, scratch) else {
            *slot = BOUNDARY;
            if !restart(scratch, index) {
                scratch.status = StackStatus::FrameFault.code();
                return index;
            }
            continue;
        };
        let origin = scratch.cursor.0;
        scratch.origins[index & (FRAMES_PER_BLOCK - 1)] = origin;
        scratch.cursor = RemoteAddr(frame.word(scratch, layout.frame.previous));
        let mut ends_invocation =
            u64::from(frame.flag(scratch, layout.frame.entry_flag) == 1).wrapping_add(zero);
        scratch.entries |= ends_invocation << (index & (FRAMES_PER_BLOCK - 1));
        let mut readable = zero.wrapping_add(1);
        if frame.flag(scratch, layout.frame.owner) >= layout.shim_owner {
            *slot = RawFrame::entry(origin);
            ends_invocation = zero.wrapping_add(1);
        } else {
            let code = frame.word(scratch, layout.frame.code) & !u64::from(layout.code_tag_mask);
            let is_same = slot.code == code;
            slot.code = code;
            slot.instr_offset = instruction(memory, layout, frame, scratch, code);
            let mut asked = scratch.steady;
            if scratch.fresh == 0 || !is_same || slot.check == 0 {
                let before = if is_same { slot.check } else { 0 };
                slot.check = seen.recall(code);
                asked = 1;
                if slot.check == 0 {
                    slot.check = identify(memory, layout, scratch, code);
                    asked = u32::from(slot.check == before) & scratch.steady;
                    if slot.check == BOOKKEEPING_FRAME {
                        seen.remember(code, BOOKKEEPING_FRAME);
                    }
                }
            }
            readable = u64::from(slot.check).wrapping_add(zero);
            if slot.check == BOOKKEEPING_FRAME {
                *slot = RawFrame {
                    check: BOOKKEEPING_FRAME,
                    ..BOUNDARY
                };
            } else if asked == 0 {
                if seen.seen(code, slot.check) {
                    seen.remember(code, slot.check);
                } else if is_other_object(memory, layout, scratch, code) {
                    // Memory that is not a frame: whatever it points to is not one either.
                    *slot = BOUNDARY;
                    if !restart(scratch, index) {
                        scratch.cursor = RemoteAddr::NULL;
                        scratch.status = StackStatus::FrameFault.code();
                        return index;
                    }
                    continue;
                } else {
                    scratch.unseen += 1;
                }
            }
        }
        if !scratch.outer.is_null() && (ends_invocation != 0 || readable == 0) {
            // The invocation before goes on where this one began, or this one is not set up yet.
            if readable != 0 && scratch.cursor == scratch.outer {
                scratch.outer = RemoteAddr::NULL;
            } else {
                restart(scratch, index);
            }
        }
    }
    first.wrapping_add(FRAMES_PER_STRETCH)
}

/// Gives up the frames so far, which were no frames: the newest invocation of the evaluation loop had published itself
/// but not yet said where its frames begin. Goes on with the invocation before; `false` when there is none.
#[inline(always)]
fn restart(scratch: &mut Scratch, index: usize) -> bool {
    scratch.cursor = scratch.outer;
    scratch.outer = RemoteAddr::NULL;
    if scratch.cursor.is_null() {
        return false;
    }
    scratch.void = index as u32 + 1;
    true
}

/// A frame in `Scratch::frames`, as the index of its first word.
#[derive(Clone, Copy)]
struct LoadedFrame(usize);

impl LoadedFrame {
    /// The 8-byte field at byte `offset`.
    #[inline(always)]
    fn word(self, scratch: &Scratch, offset: u16) -> u64 {
        scratch.frames[(self.0 + offset as usize / 8) & (BUFFER_WORDS - 1)]
    }

    /// The byte at `offset`; 0 when the layout has no such field.
    #[inline(always)]
    fn flag(self, scratch: &Scratch, offset: u16) -> u8 {
        if offset == 0 {
            0
        } else {
            self.field(scratch, offset) as u8
        }
    }

    /// The field at byte `offset`, in the low bits.
    #[inline(always)]
    fn field(self, scratch: &Scratch, offset: u16) -> u64 {
        self.word(scratch, offset) >> ((u32::from(offset) & 7) * 8)
    }
}

/// Finds the frame at the cursor in the copied data stack, or reads it from the target.
#[inline(always)]
fn load_frame<M: Memory>(memory: &M, layout: &Layout, scratch: &mut Scratch) -> Option<LoadedFrame> {
    let offset = scratch.cursor.0.wrapping_sub(scratch.window_start.0);
    // One comparison: what is not a multiple of 8 becomes huge.
    let slot = offset.rotate_right(3);
    if slot < scratch.window_slots {
        return Some(LoadedFrame(slot.wrapping_add(scratch.zero) as usize));
    }
    let single = scratch.frames.last_chunk_mut::<FRAME_WORDS>()?;
    memory
        .read_words_prefix(scratch.cursor, single, u32::from(layout.frame.bytes))
        .ok()?;
    Some(LoadedFrame(
        (WINDOW_WORDS as u64).wrapping_add(scratch.zero) as usize
    ))
}

/// Whether something else than a code object is at `code`. Asked once for each that is new: the others were one, and have
/// not changed.
#[inline(always)]
fn is_other_object<M: Memory>(memory: &M, layout: &Layout, scratch: &Scratch, code: u64) -> bool {
    let mut found = [0u64; 1];
    let address = RemoteAddr(code).offset(u64::from(layout.code.object_type));
    scratch.code_type != 0 && memory.read_words(address, &mut found).is_ok() && found[0] != scratch.code_type
}

/// The identity of a code object, or [`BOOKKEEPING_FRAME`] for one that is not Python code: the `__init__` shim of 3.13
/// looks like a Python frame, and only its code object tells. 0 when it is not readable.
#[inline(always)]
fn identify<M: Memory>(memory: &M, layout: &Layout, scratch: &mut Scratch, code: u64) -> u32 {
    scratch.identified += 1;
    let check = identity(
        memory,
        layout,
        code,
        scratch.interpreter_id,
        &mut scratch.identity,
    );
    let offset = layout.code_flags.wrapping_sub(layout.code.identity_start);
    let is_bookkeeping = layout.code_flags != 0 && u32_at(&scratch.identity, offset) & CODE_BOOKKEEPING != 0;
    if is_bookkeeping && check != 0 {
        BOOKKEEPING_FRAME
    } else {
        check
    }
}

/// Byte offset of the current instruction.
#[inline(always)]
fn instruction<M: Memory>(
    memory: &M,
    layout: &Layout,
    frame: LoadedFrame,
    scratch: &Scratch,
    code: u64,
) -> u32 {
    let raw = frame.field(scratch, layout.frame.instr);
    match layout.instr_shape {
        instr_shape::LASTI_BYTES => raw as u32,
        instr_shape::LASTI_UNITS if raw as u32 == NO_INSTRUCTION => NO_INSTRUCTION,
        instr_shape::LASTI_UNITS => (raw as u32).wrapping_mul(2),
        shape => {
            let mut start = code.wrapping_add(u64::from(layout.code.bytecode));
            let index = frame.field(scratch, layout.frame.bytecode_index) as u32;
            if shape == instr_shape::THREAD_POINTER && index != 0 {
                start = thread_bytecode(memory, layout, code, index);
            }
            let offset = raw.wrapping_sub(start);
            // One unit before the bytecode: pushed, but nothing executed yet (3.11, 3.12).
            if offset > u64::from(u32::MAX) {
                NO_INSTRUCTION
            } else {
                offset as u32
            }
        }
    }
}

/// Where this thread's copy of the bytecode starts, `co_tlbc->entries[index]`; 0 when that is not readable.
#[inline(always)]
fn thread_bytecode<M: Memory>(memory: &M, layout: &Layout, code: u64, index: u32) -> u64 {
    // What is not readable is read as 0, where nothing can be read either.
    let (mut array, mut entry) = ([0u64; 1], [0u64; 1]);
    let address = RemoteAddr(code).offset(u64::from(layout.code.thread_bytecode));
    let _ = memory.read_words(address, &mut array);
    let address = RemoteAddr(array[0]).offset(8 + 8 * u64::from(index));
    let _ = memory.read_words(address, &mut entry);
    entry[0]
}
