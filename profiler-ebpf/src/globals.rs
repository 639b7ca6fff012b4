//! Constants of this host that user space writes before loading (rustc emits no CO-RE relocations).

use aya_ebpf::Global;

/// Offsets of kernel structure fields, bytes, from `/sys/kernel/btf/vmlinux`.
macro_rules! field_offsets {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $($(#[$doc])* #[unsafe(no_mangle)] pub(crate) static $name: Global<u32> = Global::new(0);)*
    };
}

field_offsets! {
    /// `task_struct.thread.fsbase` (x86-64) or `.thread.uw.tp_value` (aarch64): the user thread pointer.
    TASK_THREAD_POINTER;
    /// `task_struct.pid`: the thread's id.
    TASK_PID;
    /// `task_struct.tgid`.
    TASK_TGID;
    /// `task_struct.comm`.
    TASK_COMM;
    /// `task_struct.mm`.
    TASK_MM;
    /// `task_struct.stack`: the lower end of the kernel stack.
    TASK_STACK;
    /// `task_struct.signal`.
    TASK_SIGNAL;
    /// `signal_struct.live`: threads of the process that have not exited.
    SIGNAL_LIVE;
    /// `mm_struct.arg_start`.
    MM_ARG_START;
    /// `mm_struct.arg_end`.
    MM_ARG_END;
}

/// 1: a sample in a process nobody has described asks user space about it.
#[unsafe(no_mangle)]
pub(crate) static REPORT_UNKNOWN: Global<u32> = Global::new(0);

/// 1: the exec of every process is reported, not only of known ones; then the fork of one without Python is not.
#[unsafe(no_mangle)]
pub(crate) static REPORT_ALL_PROCESSES: Global<u32> = Global::new(0);

/// 0: Python frames only; 1: kernel frames too; 2: native ones as well.
#[unsafe(no_mangle)]
pub(crate) static NATIVE: Global<u32> = Global::new(0);

/// 1: measure the time each program spends, into `SELF_TIME` (benchmarks only).
#[unsafe(no_mangle)]
pub(crate) static MEASURE_SELF: Global<u32> = Global::new(0);
