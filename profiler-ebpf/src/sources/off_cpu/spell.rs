//! The beginning and the end of one spell, in the slot of its thread.

use aya_ebpf::bindings::BPF_RB_NO_WAKEUP;
use profiler_common::contract::losses::Loss;
use profiler_common::contract::process::{PROCESS_PYTHON, ProcessId};
use profiler_common::contract::reasons::Outcome;
use profiler_common::contract::records::{SpellRecord, record_kind};
use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::{Lasted, SpellTime, ThreadSlot, is_drawn, thread_state};

use crate::accounts;
use crate::chains::{Chain as _, RawTracepointChain};
use crate::globals::{TASK_COMM, TASK_STATE, TASK_THREAD_POINTER, reporting};
use crate::kernel::{cpu, current_task, now_ns};
use crate::maps::{SAMPLES, SPELL_TIME, add, output};
use crate::memory::{kernel_field, read_kernel};
use crate::processes::process;
use crate::threads::{odds, watched_since_ns};

/// The current thread leaves its CPU; `true` when its stack is to be walked. `random` is any number.
#[inline(always)]
pub(super) fn begin(slot: &mut ThreadSlot, was_preempted: bool, now_ns: u64, random: u32) -> bool {
    let task = current_task();
    // As the thread itself has set it. Who wakes it meanwhile may change it, but not to 0 before the switch is over.
    let state = kernel_field(task, TASK_STATE.load(), 0u32);
    slot.state = if state != 0 && !was_preempted {
        thread_state::BLOCKED
    } else {
        thread_state::READY
    };
    if slot.thread_pointer == 0 {
        slot.thread_pointer = kernel_field(task, TASK_THREAD_POINTER.load(), 0u64);
    }
    slot.spell = slot.spell.wrapping_add(1);
    let odds = odds(slot.take_walks(now_ns), now_ns);
    slot.out_ns = now_ns;
    slot.woken_ns = 0;
    if is_drawn(odds, random) {
        slot.odds = odds;
        return true;
    }
    slot.odds = 0;
    accounts::open(Source::OffCpu);
    accounts::close(Source::OffCpu.code(), Outcome::Thinned, 0);
    false
}

/// A thread was woken.
#[inline(always)]
pub(super) fn wake(slot: &mut ThreadSlot) {
    if matches!(slot.state, thread_state::BLOCKED | thread_state::ENTERED) && slot.woken_ns == 0 {
        slot.woken_ns = now_ns();
    }
}

/// The thread `task` gets a CPU. `random` is any number.
#[inline(always)]
pub(super) fn end(slot: &mut ThreadSlot, tid: u32, task: u64, now_ns: u64, random: u32) {
    let since_ns = if slot.state == thread_state::ENTERED {
        watched_since_ns()
    } else {
        0
    };
    let Some(lasted) = slot.lasted(since_ns, now_ns) else {
        return;
    };
    let total_ns = lasted.total_ns();
    let reporting = reporting();
    let is_counted = slot.is_counted(total_ns, &reporting);
    slot.state = thread_state::ON_CPU;
    slot.blocked_ns = slot.blocked_ns.wrapping_add(lasted.blocked_ns);
    slot.waiting_ns = slot.waiting_ns.wrapping_add(lasted.waiting_ns);
    add(&SPELL_TIME, SpellTime::Blocked as u32, lasted.blocked_ns);
    add(&SPELL_TIME, SpellTime::Waiting as u32, lasted.waiting_ns);
    if is_counted && reporting.is_reported(total_ns, random) {
        report(slot, tid, task, &lasted);
    }
}

/// Tells user space how long it was.
#[inline(always)]
fn report(slot: &ThreadSlot, tid: u32, task: u64, lasted: &Lasted) {
    let is_profiled = process(&ProcessId::new(slot.tgid, slot.incarnation))
        .is_some_and(|element| element.flags() & PROCESS_PYTHON != 0);
    if !is_profiled {
        return;
    }
    let mut record = SpellRecord {
        kind: record_kind::SPELL,
        pad: 0,
        tgid: slot.tgid,
        tid,
        spell: slot.spell,
        incarnation: slot.incarnation,
        out_ns: lasted.out_ns,
        blocked_ns: lasted.blocked_ns,
        waiting_ns: lasted.waiting_ns,
        odds: slot.odds,
        cpu: cpu(),
        comm: [0; 16],
    };
    read_kernel(task, TASK_COMM.load(), &mut record.comm);
    let bytes = size_of::<SpellRecord>() as u64;
    if !output(&SAMPLES, &mut record, bytes, BPF_RB_NO_WAKEUP) {
        RawTracepointChain::count_loss(Loss::Spell);
    }
}
