//! What is kept of each thread of profiled processes, for time off the CPU.
//!
//! Threads are entered and removed in process context only (fork, exec, exit, and by user space). A switch, with the run
//! queue locked, looks up and writes in place: it takes no lock of the map and allocates nothing.

use core::mem::offset_of;

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray};
use profiler_common::contract::losses::{Loss, LossWriter, loss_account};
use profiler_common::contract::spell::{Pace, ThreadSlot};

use crate::globals::WATCH_THREADS;
use crate::kernel::now_ns;
use crate::maps::{LOSSES, count};

/// Thread id -> what is kept of it. Sized by user space, one entry when time off the CPU is not asked for.
#[map]
static THREADS: HashMap<u32, ThreadSlot> = HashMap::with_max_entries(1, 0);

/// Slot 0: when time off the CPU began to be watched. Written by user space only.
#[map]
static SPELLS_SINCE: Array<u64> = Array::with_max_entries(1, 0);

/// Slot 0: how many walks of spells this CPU was asked for.
#[map]
static PACE: PerCpuArray<Pace> = PerCpuArray::with_max_entries(1, 0);

/// The slot of one thread.
pub(crate) struct Thread(*mut ThreadSlot);

/// The slot of a thread, if it has one.
#[inline(always)]
pub(crate) fn thread(tid: u32) -> Option<Thread> {
    THREADS.get_ptr_mut(tid).map(Thread)
}

impl Thread {
    /// What is kept of it, to be changed.
    #[inline(always)]
    pub(crate) fn slot(&mut self) -> &mut ThreadSlot {
        // SAFETY: the element's memory outlives the program run (RCU), and it is not given to another thread before this
        // one exits. Who calls this holds the lock of the thread's run queue: its switches and wake-ups come one by one.
        unsafe { &mut *self.0 }
    }
}

/// Takes note of a thread's user thread pointer; of one that has no slot, of nothing.
#[inline(always)]
pub(crate) fn set_thread_pointer(tid: u32, tgid: u32, thread_pointer: u64) {
    let Some(slot) = THREADS.get_ptr_mut(tid) else {
        return;
    };
    let field = |offset| slot.cast::<u8>().wrapping_add(offset);
    let owner = field(offset_of!(ThreadSlot, tgid)).cast::<u32>();
    let pointer = field(offset_of!(ThreadSlot, thread_pointer)).cast::<u64>();
    // SAFETY: as in `Thread::slot`, but without the lock: so only single fields are touched.
    let is_its_own = unsafe { owner.read_volatile() } == tgid;
    if is_its_own {
        // SAFETY: the same. Only an exec changes whose slot it is or gives the thread another pointer, and then the slot is
        // removed.
        unsafe { pointer.write_volatile(thread_pointer) };
    }
}

/// Takes note of a thread that may run from now on.
#[inline(always)]
pub(crate) fn enter(tid: u32, tgid: u32, incarnation: u64) {
    if WATCH_THREADS.load() == 0 {
        return;
    }
    let slot = ThreadSlot::entered(tgid, incarnation, now_ns());
    if THREADS.insert(tid, slot, u64::from(BPF_ANY)).is_err() {
        count(&LOSSES, loss_account(LossWriter::ProcessLife, Loss::Thread));
    }
}

/// Forgets a thread; fails where it was not known, which is as good.
#[inline(always)]
pub(crate) fn forget(tid: u32) {
    if WATCH_THREADS.load() != 0 {
        let _ = THREADS.remove(tid);
    }
}

/// When time off the CPU began to be watched, `CLOCK_MONOTONIC` nanoseconds.
#[inline(always)]
pub(crate) fn watched_since_ns() -> u64 {
    SPELLS_SINCE.get(0).copied().unwrap_or(0)
}

/// The odds with which a thread is walked on this CPU that asks for this: see [`ThreadSlot::take_walks`].
#[inline(always)]
pub(crate) fn odds(asked: u32, now_ns: u64) -> u32 {
    let Some(pace) = PACE.get_ptr_mut(0) else {
        return 0;
    };
    // SAFETY: the kernel returned a live value of this type; no other program uses it, and this one runs with interrupts off.
    let pace = unsafe { &mut *pace };
    pace.odds(asked, now_ns)
}
