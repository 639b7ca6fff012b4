//! The native unwinder: from the registers at an interrupt to the start of the thread, one block of
//! [`NATIVE_FRAMES_PER_BLOCK`] frames at a time.
//!
//! Written for the verifier like the Python walker: what is carried from one iteration to the next lives in
//! [`NativeScratch`].

mod aarch64;
mod search;
mod x86_64;

pub use aarch64::Aarch64;
pub use x86_64::X86_64;

use crate::memory::{Fault, Memory, RemoteAddr};
use crate::reason::NativeStatus;
use crate::record::{NATIVE_FRAMES_PER_BLOCK, NativeBlock, NativeFrame};
use crate::unwind::{Block, Mapping, Row, cfa_rule, fp_rule, ra_rule};

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

    /// The registers that a signal interrupted; `context` is the address of the `ucontext_t`.
    ///
    /// # Errors
    /// [`Fault`] when it is not readable.
    fn interrupted<M: Memory>(memory: &M, context: RemoteAddr) -> Result<Registers, Fault>;

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

/// Walks up to one block of frames, newest first, into `block`, and returns how many. Afterwards `scratch.done` says
/// whether that was the end of the stack, and `scratch.status` which.
#[inline(always)]
pub fn walk_native<A: Architecture, M: Memory, T: UnwindTables>(
    memory: &M,
    tables: &T,
    scratch: &mut NativeScratch,
    block: &mut NativeBlock,
) -> usize {
    scratch.interrupted = 0;
    for (index, slot) in block.frames.iter_mut().enumerate() {
        if scratch.done != 0 {
            return index;
        }
        *slot = NativeFrame {
            pc: scratch.registers.pc,
            sp: scratch.registers.sp,
        };
        scratch.interrupted |= (scratch.is_return ^ 1) << (index & (NATIVE_FRAMES_PER_BLOCK - 1));
        scratch.address = scratch.registers.pc.wrapping_sub(scratch.is_return);
        match search::find_rule::<A, T>(tables, scratch).and_then(|()| step::<A, M>(memory, scratch)) {
            Ok(()) => {}
            Err(status) => scratch.finish(status),
        }
    }
    NATIVE_FRAMES_PER_BLOCK
}

/// From a function's registers to its caller's.
#[inline(always)]
fn step<A: Architecture, M: Memory>(memory: &M, scratch: &mut NativeScratch) -> Result<(), NativeStatus> {
    let row = Row(scratch.rule);
    let Registers { pc, sp, fp, lr } = scratch.registers;
    let cfa = match row.cfa() {
        cfa_rule::SP => sp.wrapping_add(row.cfa_offset()),
        cfa_rule::FP => fp.wrapping_add(row.cfa_offset()),
        cfa_rule::AT_FP => word(memory, fp.wrapping_add(row.cfa_offset()))?,
        cfa_rule::AT_SP => word(memory, sp.wrapping_add(row.cfa_offset()))?,
        cfa_rule::PLT => {
            let pushed = u64::from((pc & 15) >= row.cfa_offset() / 8);
            sp.wrapping_add(8).wrapping_add(8 * pushed)
        }
        cfa_rule::SIGNAL => return signal::<A, M>(memory, scratch, sp.wrapping_add(row.cfa_offset())),
        cfa_rule::END => return Err(NativeStatus::Complete),
        _ => return Err(NativeStatus::NoRule),
    };
    // Only a function that was interrupted may not have touched the stack yet, and only with a link register.
    let least = sp.wrapping_add(scratch.is_return | u64::from(row.ra() == ra_rule::BELOW_CFA));
    if cfa < least {
        return Err(NativeStatus::NoProgress);
    }
    // The two words below the frame address: where there is a saved frame pointer it is mostly the lower one.
    let mut below = [0u64; 2];
    if row.ra() == ra_rule::BELOW_CFA {
        memory
            .read_words(RemoteAddr(cfa.wrapping_sub(16)), &mut below)
            .map_err(|Fault| NativeStatus::StackFault)?;
    }
    let mut saved = [fp, lr];
    if row.fp() != fp_rule::SAME {
        let base = if row.fp() == fp_rule::AT_CFA { cfa } else { fp };
        let address = base.wrapping_add(row.fp_offset());
        if row.ra() == ra_rule::BELOW_CFA && address == cfa.wrapping_sub(16) {
            saved[0] = below[0];
        } else {
            memory
                .read_words(RemoteAddr(address), &mut saved)
                .map_err(|Fault| NativeStatus::StackFault)?;
        }
    }
    let return_address = match row.ra() {
        ra_rule::BELOW_CFA => below[1],
        ra_rule::LINK_REGISTER if scratch.is_return == 0 => lr,
        ra_rule::ABOVE_FP => saved[1],
        _ => return Err(NativeStatus::NoRule),
    };
    scratch.registers.pc = A::strip(return_address);
    scratch.registers.sp = cfa;
    scratch.registers.fp = saved[0];
    scratch.registers.lr = 0;
    scratch.is_return = 1;
    if scratch.registers.pc == 0 {
        // What start-up code without call frame information leaves below the first function (musl).
        return Err(NativeStatus::Complete);
    }
    Ok(())
}

/// Goes on with what a signal interrupted. The handler may run on a stack of its own.
#[inline(always)]
fn signal<A: Architecture, M: Memory>(
    memory: &M,
    scratch: &mut NativeScratch,
    context: u64,
) -> Result<(), NativeStatus> {
    scratch.registers =
        A::interrupted(memory, RemoteAddr(context)).map_err(|Fault| NativeStatus::StackFault)?;
    scratch.is_return = 0;
    Ok(())
}

#[inline(always)]
fn word<M: Memory>(memory: &M, address: u64) -> Result<u64, NativeStatus> {
    let mut word = [0u64; 1];
    memory
        .read_words(RemoteAddr(address), &mut word)
        .map_err(|Fault| NativeStatus::StackFault)?;
    Ok(word[0])
}
