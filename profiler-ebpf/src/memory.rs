//! Target memory as the kernel sees it: the only caller of the `bpf_probe_read_*` helpers.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user, bpf_probe_read_user_str};
use core::ffi::c_void;
use profiler_common::memory::{Fault, Memory, RemoteAddr};

/// Memory of the current task; never faults pages in.
pub(crate) struct CurrentTask;

/// Reads `bytes` (at most `capacity`) bytes of the current task's memory.
#[inline(always)]
fn read_user(destination: *mut c_void, bytes: u32, source: RemoteAddr) -> Result<(), Fault> {
    // SAFETY: callers pass a buffer of at least `bytes` bytes; the verifier proves it again. A bad source address is
    // an error code, not an access.
    let status = unsafe { bpf_probe_read_user(destination, bytes, source.0 as *const c_void) };
    if status == 0 { Ok(()) } else { Err(Fault) }
}

impl Memory for CurrentTask {
    #[inline(always)]
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        read_user(out.as_mut_ptr().cast(), (N * 8) as u32, addr)
    }

    #[inline(always)]
    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        read_user(out.as_mut_ptr().cast(), bounded(bytes, (N * 8) as u32), addr)
    }

    #[inline(always)]
    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        read_user(out.as_mut_ptr().cast(), bounded(len, N as u32), addr)
    }

    #[inline(always)]
    fn read_c_string<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N]) -> Result<u32, Fault> {
        let destination = out.as_mut_ptr().cast();
        // SAFETY: the buffer has `N` bytes; a bad source address is an error code.
        let with_nul = unsafe { bpf_probe_read_user_str(destination, N as u32, addr.0 as *const c_void) };
        if with_nul <= 0 {
            return Err(Fault);
        }
        Ok(with_nul as u32 - 1)
    }
}

/// `min(bytes, limit)`, through a register that the optimiser cannot see through, so that the bound stays in the
/// code where the verifier can find it.
#[inline(always)]
pub(crate) fn bounded(bytes: u32, limit: u32) -> u32 {
    let mut bytes = u64::from(bytes);
    // SAFETY: a move of a register to itself.
    unsafe { core::arch::asm!("{0} = {0}", inout(reg) bytes, options(nomem, nostack, preserves_flags)) };
    if bytes > u64::from(limit) {
        limit
    } else {
        bytes as u32
    }
}

/// A kernel structure's field; `default` when it is not readable.
#[inline(always)]
pub(crate) fn kernel_field<T: Copy>(structure: u64, offset: u32, default: T) -> T {
    let mut value = default;
    if read_kernel(structure, offset, &mut value) {
        value
    } else {
        default
    }
}

/// Reads a kernel structure's field in place; `false` when it is not readable.
#[inline(always)]
pub(crate) fn read_kernel<T: Copy>(structure: u64, offset: u32, out: &mut T) -> bool {
    let source = structure.wrapping_add(u64::from(offset)) as *const c_void;
    // SAFETY: the destination has exactly this size; a bad source is an error code.
    let status =
        unsafe { bpf_probe_read_kernel(core::ptr::from_mut(out).cast(), size_of::<T>() as u32, source) };
    status == 0
}
