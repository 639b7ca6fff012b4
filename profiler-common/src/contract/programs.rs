//! The programs of the kernel half by name: what user space loads, attaches and chains.

/// What kind of event starts a program. Programs of one kind can continue each other, so each kind has its own instance
/// of the stages, with working memory of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProgramType {
    /// A perf event.
    PerfEvent,
    /// A raw tracepoint.
    RawTracepoint,
}

impl ProgramType {
    /// The map through which its stages find each other: slot [`Stage::slot`] holds [`Stage::program`].
    #[must_use]
    pub const fn stages_map(self) -> &'static str {
        match self {
            Self::PerfEvent => "STAGES",
            Self::RawTracepoint => "RAW_STAGES",
        }
    }
}

macro_rules! stages {
    ($($(#[$doc:meta])* $variant:ident = $slot:literal { perf_event: $perf:literal, raw_tracepoint: $raw:literal })*) => {
        /// Programs that continue a sample.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub enum Stage { $($(#[$doc])* $variant = $slot,)* }

        impl Stage {
            /// Every stage, in the order of the slots.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its program.
            #[must_use]
            pub const fn program(self, program_type: ProgramType) -> &'static str {
                match (self, program_type) {
                    $((Self::$variant, ProgramType::PerfEvent) => $perf,
                    (Self::$variant, ProgramType::RawTracepoint) => $raw,)*
                }
            }
        }
    };
}

stages! {
    /// One block of Python frames.
    WalkPython = 0 { perf_event: "walk_python", raw_tracepoint: "raw_walk_python" }
    /// What code objects are called.
    DefineCode = 1 { perf_event: "define_code", raw_tracepoint: "raw_define_code" }
    /// Registers and kernel frames.
    StartNative = 2 { perf_event: "start_native", raw_tracepoint: "raw_start_native" }
    /// One block of native frames.
    WalkNative = 3 { perf_event: "walk_native", raw_tracepoint: "raw_walk_native" }
}

impl Stage {
    /// Where [`ProgramType::stages_map`] holds it.
    #[inline(always)]
    #[must_use]
    pub const fn slot(self) -> u32 {
        self as u32
    }

    /// Whether it is of use only where native or kernel frames are taken.
    #[must_use]
    pub const fn is_native(self) -> bool {
        matches!(self, Self::StartNative | Self::WalkNative)
    }
}

/// A raw tracepoint, and the program that watches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracepoint {
    /// The kernel's name of it.
    pub name: &'static str,
    /// The program.
    pub program: &'static str,
}

/// A process was forked.
pub const FORK: Tracepoint = Tracepoint {
    name: "sched_process_fork",
    program: "process_fork",
};
/// A process executed another program.
pub const EXEC: Tracepoint = Tracepoint {
    name: "sched_process_exec",
    program: "process_exec",
};
/// A thread exited.
pub const EXIT: Tracepoint = Tracepoint {
    name: "sched_process_exit",
    program: "process_exit",
};
/// A process moved to another cgroup.
pub const CGROUP: Tracepoint = Tracepoint {
    name: "cgroup_attach_task",
    program: "cgroup_attach_task",
};
/// A thread was given another name.
pub const RENAME: Tracepoint = Tracepoint {
    name: "task_rename",
    program: "task_rename",
};
/// A thread leaves a CPU and another one gets it. Not of process life: the source of time off the CPU.
pub const SWITCH: Tracepoint = Tracepoint {
    name: "sched_switch",
    program: "sample_off_cpu",
};
/// A thread was woken: it is in line for a CPU.
pub const WAKE: Tracepoint = Tracepoint {
    name: "sched_wakeup",
    program: "thread_woken",
};

/// Goes through the threads of the host, whether or not they run (`bpf_iter__task`).
pub const FIND_THREADS: &str = "find_thread";

/// The yardstick of benchmarks, started by perf events.
pub const FLOOR: &str = "walk_floor";
/// Samples at a raw tracepoint: loaded by benchmarks only, to show that the stages run there too.
pub const RAW_SAMPLE: &str = "raw_sample";

/// Whether two names are the same: for the half that defines the programs, at compile time.
#[must_use]
pub const fn is_same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    index == one.len() && index == other.len()
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::{ProgramType, Stage, is_same};

    #[test]
    fn a_stage_is_found_at_its_slot() {
        for (slot, stage) in (0u32..).zip(Stage::ALL) {
            assert_eq!(stage.slot(), slot);
        }
    }

    #[test]
    fn no_two_programs_have_the_same_name() {
        let mut names = std::collections::BTreeSet::new();
        for stage in Stage::ALL {
            assert!(names.insert(stage.program(ProgramType::PerfEvent)));
            assert!(names.insert(stage.program(ProgramType::RawTracepoint)));
        }
    }

    #[test]
    fn names_are_compared_to_their_ends() {
        assert!(is_same("walk", "walk") && is_same("", ""));
        assert!(!is_same("walk", "walk_python") && !is_same("walk_python", "walk") && !is_same("a", "b"));
    }
}
