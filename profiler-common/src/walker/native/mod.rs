//! The native unwinder: from the registers at an interrupt to the start of the thread, one block of
//! [`NATIVE_FRAMES_PER_BLOCK`] frames at a time.
//!
//! Written for the verifier like the Python walker: what is carried from one iteration to the next lives in
//! [`NativeScratch`].

mod aarch64;
mod search;
#[cfg(test)]
mod tests;
mod x86_64;

pub use aarch64::Aarch64;
pub use x86_64::X86_64;

use crate::contract::reasons::NativeStatus;
use crate::contract::records::{NATIVE_FRAMES_PER_BLOCK, NativeFrame};
use crate::contract::unwind::{Block, Mapping, Row, cfa_rule, fp_rule, ra_rule};
use crate::memory::{Fault, Memory, RemoteAddr};

/// Frames of one [`walk_native_stretch`]; a divisor of [`NATIVE_FRAMES_PER_BLOCK`].
pub const NATIVE_FRAMES_PER_STRETCH: usize = 8;
const _: () = assert!(NATIVE_FRAMES_PER_BLOCK.is_multiple_of(NATIVE_FRAMES_PER_STRETCH));

/// Where the unwinder finds its tables.
pub trait UnwindTables {
    /// The mapping at `index`.
    fn mapping(&self, index: u32) -> Option<&Mapping>;
    /// The block at `index`.
    fn block(&self, index: u32) -> Option<Block>;
    /// The row at `index`.
    fn row(&self, index: u32) -> Option<Row>;
}

/// What differs between architectures.
pub trait Architecture {
    /// How code is unwound that keeps a frame pointer.
    const FRAME_POINTER: Row;
    /// Whether a call leaves the return address in a register; otherwise it pushes it.
    const LINK_REGISTER: bool;

    /// The registers that a signal interrupted; `context` is the address of the `ucontext_t`.
    ///
    /// # Errors
    /// [`Fault`] when it is not readable.
    fn interrupted<M: Memory>(memory: &M, context: RemoteAddr, out: &mut Registers) -> Result<(), Fault>;

    /// An address as it is executed: without signature bits.
    fn strip(address: u64) -> u64;
}

/// The registers that unwinding needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Registers {
    /// Program counter.
    pub pc: u64,
    /// Stack pointer.
    pub sp: u64,
    /// Frame pointer: `rbp`, `x29`.
    pub fp: u64,
    /// Link register: `x30`; 0 on x86-64.
    pub lr: u64,
}

/// Working memory of one unwinding: a per-CPU map value in the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct NativeScratch {
    /// Of the frame to be looked at next.
    pub registers: Registers,
    /// 1 when `registers.pc` is where a callee returns to, 0 when it is an instruction that was interrupted.
    pub is_return: u64,
    /// What the next frame's address is looked up by.
    pub address: u64,
    /// Lower end of what a binary search has left.
    pub low: u64,
    /// Size of what a binary search has left.
    pub size: u64,
    /// The rule that was found.
    pub rule: u64,
    /// The canonical frame address: the caller's stack pointer.
    pub cfa: u64,
    /// The two words below it.
    pub below: [u64; 2],
    /// The caller's frame pointer and the word above it, or a frame address.
    pub saved: [u64; 2],
    /// `ProcessEntry::space`.
    pub space: u32,
    /// `ProcessEntry::first_mapping`.
    pub first_mapping: u32,
    /// `ProcessEntry::mapping_count`.
    pub mapping_count: u32,
    /// Index of the mapping found last.
    pub mapping: u32,
    /// A [`NativeStatus`] code.
    pub status: u32,
    /// 1 when there is nothing left to walk.
    pub done: u32,
    /// Bit `n`: the frame at `n` of this block was interrupted.
    pub interrupted: u64,
}

impl NativeScratch {
    /// Begins a walk at the registers of an interrupt.
    #[inline(always)]
    pub fn start(&mut self, registers: Registers, space: u32, first_mapping: u32, mapping_count: u32) {
        self.registers = registers;
        self.is_return = 0;
        self.space = space;
        self.first_mapping = first_mapping;
        self.mapping_count = mapping_count;
        self.mapping = first_mapping;
        self.status = NativeStatus::Complete as u32;
        self.done = 0;
    }

    #[inline(always)]
    fn finish(&mut self, status: NativeStatus) {
        self.status = u32::from(status.code());
        self.done = 1;
    }
}

/// Walks up to one block of frames, newest first, into `frames`, and returns how many. Afterwards `scratch.done` says
/// whether that was the end of the stack, and `scratch.status` which.
///
/// The kernel half does the same with [`begin_native_block`] and [`walk_native_stretch`].
#[inline(always)]
pub fn walk_native<A: Architecture, M: Memory, T: UnwindTables>(
    memory: &M,
    tables: &T,
    scratch: &mut NativeScratch,
    frames: &mut [NativeFrame; NATIVE_FRAMES_PER_BLOCK],
) -> usize {
    begin_native_block(scratch);
    let mut walked = 0;
    while walked < NATIVE_FRAMES_PER_BLOCK && scratch.done == 0 {
        walked = walk_native_stretch::<A, M, T>(memory, tables, scratch, frames, walked);
    }
    walked
}

/// To be called before the first stretch of a block.
#[inline(always)]
pub fn begin_native_block(scratch: &mut NativeScratch) {
    scratch.interrupted = 0;
}

