//! Process life: fork, exec and exit, as raw tracepoints (they need no tracefs). Runs in process context, so it may
//! change what is known of processes; that is therefore right from a child's or program's first instruction on.

mod changed;
mod exec;
mod exit;
mod fork;
pub(crate) mod unknown;

use aya_ebpf::bindings::{BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use profiler_common::contract::losses::{Loss, LossWriter, loss_account};
use profiler_common::contract::process::{Incarnation, PROCESS_EXCLUDED, PROCESS_PYTHON, ProcessId};
use profiler_common::contract::programs::{self, is_same};
use profiler_common::contract::records::{COMMAND_BYTES, ProcessRecord};

use crate::maps::{EVENTS, LOSSES, count, output};
use crate::memory::bounded;
use crate::processes::{incarnation, process};

/// Which process has this tgid now.
#[inline(always)]
fn current(tgid: u32) -> Option<Incarnation> {
    incarnation(tgid).filter(|found| found.tgid == tgid)
}

/// Flags of a process whose life interests user space.
const KNOWN: u32 = PROCESS_PYTHON | PROCESS_EXCLUDED;

/// Whether the life of a process interests user space.
#[inline(always)]
fn is_known(current: &Incarnation) -> bool {
    process(&ProcessId::new(current.tgid, current.incarnation))
        .is_some_and(|element| element.flags() & KNOWN != 0)
}

/// Sends a record; `false` when the ring is full.
#[inline(always)]
fn emit(record: &mut ProcessRecord, wake: bool) -> bool {
    let tail = bounded(u32::from(record.command_stored), COMMAND_BYTES as u32);
    let bytes = (size_of::<ProcessRecord>() - COMMAND_BYTES) as u64 + u64::from(tail);
    let flags = if wake {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    let sent = output(&EVENTS, record, bytes, flags);
    if !sent {
        count_loss(Loss::Event);
    }
    sent
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
