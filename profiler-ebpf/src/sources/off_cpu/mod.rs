//! Time off the CPU: what a thread is doing when it leaves its CPU, and how long it stays away. See
//! [`profiler_common::contract::spell`].
//!
//! In the switch the thread that leaves is still the current one, with its memory readable: its stack is walked here. How
//! long it stays away is known only when it is the one that comes, and user space joins the two. The run queue is locked:
//! nothing here may wake anybody (the kernel defers the ring's wake-ups), change the size of a map, or take long for threads
//! that are not profiled.

mod find;
mod spell;

use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use profiler_common::contract::programs::{SWITCH, WAKE, is_same};
use profiler_common::contract::sources::Source;

use crate::chains::RawTracepointChain;
use crate::globals::{TASK_PID, TASK_TGID};
use crate::kernel::{current_ids, now_ns, random};
use crate::memory::kernel_field;
use crate::registers::system_call;
use crate::sources::{Departure, Occurrence, sample};
use crate::threads::{Thread, thread};

/// `sched_switch(preempt, previous, next, ...)`.
#[raw_tracepoint(tracepoint = "sched_switch")]
pub(crate) fn sample_off_cpu(context: RawTracePointContext) -> i32 {
    let next: u64 = context.arg(2);
    let next_tid = kernel_field(next, TASK_PID.load(), 0u32);
    let (tgid, tid) = current_ids();
    let (coming, leaving) = (found(next_tid), found(tid));
    // Threads that are not profiled cost no more than that.
    if coming.is_none() && leaving.is_none() {
        return 0;
    }
    let (time_ns, random) = (now_ns(), random());
    if let Some(mut thread) = coming
        && thread.slot().tgid == kernel_field(next, TASK_TGID.load(), 0u32)
    {
        spell::end(thread.slot(), next_tid, next, time_ns, random);
    }
    if let Some(mut thread) = leaving
        && thread.slot().tgid == tgid
    {
        let was_preempted = context.arg::<u64>(0) != 0;
        // Each draw has half of the number.
        if spell::begin(thread.slot(), was_preempted, time_ns, random >> 16) {
            let occurrence = Occurrence {
                source: Source::OffCpu,
                time_ns,
                weight: 0,
                departure: Departure {
                    spell: thread.slot().spell,
                    call: system_call(),
                },
            };
            sample::<RawTracepointChain>(&context, &occurrence);
        }
    }
    0
}

/// The slot of a thread that has one. The idle tasks have the id 0.
#[inline(always)]
fn found(tid: u32) -> Option<Thread> {
    if tid == 0 { None } else { thread(tid) }
}

/// `sched_wakeup(task)`: it is in line for a CPU. By whoever wakes it, with the lock of its run queue.
#[raw_tracepoint(tracepoint = "sched_wakeup")]
pub(crate) fn thread_woken(context: RawTracePointContext) -> i32 {
    let task: u64 = context.arg(0);
    let tid = kernel_field(task, TASK_PID.load(), 0u32);
    if let Some(mut thread) = thread(tid) {
        spell::wake(thread.slot());
    }
    0
}

// User space finds both by these names.
const _: () = {
    assert!(is_same(Source::OffCpu.program(), "sample_off_cpu"));
    assert!(is_same(SWITCH.program, "sample_off_cpu"));
    assert!(is_same(WAKE.program, "thread_woken"));
};
