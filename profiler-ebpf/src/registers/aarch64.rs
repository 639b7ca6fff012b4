//! `struct pt_regs` of `arch/arm64/include/asm/ptrace.h` (Linux 5.10 to 6.18): 31 general registers, `sp`, `pc`, `pstate`,
//! then what differs between kernels.

use aya_ebpf::bindings::user_pt_regs;
use profiler_common::walker::native::{Aarch64, Registers};

use super::SystemCall;

pub(crate) type Host = Aarch64;

/// `THREAD_SIZE` with pages of 4 KiB.
pub(super) const STACK_BYTES: u32 = 16 << 10;
/// From the end of the kernel stack down to `x29`: the structure has 336 bytes, or 352 with `frame_record_meta` (6.13).
pub(super) const SAVED_BELOW_STACK_END: [u32; 2] = [336 - 29 * 8, 352 - 29 * 8];
/// From `x29` to `pstate`.
pub(super) const SAVED_WORDS: usize = 5;

/// `PSR_MODE_MASK` and `PSR_MODE32_BIT` are clear in user mode of a 64-bit process.
const MODE: u64 = 0x1f;

/// The registers, if user code was interrupted.
#[inline(always)]
pub(super) fn user(registers: &user_pt_regs) -> Option<Registers> {
    from_saved(&[
        registers.regs[29],
        registers.regs[30],
        registers.sp,
        registers.pc,
        registers.pstate,
    ])
}

/// `x29` to `pstate`, if that is what these words are.
#[inline(always)]
pub(super) fn from_saved(words: &[u64; SAVED_WORDS]) -> Option<Registers> {
    let [fp, lr, sp, pc, state] = *words;
    (state & MODE == 0 && pc != 0 && pc >> 48 == 0).then_some(Registers { pc, sp, fp, lr })
}

/// Not known: where it is differs between kernels.
#[inline(always)]
pub(super) fn system_call(_words: &[u64; SAVED_WORDS]) -> Option<SystemCall> {
    None
}
