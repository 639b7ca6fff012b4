//! CPU time: the CPU clock of this CPU, whose period user space changes all the time.

use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use profiler_common::contract::period::Elapsed;
use profiler_common::contract::programs::is_same;
use profiler_common::contract::sources::Source;

use crate::accounts;
use crate::chains::PerfEventChain;
use crate::kernel::{cpu, now_ns};
use crate::maps::{PERIODS, PREVIOUS, replace};
use crate::sources::{Departure, Occurrence, sample};

/// One interrupt.
#[perf_event]
pub(crate) fn sample_on_cpu(context: PerfEventContext) -> u32 {
    let time_ns = now_ns();
    let Elapsed { weight_ns, gap_ns } = elapsed(time_ns);
    accounts::gap(Source::OnCpu, gap_ns);
    let occurrence = Occurrence {
        source: Source::OnCpu,
        time_ns,
        weight: weight_ns,
        departure: Departure::NONE,
    };
    sample::<PerfEventChain>(&context, &occurrence);
    0
}
const _: () = assert!(is_same(Source::OnCpu.program(), "sample_on_cpu"));

/// Time since this CPU's last interrupt.
#[inline(always)]
fn elapsed(now_ns: u64) -> Elapsed {
    let nothing = Elapsed {
        weight_ns: 0,
        gap_ns: 0,
    };
    let Some(previous_ns) = replace(&PREVIOUS, 0, now_ns) else {
        return nothing;
    };
    PERIODS
        .get(cpu())
        .map_or(nothing, |period| period.split(previous_ns, now_ns))
}
