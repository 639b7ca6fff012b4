//! What a sample can be taken of: the event sources, and the accounts that the kernel half keeps of each.

use super::programs::ProgramType;
use super::reasons::Outcome;

/// What the weights of a source are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unit {
    /// Time.
    Nanoseconds,
    /// Page faults; never bytes.
    Faults,
    /// Times that a thread was taken off its CPU.
    Switches,
}

impl Unit {
    /// As shown to people after a number.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Nanoseconds => "nanoseconds",
            Self::Faults => "faults",
            Self::Switches => "switches",
        }
    }
}

macro_rules! sources {
    ($($(#[$doc:meta])* $variant:ident = $code:literal {
        name: $name:literal, unit: $unit:ident, program: $program:literal on $type:ident, period: $period:expr
    })*) => {
        /// An event source. Its code travels in records and indexes the accounts; codes are never re-used.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Source { $($(#[$doc])* $variant = $code,)* }

        impl Source {
            /// Every source, in the order of the codes.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The source with this code, if there is one.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// As people type and read it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What its weights are counted in.
            #[must_use]
            pub const fn unit(self) -> Unit {
                match self { $(Self::$variant => Unit::$unit,)* }
            }

            /// The program of the kernel half that its events start.
            #[must_use]
            pub const fn program(self) -> &'static str {
                match self { $(Self::$variant => $program,)* }
            }

            /// What starts that program.
            #[must_use]
            pub const fn program_type(self) -> ProgramType {
                match self { $(Self::$variant => ProgramType::$type,)* }
            }

            /// The global of the kernel half that says how many events one interrupt stands for; `None` where time is
            /// measured.
            #[must_use]
            pub const fn period_global(self) -> Option<&'static str> {
                match self { $(Self::$variant => $period,)* }
            }
        }
    };
}

sources! {
    /// The thread is on a CPU.
    OnCpu = 0 { name: "cpu", unit: Nanoseconds, program: "sample_on_cpu" on PerfEvent, period: None }
    /// A page of memory was touched that was not mapped yet, whether or not it had to be read from disk.
    PageFaults = 1 {
        name: "page-faults", unit: Faults, program: "sample_page_faults" on PerfEvent, period: Some("PAGE_FAULTS_PERIOD")
    }
    /// A fault that needed no input.
    MinorFaults = 2 {
        name: "minor-faults", unit: Faults, program: "sample_minor_faults" on PerfEvent, period: Some("MINOR_FAULTS_PERIOD")
    }
    /// A fault that waited for input.
    MajorFaults = 3 {
        name: "major-faults", unit: Faults, program: "sample_major_faults" on PerfEvent, period: Some("MAJOR_FAULTS_PERIOD")
    }
    /// The thread was taken off its CPU, whether or not it wanted to wait.
    ContextSwitches = 4 {
        name: "context-switches", unit: Switches, program: "sample_switches" on PerfEvent, period: Some("SWITCHES_PERIOD")
    }
    /// The thread is off its CPU: it is blocked, or waits for a CPU. See [`super::spell`].
    OffCpu = 5 { name: "off-cpu", unit: Nanoseconds, program: "sample_off_cpu" on RawTracepoint, period: None }
}

impl Source {
    /// The code that travels in records and indexes the accounts.
    #[inline(always)]
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Whether all of its samples stand for about as much, so that to count them says where it went.
    #[must_use]
    pub const fn is_even(self) -> bool {
        !matches!(self, Self::OffCpu)
    }

    /// The source with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|source| source.name() == name)
    }
}

/// Accounts of one source.
const ACCOUNTS_PER_SOURCE: u32 = 16;
/// The one of its accounts that belongs to no outcome.
const GAPS: u32 = ACCOUNTS_PER_SOURCE - 1;
const _: () = assert!(Outcome::ALL.len() <= GAPS as usize);

/// Accounts of all sources: slots of the `OUTCOMES` and `WEIGHTS` maps.
pub const ACCOUNTS: u32 = ACCOUNTS_PER_SOURCE * Source::ALL.len() as u32;

/// Where the interrupts of a source with this code that ended in `outcome` are counted (`OUTCOMES`), and what they
/// weighed (`WEIGHTS`).
#[inline(always)]
#[must_use]
pub const fn account(source: u16, outcome: Outcome) -> u32 {
    source as u32 * ACCOUNTS_PER_SOURCE + outcome.code() as u32
}

/// Where the time is kept that passed between interrupts of this source and is charged to no program: slot of
/// `WEIGHTS`. See [`super::period`].
#[inline(always)]
#[must_use]
pub const fn gap_account(source: u16) -> u32 {
    source as u32 * ACCOUNTS_PER_SOURCE + GAPS
}
