//! Lines for developers, in builds with the feature `debug-bpf`; in others they are nothing. See CONTRIBUTING.md.
//!
//! Global functions, so that the kernel verifies the formatting once, apart from the programs that are being debugged.

#[cfg(feature = "debug-bpf")]
mod lines {
    use aya_log_ebpf::debug;

    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn log_sample(tgid: u32, tid: u32, outcome: u32) -> u32 {
        debug!(
            (),
            "thread {} of process {}: no sample, outcome {}", tid, tgid, outcome
        );
        0
    }

    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn log_python(tgid: u32, tid: u32, status: u32, frames: u32, address: u64) -> u32 {
        debug!(
            (),
            "thread {} of process {}: Python stack ends with status {} after {} frames, at {:x}",
            tid,
            tgid,
            status,
            frames,
            address
        );
        0
    }

    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn log_native(tgid: u32, status: u32, pc: u64, sp: u64) -> u32 {
        debug!(
            (),
            "process {}: native stack ends with status {} at pc {:x}, sp {:x}", tgid, status, pc, sp
        );
        0
    }

    #[unsafe(no_mangle)]
    #[inline(never)]
    extern "C" fn log_tail_call(tgid: u32, stage: u32, block: u32) -> u32 {
        debug!(
            (),
            "process {}: no tail call to stage {} after block {}", tgid, stage, block
        );
        0
    }

    #[inline(always)]
    pub(crate) fn sample(tgid: u32, tid: u32, outcome: u16) {
        log_sample(tgid, tid, outcome.into());
    }

    #[inline(always)]
    pub(crate) fn python(tgid: u32, tid: u32, status: u16, frames: u32, address: u64) {
        log_python(tgid, tid, status.into(), frames, address);
    }

    #[inline(always)]
    pub(crate) fn native(tgid: u32, status: u16, pc: u64, sp: u64) {
        log_native(tgid, status.into(), pc, sp);
    }

    #[inline(always)]
    pub(crate) fn tail_call(tgid: u32, stage: u32, block: u32) {
        log_tail_call(tgid, stage, block);
    }
}

#[cfg(not(feature = "debug-bpf"))]
mod lines {
    #[inline(always)]
    pub(crate) fn sample(_tgid: u32, _tid: u32, _outcome: u16) {}
    #[inline(always)]
    pub(crate) fn python(_tgid: u32, _tid: u32, _status: u16, _frames: u32, _address: u64) {}
    #[inline(always)]
    pub(crate) fn native(_tgid: u32, _status: u16, _pc: u64, _sp: u64) {}
    #[inline(always)]
    pub(crate) fn tail_call(_tgid: u32, _stage: u32, _block: u32) {}
}

pub(crate) use lines::{native, python, sample, tail_call};
