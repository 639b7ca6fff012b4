//! Processes that a sample met and nobody entered: user space is asked to look at them. Runs in an interrupt.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use profiler_common::contract::losses::Loss;
use profiler_common::contract::records::{UnknownProcess, record_kind};

use crate::chains::Chain;
use crate::kernel::{current_comm, now_ns};
use crate::maps::{ASKED, EVENTS, output, replace};

/// Asks user space about a process that a sample met, once per CPU and second.
#[inline(always)]
pub(crate) fn report_unknown<C: Chain>(tgid: u32) {
    let now = now_ns();
    let mark = (u64::from(tgid) << 32) | (now >> 30);
    match replace(&ASKED, tgid & 1023, mark) {
        Some(asked) if asked != mark => {}
        _ => return,
    }
    // Not the shared record: this runs in an interrupt, which may have come in the middle of a tracepoint program.
    let mut ask = UnknownProcess {
        kind: record_kind::UNKNOWN,
        command_stored: 0,
        tgid,
        parent_tgid: 0,
        pad: 0,
        incarnation: 0,
        time_ns: now,
        comm: [0; 16],
    };
    current_comm(&mut ask.comm);
    if !output(
        &EVENTS,
        &mut ask,
        size_of::<UnknownProcess>() as u64,
        BPF_RB_NO_WAKEUP,
    ) {
        C::count_loss(Loss::Event);
    }
}
