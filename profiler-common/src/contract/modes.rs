//! Switches of the kernel half: numbers that user space writes into its globals before loading.

macro_rules! switches {
    ($($(#[$doc:meta])* $variant:ident, $global:literal;)*) => {
        /// A switch; 0 unless user space writes it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Switch { $($(#[$doc])* $variant,)* }

        impl Switch {
            /// The global of the kernel half that holds it, a `u32`.
            #[must_use]
            pub const fn global(self) -> &'static str {
                match self { $(Self::$variant => $global,)* }
            }
        }
    };
}

switches! {
    /// 1: a sample in a process nobody has described asks user space about it.
    ReportUnknown, "REPORT_UNKNOWN";
    /// 1: the exec of every process is reported, not only of known ones; then the fork of one without Python is not.
    ReportAllProcesses, "REPORT_ALL_PROCESSES";
    /// A [`native_mode`].
    Native, "NATIVE";
    /// Log2 of an eighth of the sample ring's bytes: user space is woken each time that another eighth beyond the half is
    /// full.
    RingEighth, "RING_EIGHTH";
    /// 1: the threads of known processes have a [`super::spell::ThreadSlot`].
    WatchThreads, "WATCH_THREADS";
    /// 1: measure the time each program spends, into the `SELF_TIME` map (benchmarks only).
    MeasureSelf, "MEASURE_SELF";
}

/// [`Switch::Native`]: which frames are taken besides those of Python.
pub mod native_mode {
    /// None.
    pub const NONE: u32 = 0;
    /// The kernel's.
    pub const KERNEL: u32 = 1;
    /// Native ones too.
    pub const USER: u32 = 2;
}