/// Walks the next [`NATIVE_FRAMES_PER_STRETCH`] frames of a block, which go to `frames` from `first` on, and returns where
/// the stretch ended.
#[inline(always)]
pub fn walk_native_stretch<A: Architecture, M: Memory, T: UnwindTables>(
    memory: &M,
    tables: &T,
    scratch: &mut NativeScratch,
    frames: &mut [NativeFrame; NATIVE_FRAMES_PER_BLOCK],
    first: usize,
) -> usize {
    for step_index in 0..NATIVE_FRAMES_PER_STRETCH {
        let index = first.wrapping_add(step_index);
        if scratch.done != 0 {
            return index;
        }
        let slot = index & (NATIVE_FRAMES_PER_BLOCK - 1);
        frames[slot] = NativeFrame {
            pc: scratch.registers.pc,
            sp: scratch.registers.sp,
        };
        scratch.interrupted |= (scratch.is_return ^ 1) << slot;
        scratch.address = scratch.registers.pc.wrapping_sub(scratch.is_return);
        match search::find_rule::<A, T>(tables, scratch).and_then(|()| step::<A, M>(memory, scratch)) {
            Ok(()) => {}
            Err(status) => scratch.finish(status),
        }
    }
    first.wrapping_add(NATIVE_FRAMES_PER_STRETCH)
}

/// From a function's registers to its caller's. What is read lies in `scratch`, so that the ways through here look alike
/// to the verifier when they meet.
#[inline(always)]
fn step<A: Architecture, M: Memory>(memory: &M, scratch: &mut NativeScratch) -> Result<(), NativeStatus> {
    let row = Row(scratch.rule);
    if row.cfa() >= cfa_rule::SIGNAL {
        return match row.cfa() {
            cfa_rule::SIGNAL => signal::<A, M>(memory, scratch, row),
            cfa_rule::END => Err(NativeStatus::Complete),
            _ => Err(NativeStatus::NoRule),
        };
    }
    frame_address(memory, scratch, row)?;
    let (cfa, fp) = (scratch.cfa, scratch.registers.fp);
    // Only a function that was interrupted may not have touched the stack yet, and only with a link register.
    let pushed = !A::LINK_REGISTER || row.ra() == ra_rule::BELOW_CFA;
    if cfa
        < scratch
            .registers
            .sp
            .wrapping_add(scratch.is_return | u64::from(pushed))
    {
        return Err(NativeStatus::NoProgress);
    }
    if pushed {
        // Mostly the lower one of these two is the caller's frame pointer.
        read(memory, cfa.wrapping_sub(16), &mut scratch.below)?;
    }
    if row.fp() != fp_rule::SAME {
        let base = if row.fp() == fp_rule::AT_CFA { cfa } else { fp };
        let address = base.wrapping_add(row.fp_offset());
        if pushed && address == cfa.wrapping_sub(16) {
            scratch.saved[0] = scratch.below[0];
        } else {
            read(memory, address, &mut scratch.saved)?;
        }
        scratch.registers.fp = scratch.saved[0];
    }
    scratch.registers.pc = A::strip(match row.ra() {
        _ if pushed => scratch.below[1],
        ra_rule::ABOVE_FP => scratch.saved[1],
        // A caller's link register has been overwritten by the call.
        _ if scratch.is_return == 0 => scratch.registers.lr,
        _ => return Err(NativeStatus::NoRule),
    });
    scratch.registers.sp = cfa;
    scratch.is_return = 1;
    if scratch.registers.pc == 0 {
        // What start-up code without call frame information leaves below the first function (musl).
        return Err(NativeStatus::Complete);
    }
    Ok(())
}

/// Leaves the canonical frame address in `scratch.cfa`.
#[inline(always)]
fn frame_address<M: Memory>(memory: &M, scratch: &mut NativeScratch, row: Row) -> Result<(), NativeStatus> {
    let Registers { pc, sp, fp, .. } = scratch.registers;
    let is_from_fp = row.cfa() == cfa_rule::FP || row.cfa() == cfa_rule::AT_FP;
    let base = if is_from_fp { fp } else { sp };
    if row.cfa() == cfa_rule::PLT {
        let pushed = u64::from((pc & 15) >= row.cfa_offset() / 8);
        scratch.cfa = sp.wrapping_add(8).wrapping_add(8 * pushed);
        return Ok(());
    }
    scratch.cfa = base.wrapping_add(row.cfa_offset());
    if row.cfa() == cfa_rule::AT_FP || row.cfa() == cfa_rule::AT_SP {
        read(memory, scratch.cfa, &mut scratch.saved)?;
        scratch.cfa = scratch.saved[0];
    }
    Ok(())
}

/// Goes on with what a signal interrupted. The handler may run on a stack of its own.
#[inline(always)]
fn signal<A: Architecture, M: Memory>(
    memory: &M,
    scratch: &mut NativeScratch,
    row: Row,
) -> Result<(), NativeStatus> {
    let context = scratch.registers.sp.wrapping_add(row.cfa_offset());
    A::interrupted(memory, RemoteAddr(context), &mut scratch.registers)
        .map_err(|Fault| NativeStatus::StackFault)?;
    scratch.is_return = 0;
    Ok(())
}

#[inline(always)]
fn read<M: Memory, const N: usize>(memory: &M, address: u64, out: &mut [u64; N]) -> Result<(), NativeStatus> {
    memory
        .read_words(RemoteAddr(address), out)
        .map_err(|Fault| NativeStatus::StackFault)
}
