//! The end of a process: that of its last thread.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::contract::process::ProcessId;
use profiler_common::contract::records::record_kind;

use crate::globals::{SIGNAL_LIVE, TASK_SIGNAL, TASK_TGID};
use crate::kernel::{current_ids, current_task, now_ns};
use crate::memory::kernel_field;
use crate::process_life::{current, emit, is_known};
use crate::processes::{forget_incarnation, forget_process};
use crate::threads;
use crate::working::{ProcessLife, Run};

/// `sched_process_exit(task)`: for each thread.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn process_exit(_context: RawTracePointContext) -> i32 {
    let mut run = Run::<ProcessLife>::begin();
    let (_, tid) = current_ids();
    threads::forget(tid);
    let task = current_task();
    let signal = kernel_field(task, TASK_SIGNAL.load(), 0u64);
    if kernel_field(signal, SIGNAL_LIVE.load(), 1u32) != 0 {
        return 0;
    }
    let tgid = kernel_field(task, TASK_TGID.load(), 0u32);
    let Some(last) = current(tgid) else {
        return 0;
    };
    let is_known = is_known(&last);
    forget_incarnation(tgid);
    forget_process(&ProcessId::new(tgid, last.incarnation));
    if !is_known {
        return 0;
    }
    let Some(record) = run.record() else { return 0 };
    record.kind = record_kind::EXIT;
    record.tgid = tgid;
    record.parent_tgid = 0;
    record.incarnation = last.incarnation;
    record.time_ns = now_ns();
    record.command_stored = 0;
    emit(record, false);
    0
}
