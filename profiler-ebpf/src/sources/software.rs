//! What the kernel counts and reports in the context of the thread that did it: software perf events. User space says how
//! many of them one interrupt stands for. One entry for each.

use aya_ebpf::Global;
use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use profiler_common::contract::programs::is_same;
use profiler_common::contract::sources::Source;

use crate::chains::PerfEventChain;
use crate::kernel::now_ns;
use crate::sources::{Departure, Occurrence, sample};

/// One event in `period`.
#[inline(always)]
fn count(context: &PerfEventContext, source: Source, period: u64) {
    let occurrence = Occurrence {
        source,
        time_ns: now_ns(),
        weight: period,
        departure: Departure::NONE,
    };
    sample::<PerfEventChain>(context, &occurrence);
}

/// A source, its program, and the global that says its period.
macro_rules! software_event {
    ($source:ident, $program:ident, $period:ident) => {
        /// Events that one interrupt stands for.
        #[unsafe(no_mangle)]
        static $period: Global<u64> = Global::new(1);

        /// An interrupt of this source.
        #[perf_event]
        pub(crate) fn $program(context: PerfEventContext) -> u32 {
            count(&context, Source::$source, $period.load());
            0
        }

        // User space finds both by these names.
        const _: () = {
            assert!(is_same(Source::$source.program(), stringify!($program)));
            assert!(
        matches!(Source::$source.period_global(), Some(name) if is_same(name, stringify!($period)))
            );
        };
    };
}

// At the instruction that touched the page. A fault that waits for input is a major one, and not a minor one too.
software_event!(PageFaults, sample_page_faults, PAGE_FAULTS_PERIOD);
software_event!(MinorFaults, sample_minor_faults, MINOR_FAULTS_PERIOD);
software_event!(MajorFaults, sample_major_faults, MAJOR_FAULTS_PERIOD);

// In the thread that leaves the CPU, with the run queue locked: nothing here may wake anybody, and the kernel defers the
// ring's wake-ups.
software_event!(ContextSwitches, sample_switches, SWITCHES_PERIOD);
