//! `struct pt_regs` of `arch/x86/include/asm/ptrace.h` (Linux 5.10 to 7.3).

use aya_ebpf::bindings::pt_regs;
use profiler_common::contract::records::NO_SYSTEM_CALL;
use profiler_common::walker::native::{Registers, X86_64};

use super::SystemCall;

pub(crate) type Host = X86_64;

/// `THREAD_SIZE`.
pub(super) const STACK_BYTES: u32 = 16 << 10;
/// From the end of the kernel stack down to `pt_regs.rbp` (word 4 of 21): with nothing above the structure, and with the
/// two words that FRED leaves free (`TOP_OF_KERNEL_STACK_PADDING`, 6.9).
pub(super) const SAVED_BELOW_STACK_END: [u32; 2] = [17 * 8, 17 * 8 + 16];
/// From `rbp` to `ss`.
pub(super) const SAVED_WORDS: usize = 17;

/// `__USER_CS` and `__USER_DS`: a 64-bit process in user mode.
const USER_CS: u64 = 0x33;
const USER_SS: u64 = 0x2b;

/// The registers, if user code was interrupted.
#[inline(always)]
pub(super) fn user(registers: &pt_regs) -> Option<Registers> {
    (registers.cs & 0xffff == USER_CS).then_some(Registers {
        pc: registers.rip,
        sp: registers.rsp,
        fp: registers.rbp,
        lr: 0,
    })
}

/// `rbp` to `ss`, if that is what these words are.
#[inline(always)]
pub(super) fn from_saved(words: &[u64; SAVED_WORDS]) -> Option<Registers> {
    let [fp, .., pc, cs, _flags, sp, ss] = *words;
    (cs & 0xffff == USER_CS && ss & 0xffff == USER_SS).then_some(Registers { pc, sp, fp, lr: 0 })
}

/// The system call, if that is what these words are: `orig_rax` is negative after an interrupt or a fault.
#[inline(always)]
pub(super) fn system_call(words: &[u64; SAVED_WORDS]) -> Option<SystemCall> {
    from_saved(words)?;
    // `rdi` and `orig_rax`, words 14 and 15 of the structure.
    let (argument, number) = (words[10], words[11].cast_signed());
    let number = if number < 0 { NO_SYSTEM_CALL } else { number as u32 };
    Some(SystemCall { number, argument })
}
