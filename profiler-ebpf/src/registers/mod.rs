//! The user registers of the sampled thread: those of the interrupt, or those that the kernel saved when the thread
//! entered it.

#[cfg(bpf_target_arch = "aarch64")]
mod aarch64;
#[cfg(not(bpf_target_arch = "aarch64"))]
mod x86_64;

#[cfg(bpf_target_arch = "aarch64")]
use aarch64 as architecture;
#[cfg(not(bpf_target_arch = "aarch64"))]
use x86_64 as architecture;

use aya_ebpf::programs::PerfEventContext;
use profiler_common::contract::records::UNKNOWN_SYSTEM_CALL;
use profiler_common::walker::native::Registers;

pub(crate) use architecture::Host;

use crate::globals::TASK_STACK;
use crate::kernel::{current_task, interrupt_registers};
use crate::memory::{kernel_field, read_kernel};

/// Where the interrupt found the thread.
pub(crate) enum Interrupted {
    /// In user code.
    User(Registers),
    /// In the kernel.
    Kernel,
}

/// What was interrupted.
#[inline(always)]
pub(crate) fn interrupted(context: &PerfEventContext) -> Interrupted {
    match architecture::user(interrupt_registers(context)) {
        Some(registers) => Interrupted::User(registers),
        None => Interrupted::Kernel,
    }
}

/// A system call.
#[derive(Clone, Copy)]
pub(crate) struct SystemCall {
    /// Its number, or as `SampleBlock::system_call`.
    pub(crate) number: u32,
    /// Its first argument.
    pub(crate) argument: u64,
}

impl SystemCall {
    /// Not known.
    pub(crate) const UNKNOWN: Self = Self {
        number: UNKNOWN_SYSTEM_CALL,
        argument: 0,
    };
}

/// The system call that the current thread is in, as far as the saved registers tell.
#[inline(always)]
pub(crate) fn system_call() -> SystemCall {
    find_saved(architecture::system_call).unwrap_or(SystemCall::UNKNOWN)
}

/// The registers at the upper end of the kernel stack. How far from it differs between kernels (a few words are left
/// free): what is there says whether it is right. `None` for kernel threads and 32-bit processes.
#[inline(always)]
pub(crate) fn saved() -> Option<Registers> {
    find_saved(architecture::from_saved)
}

/// What `find` makes of the words that are the saved registers.
#[inline(always)]
fn find_saved<T>(find: impl Fn(&[u64; architecture::SAVED_WORDS]) -> Option<T>) -> Option<T> {
    let stack = kernel_field(current_task(), TASK_STACK.load(), 0u64);
    for distance in architecture::SAVED_BELOW_STACK_END {
        let mut words = [0u64; architecture::SAVED_WORDS];
        let offset = architecture::STACK_BYTES.wrapping_sub(distance);
        if read_kernel(stack, offset, &mut words)
            && let Some(found) = find(&words)
        {
            return Some(found);
        }
    }
    None
}
