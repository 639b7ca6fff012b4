//! Constants of this host that user space writes before loading (rustc emits no CO-RE relocations).

use aya_ebpf::Global;
use profiler_common::contract::modes::Switch;
use profiler_common::contract::programs::is_same;
use profiler_common::contract::spell::Reporting;

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
    /// `task_struct.__state`, or `.state` before 5.14; its low half is enough.
    TASK_STATE;
    /// `task_struct.signal`.
    TASK_SIGNAL;
    /// `signal_struct.live`: threads of the process that have not exited.
    SIGNAL_LIVE;
    /// `mm_struct.arg_start`.
    MM_ARG_START;
    /// `mm_struct.arg_end`.
    MM_ARG_END;
}

/// Switches, see [`Switch`].
macro_rules! switches {
    ($($name:ident = $switch:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) static $name: Global<u32> = Global::new(0);
        // User space finds it by this name.
        const _: () = assert!(is_same(Switch::$switch.global(), stringify!($name)));
    )*};
}

switches! {
    REPORT_UNKNOWN = ReportUnknown;
    REPORT_ALL_PROCESSES = ReportAllProcesses;
    NATIVE = Native;
    RING_EIGHTH = RingEighth;
    WATCH_THREADS = WatchThreads;
    MEASURE_SELF = MeasureSelf;
}

/// The numbers of a [`Reporting`]; user space writes all of them.
macro_rules! reporting {
    ($($index:literal $name:ident;)*) => {$(
        #[unsafe(no_mangle)]
        pub(crate) static $name: Global<u64> = Global::new(0);
        // User space finds it by this name.
        const _: () = assert!(is_same(Reporting::GLOBALS[$index], stringify!($name)));
    )*};
}

reporting! {
    0 SPELL_LEAST_NS;
    1 SPELL_REPORT_NS;
    2 SPELL_LONG_NS;
}

/// Which spells are reported.
#[inline(always)]
pub(crate) fn reporting() -> Reporting {
    Reporting {
        least_ns: SPELL_LEAST_NS.load(),
        report_ns: SPELL_REPORT_NS.load(),
        long_ns: SPELL_LONG_NS.load(),
    }
}
