//! What a filter may look at and a process may change without exec: its cgroup, its name. Attached only for filters that
//! look at it. User space judges the process again.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::contract::records::record_kind;

use crate::globals::{TASK_COMM, TASK_PID, TASK_TGID};
use crate::kernel::now_ns;
use crate::memory::{kernel_field, read_kernel};
use crate::process_life::{current, emit, is_known};
use crate::working::{ProcessLife, Run};

/// `cgroup_attach_task(destination, path, task, threadgroup)`: in every hierarchy, v1 and v2.
#[raw_tracepoint(tracepoint = "cgroup_attach_task")]
pub(crate) fn cgroup_attach_task(context: RawTracePointContext) -> i32 {
    report_changed(&mut Run::begin(), context.arg(2));
    0
}

/// `task_rename(task, comm)`: `prctl(PR_SET_NAME)`, a write to `/proc/PID/comm`, and exec.
#[raw_tracepoint(tracepoint = "task_rename")]
pub(crate) fn task_rename(context: RawTracePointContext) -> i32 {
    report_changed(&mut Run::begin(), context.arg(0));
    0
}

/// A process goes by its first thread.
#[inline(always)]
fn report_changed(run: &mut Run<ProcessLife>, task: u64) {
    let tgid = kernel_field(task, TASK_TGID.load(), 0u32);
    if kernel_field(task, TASK_PID.load(), 0u32) != tgid {
        return;
    }
    let Some(process) = current(tgid) else { return };
    if !is_known(&process) {
        return;
    }
    let Some(record) = run.record() else { return };
    record.kind = record_kind::CHANGED;
    record.tgid = tgid;
    record.parent_tgid = 0;
    record.incarnation = process.incarnation;
    record.time_ns = now_ns();
    read_kernel(task, TASK_COMM.load(), &mut record.comm);
    record.command_stored = 0;
    emit(record, false);
}
