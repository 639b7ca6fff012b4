//! Process life: fork, exec and exit, as raw tracepoints (they need no tracefs). Runs in process context, so it may
//! change `PROCESSES`; an entry is therefore right from a child's first instruction on.

mod changed;
pub(crate) mod unknown;

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::contract::losses::{Loss, LossWriter, loss_account};
use profiler_common::contract::process::{
    PROCESS_EXCLUDED, PROCESS_FOLLOW_CHILDREN, PROCESS_PYTHON, ProcessEntry,
};
use profiler_common::contract::programs::{self, is_same};
use profiler_common::contract::records::{COMMAND_BYTES, ProcessRecord, record_kind};
use profiler_common::memory::{Memory as _, RemoteAddr};

use crate::globals::{
    MM_ARG_END, MM_ARG_START, REPORT_ALL_PROCESSES, SIGNAL_LIVE, TASK_COMM, TASK_MM, TASK_SIGNAL, TASK_TGID,
};
use crate::kernel::{current_comm, current_task, now_ns};
use crate::maps::{EVENTS, LOSSES, PROCESS_RECORD, PROCESSES, count, insert_process, output, process, slot};
use crate::memory::{CurrentTask, bounded, kernel_field, read_kernel};

/// Flags of a process whose life interests user space.
pub(crate) const KNOWN: u32 = PROCESS_PYTHON | PROCESS_EXCLUDED;

/// `sched_process_fork(parent, child)`: a child has its parent's address space, so its entry is a copy.
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub(crate) fn process_fork(context: RawTracePointContext) -> i32 {
    let parent: u64 = context.arg(0);
    let child: u64 = context.arg(1);
    let parent_tgid = kernel_field(parent, TASK_TGID.load(), 0u32);
    let tgid = kernel_field(child, TASK_TGID.load(), 0u32);
    if tgid == parent_tgid {
        return 0;
    }
    let now = now_ns();
    let entry = match process(parent_tgid) {
        Some(entry) if entry.flags & PROCESS_FOLLOW_CHILDREN != 0 => entry,
        _ => return 0,
    };
    let child_entry = ProcessEntry {
        incarnation: now,
        ..*entry
    };
    if !insert_process(tgid, &child_entry) {
        count_loss(Loss::Process);
        return 0;
    }
    // A host forks all the time; only a followed process's children matter whatever they are (`sh -c python`).
    if entry.flags & KNOWN == 0 && REPORT_ALL_PROCESSES.load() != 0 {
        return 0;
    }
    let Some(record) = slot(&PROCESS_RECORD, 0) else {
        return 0;
    };
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

/// `sched_process_exec(task, old_pid, bprm)`: another program, so what was known no longer holds.
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn process_exec(context: RawTracePointContext) -> i32 {
    let task: u64 = context.arg(0);
    let tgid = kernel_field(task, TASK_TGID.load(), 0u32);
    let now = now_ns();
    if REPORT_ALL_PROCESSES.load() != 0 {
        // Fails where nothing was known, which is as good.
        let _ = PROCESSES.remove(tgid);
    } else if !forget_program(tgid, now) {
        return 0;
    }
    let Some(record) = slot(&PROCESS_RECORD, 0) else {
        return 0;
    };
    record.kind = record_kind::EXEC;
    record.tgid = tgid;
    record.parent_tgid = 0;
    record.time_ns = now;
    record.incarnation = now;
    current_comm(&mut record.comm);
    record.command_stored = read_command(task, record);
    // The interpreter starts its work within milliseconds: user space must look now.
    emit(record, true);
    0
}

/// Of a process that is followed only that it is remains known, so that its next exec is reported too (`sh -c "exec python"`).
/// `false` for any other process.
#[inline(always)]
fn forget_program(tgid: u32, now: u64) -> bool {
    let Some(entry) = process(tgid) else {
        return false;
    };
    let followed = ProcessEntry {
        incarnation: now,
        flags: entry.flags & PROCESS_FOLLOW_CHILDREN,
        ..ProcessEntry::default()
    };
    if !insert_process(tgid, &followed) {
        count_loss(Loss::Process);
    }
    true
}

/// `sched_process_exit(task)`: also for each thread; the process is gone with its last one.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn process_exit(_context: RawTracePointContext) -> i32 {
    let task = current_task();
    let signal = kernel_field(task, TASK_SIGNAL.load(), 0u64);
    if kernel_field(signal, SIGNAL_LIVE.load(), 1u32) != 0 {
        return 0;
    }
    let tgid = kernel_field(task, TASK_TGID.load(), 0u32);
    let Some(entry) = process(tgid) else { return 0 };
    let ProcessEntry {
        incarnation, flags, ..
    } = *entry;
    // Only fails when another exit on another CPU was faster, which is as good.
    let _ = PROCESSES.remove(tgid);
    if flags & KNOWN == 0 {
        return 0;
    }
    let Some(record) = slot(&PROCESS_RECORD, 0) else {
        return 0;
    };
    record.kind = record_kind::EXIT;
    record.tgid = tgid;
    record.parent_tgid = 0;
    record.incarnation = incarnation;
    record.time_ns = now_ns();
    record.command_stored = 0;
    emit(record, false);
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

#[inline(always)]
pub(crate) fn emit(record: &mut ProcessRecord, wake: bool) {
    let tail = bounded(u32::from(record.command_stored), COMMAND_BYTES as u32);
    let bytes = (size_of::<ProcessRecord>() - COMMAND_BYTES) as u64 + u64::from(tail);
    let flags = if wake {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    if !output(&EVENTS, record, bytes, flags) {
        count_loss(Loss::Event);
    }
}

#[inline(always)]
fn count_loss(loss: Loss) {
    count(&LOSSES, loss_account(LossWriter::ProcessLife, loss));
}

// User space finds the programs by these names.
const _: () = assert!(is_same(programs::FORK.program, "process_fork"));
const _: () = assert!(is_same(programs::EXEC.program, "process_exec"));
const _: () = assert!(is_same(programs::EXIT.program, "process_exit"));
const _: () = assert!(is_same(programs::CGROUP.program, "cgroup_attach_task"));
const _: () = assert!(is_same(programs::RENAME.program, "task_rename"));
