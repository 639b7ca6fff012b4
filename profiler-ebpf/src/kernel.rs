//! The kernel's helpers without arguments to get wrong, as safe functions.

use core::ffi::c_void;

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::bpf_user_pt_regs_t;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{
    bpf_get_current_comm, bpf_get_current_task, bpf_get_prandom_u32, bpf_get_smp_processor_id, bpf_get_stack,
    bpf_ktime_get_ns,
};
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::programs::PerfEventContext;

/// `CLOCK_MONOTONIC`, nanoseconds.
#[inline(always)]
pub(crate) fn now_ns() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// This CPU's number.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: no arguments.
    unsafe { bpf_get_smp_processor_id() }
}

/// Any number.
#[inline(always)]
pub(crate) fn random() -> u32 {
    // SAFETY: no arguments.
    unsafe { bpf_get_prandom_u32() }
}

/// Address of the `task_struct` that an iterator of tasks has come to; 0 after the last one.
#[inline(always)]
pub(crate) fn iterated_task(context: *mut c_void) -> u64 {
    let task = context.cast::<u64>().wrapping_add(1);
    // SAFETY: `struct bpf_iter__task` has two pointers, the second of which is the task.
    unsafe { task.read() }
}

/// Address of the current `task_struct`.
#[inline(always)]
pub(crate) fn current_task() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_get_current_task() }
}

/// Process and thread id of the current task in the initial pid namespace.
#[inline(always)]
pub(crate) fn current_ids() -> (u32, u32) {
    let ids = bpf_get_current_pid_tgid();
    ((ids >> 32) as u32, ids as u32)
}

/// The current thread's name, NUL-padded. In place: a copy through the stack would become a call to `memset`.
#[inline(always)]
pub(crate) fn current_comm(out: &mut [u8; 16]) {
    // SAFETY: the destination has the size given; the helper fills all of it.
    unsafe { bpf_get_current_comm(out.as_mut_ptr().cast(), 16) };
}

/// The registers at the interrupt: the user's or the kernel's.
#[inline(always)]
pub(crate) fn interrupt_registers(context: &PerfEventContext) -> &bpf_user_pt_regs_t {
    // SAFETY: the kernel hands over a live context, and nobody writes it during the program run.
    unsafe { &(*context.ctx).regs }
}

/// The kernel's part of the call chain, newest first; returns how many addresses there are.
#[inline(always)]
pub(crate) fn kernel_stack<C: EbpfContext, const N: usize>(context: &C, out: &mut [u64; N]) -> u32 {
    // SAFETY: the destination has the size given.
    let bytes = unsafe { bpf_get_stack(context.as_ptr(), out.as_mut_ptr().cast(), (N * 8) as u32, 0) };
    if bytes > 0 { bytes as u32 / 8 } else { 0 }
}

/// Continues with the program in a slot; returns only when the kernel refuses.
#[inline(always)]
pub(crate) fn tail_call<C: EbpfContext>(programs: &ProgramArray, context: &C, slot: u32) {
    // SAFETY: user space fills the array with programs of the caller's type.
    unsafe { programs.tail_call(context, slot) };
}
