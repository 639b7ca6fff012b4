//! aarch64. Source: AAPCS64; `struct sigcontext` in `arch/arm64/include/uapi/asm/sigcontext.h` (Linux 6.18).

use crate::contract::unwind::Row;
use crate::memory::{Fault, Memory, RemoteAddr};
use crate::walker::native::{Architecture, Registers};

/// aarch64: the call leaves the return address in a register.
#[derive(Clone, Copy, Debug)]
pub struct Aarch64;

/// From the `ucontext_t` to `x29`, bytes; then `x30`, `sp`, `pc`.
const CONTEXT_X29: u64 = 416;
/// Code lies below 2^48 unless a program asks for more (`Documentation/arch/arm64/memory.rst`); above that, pointer
/// authentication keeps its signature.
const ADDRESS_BITS: u32 = 48;

impl Architecture for Aarch64 {
    const FRAME_POINTER: Row = Row::FRAME_POINTER_AARCH64;
    const LINK_REGISTER: bool = true;

    #[inline(always)]
    fn interrupted<M: Memory>(memory: &M, context: RemoteAddr, out: &mut Registers) -> Result<(), Fault> {
        let mut words = [0u64; 4];
        memory.read_words(context.offset(CONTEXT_X29), &mut words)?;
        *out = Registers {
            pc: words[3],
            sp: words[2],
            fp: words[0],
            lr: words[1],
        };
        Ok(())
    }

    #[inline(always)]
    fn strip(address: u64) -> u64 {
        address & ((1 << ADDRESS_BITS) - 1)
    }
}
