//! x86-64. Source: System V psABI; `struct sigcontext_64` in `arch/x86/include/uapi/asm/sigcontext.h` (Linux 6.18).

use crate::contract::unwind::Row;
use crate::memory::{Fault, Memory, RemoteAddr};
use crate::walker::native::{Architecture, Registers};

/// x86-64: the call pushes the return address.
#[derive(Clone, Copy, Debug)]
pub struct X86_64;

/// From the `ucontext_t` to `rbp`, bytes; then `rbx`, `rdx`, `rax`, `rcx`, `rsp`, `rip`.
const CONTEXT_RBP: u64 = 120;

impl Architecture for X86_64 {
    const FRAME_POINTER: Row = Row::FRAME_POINTER;
    const LINK_REGISTER: bool = false;

    #[inline(always)]
    fn interrupted<M: Memory>(memory: &M, context: RemoteAddr, out: &mut Registers) -> Result<(), Fault> {
        let mut words = [0u64; 7];
        memory.read_words(context.offset(CONTEXT_RBP), &mut words)?;
        *out = Registers {
            pc: words[6],
            sp: words[5],
            fp: words[0],
            lr: 0,
        };
        Ok(())
    }

    #[inline(always)]
    fn strip(address: u64) -> u64 {
        address
    }
}
