//! Another program: what was known of the process no longer holds.

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::contract::losses::Loss;
use profiler_common::contract::process::{Incarnation, PROCESS_FOLLOW_CHILDREN, ProcessId};
use profiler_common::contract::records::{COMMAND_BYTES, ProcessRecord, record_kind};
use profiler_common::memory::{Memory as _, RemoteAddr};

use crate::globals::{MM_ARG_END, MM_ARG_START, REPORT_ALL_PROCESSES, TASK_MM, TASK_TGID};
use crate::kernel::{current_comm, now_ns};
use crate::memory::{CurrentTask, kernel_field};
use crate::process_life::{count_loss, current, emit};
use crate::processes::{forget_incarnation, forget_process, set_incarnation};
use crate::threads;
use crate::working::{ProcessLife, Run};

/// `sched_process_exec(task, old_pid, bprm)`.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn process_exec(context: RawTracePointContext) -> i32 {
    let mut run = Run::<ProcessLife>::begin();
    let task: u64 = context.arg(0);
    let tgid = kernel_field(task, TASK_TGID.load(), 0u32);
    // Of its threads one is left, which has the id of the first one now, and had this one before.
    threads::forget(context.arg(1));
    threads::forget(tgid);
    let now = now_ns();
    let before = current(tgid);
    let flags = match before {
        Some(before) => before.flags,
        None if REPORT_ALL_PROCESSES.load() != 0 => PROCESS_FOLLOW_CHILDREN,
        None => return 0,
    };
    // From here on the old entry, even if user space writes it once more, is nobody's.
    let renewed = Incarnation {
        incarnation: now,
        tgid,
        flags,
    };
    if !set_incarnation(&renewed) {
        count_loss(Loss::Process);
    }
    if let Some(before) = before {
        forget_process(&ProcessId::new(tgid, before.incarnation));
    }
    let Some(record) = run.record() else { return 0 };
    record.kind = record_kind::EXEC;
    record.tgid = tgid;
    record.parent_tgid = 0;
    record.time_ns = now;
    record.incarnation = now;
    current_comm(&mut record.comm);
    record.command_stored = read_command(task, record);
    // The interpreter starts its work within milliseconds: user space must look now.
    if !emit(record, true) && REPORT_ALL_PROCESSES.load() != 0 {
        // User space does not know: the next sample asks.
        forget_incarnation(tgid);
    }
    0
}

/// Copies the new program's arguments; they have just been written, so they are resident.
#[inline(always)]
fn read_command(task: u64, record: &mut ProcessRecord) -> u16 {
    let mm = kernel_field(task, TASK_MM.load(), 0u64);
    let start = kernel_field(mm, MM_ARG_START.load(), 0u64);
    let length = kernel_field(mm, MM_ARG_END.load(), 0u64).wrapping_sub(start);
    let bytes = if length > COMMAND_BYTES as u64 {
        COMMAND_BYTES as u32
    } else {
        length as u32
    };
    match CurrentTask.read_bytes(RemoteAddr(start), &mut record.command, bytes) {
        Ok(()) => bytes as u16,
        Err(_) => 0,
    }
}
