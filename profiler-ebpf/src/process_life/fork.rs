//! A child has its parent's address space, so what is known of the parent is known of the child.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::contract::losses::Loss;
use profiler_common::contract::process::{
    Incarnation, PROCESS_FOLLOW_CHILDREN, PROCESS_REPORT_CHILDREN, ProcessEntry, ProcessId,
};
use profiler_common::contract::records::record_kind;

use crate::globals::{REPORT_ALL_PROCESSES, TASK_COMM, TASK_PID, TASK_TGID, WATCH_THREADS};
use crate::kernel::now_ns;
use crate::memory::{kernel_field, read_kernel};
use crate::process_life::{KNOWN, count_loss, current, emit, is_known};
use crate::processes::{process, set_incarnation, set_process};
use crate::threads;
use crate::working::{ProcessLife, Run};

/// `sched_process_fork(parent, child)`.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub(crate) fn process_fork(context: RawTracePointContext) -> i32 {
    let mut run = Run::<ProcessLife>::begin();
    let parent: u64 = context.arg(0);
    let child: u64 = context.arg(1);
    let parent_tgid = kernel_field(parent, TASK_TGID.load(), 0u32);
    let tgid = kernel_field(child, TASK_TGID.load(), 0u32);
    let tid = kernel_field(child, TASK_PID.load(), 0u32);
    if tgid == parent_tgid {
        if WATCH_THREADS.load() != 0
            && let Some(found) = current(tgid)
            && is_known(&found)
        {
            threads::enter(tid, tgid, found.incarnation);
        }
        return 0;
    }
    let now = now_ns();
    let parent_now = match current(parent_tgid) {
        Some(found) if found.flags & (PROCESS_FOLLOW_CHILDREN | PROCESS_REPORT_CHILDREN) != 0 => found,
        _ => return 0,
    };
    let is_followed = parent_now.flags & PROCESS_FOLLOW_CHILDREN != 0;
    let born = Incarnation {
        incarnation: now,
        tgid,
        ..parent_now
    };
    if !set_incarnation(&born) {
        count_loss(Loss::Process);
        return 0;
    }
    // A host forks all the time; only a followed process's children matter whatever they are (`sh -c python`).
    let is_profiled = is_followed && inherit(&parent_now, &born);
    if is_profiled {
        threads::enter(tid, tgid, now);
    }
    if !is_profiled && REPORT_ALL_PROCESSES.load() != 0 {
        return 0;
    }
    let Some(record) = run.record() else { return 0 };
    record.kind = record_kind::FORK;
    record.tgid = tgid;
    record.parent_tgid = parent_tgid;
    record.incarnation = now;
    record.time_ns = now;
    read_kernel(child, TASK_COMM.load(), &mut record.comm);
    record.command_stored = 0;
    emit(record, false);
    0
}

/// Copies the parent's entry; `false` when it has none that interests user space.
#[inline(always)]
fn inherit(parent: &Incarnation, child: &Incarnation) -> bool {
    let id = ProcessId::new(parent.tgid, parent.incarnation);
    let Some(element) = process(&id) else {
        return false;
    };
    let mut entry = ProcessEntry::default();
    element.copy(&mut entry);
    if !element.is_still(&id) || entry.flags & KNOWN == 0 {
        return false;
    }
    entry.tgid = child.tgid;
    entry.incarnation = child.incarnation;
    if !set_process(&entry) {
        count_loss(Loss::Process);
    }
    true
}
