//! What the kernel counts and reports in the context of the thread that did it: software perf events. User space says how
//! many of them one interrupt stands for.

mod context_switches;
mod major_faults;
mod minor_faults;
mod page_faults;

use aya_ebpf::programs::PerfEventContext;
use profiler_common::contract::sources::Source;

use crate::chains::PerfEventChain;
use crate::kernel::now_ns;
use crate::sources::{Occurrence, sample};

/// One event in `period`.
#[inline(always)]
fn count(context: &PerfEventContext, source: Source, period: u64) {
    let occurrence = Occurrence {
        source,
        time_ns: now_ns(),
        weight: period,
    };
    sample::<PerfEventChain>(context, &occurrence);
}

/// The program of a source, and the global that says its period.
macro_rules! software_event {
    ($(#[$doc:meta])* $program:ident, $source:ident, $period:ident) => {
        /// Events that one interrupt stands for.
        #[unsafe(no_mangle)]
        static $period: aya_ebpf::Global<u64> = aya_ebpf::Global::new(1);

        $(#[$doc])*
        #[aya_ebpf::macros::perf_event]
        pub(crate) fn $program(context: aya_ebpf::programs::PerfEventContext) -> u32 {
            crate::sources::software::count(&context, SOURCE, $period.load());
            0
        }

        const SOURCE: profiler_common::contract::sources::Source =
            profiler_common::contract::sources::Source::$source;
        // User space finds both by these names.
        const _: () = {
            use profiler_common::contract::programs::is_same;
            assert!(is_same(SOURCE.program(), stringify!($program)));
            assert!(matches!(SOURCE.period_global(), Some(name) if is_same(name, stringify!($period))));
        };
    };
}
use software_event;
