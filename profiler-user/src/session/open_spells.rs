//! Spells that are not over, when an interval or the recording ends.

use profiler_common::contract::process::PROCESS_PYTHON;
use profiler_common::contract::spell::{Reporting, ThreadSlot, thread_state};

use crate::ids::ProcessKey;
use crate::kernel::Kernel;
use crate::proc;
use crate::wire::decode::Spell;

/// Those of profiled processes, as far as they have lasted at `now_ns`.
pub(super) fn open_spells(kernel: &Kernel, reporting: &Reporting, now_ns: u64) -> Vec<Spell> {
    let slots: Vec<(u32, ThreadSlot)> = kernel.slots().collect();
    slots
        .into_iter()
        .filter_map(|(tid, slot)| open_spell(kernel, reporting, tid, slot, now_ns))
        .collect()
}

/// Says of each thread that is still there how long it was off its CPU, exactly: what tests compare with the program's own
/// clocks.
pub(super) fn log_totals(kernel: &Kernel) {
    if !log::log_enabled!(log::Level::Debug) {
        return;
    }
    for (tid, slot) in kernel.slots() {
        log::debug!(
            "thread {tid} of process {}: {} ns blocked, {} ns waiting for a CPU",
            slot.tgid,
            slot.blocked_ns,
            slot.waiting_ns
        );
    }
}

fn open_spell(
    kernel: &Kernel,
    reporting: &Reporting,
    tid: u32,
    slot: ThreadSlot,
    now_ns: u64,
) -> Option<Spell> {
    let was_seen = slot.state != thread_state::ENTERED;
    let sleeps = !was_seen && proc::stat(tid).is_ok_and(|stat| stat.state != 'R');
    let since_ns = if was_seen { 0 } else { kernel.watched_since_ns() };
    let lasted = slot.settled(sleeps).lasted(since_ns, now_ns)?;
    let process = ProcessKey {
        tgid: slot.tgid,
        incarnation: slot.incarnation,
    };
    let is_profiled = kernel.process(process)?.flags & PROCESS_PYTHON != 0;
    // Who has been woken since then was blocked until then.
    let blocked_ns = lasted.blocked_ns.min(now_ns.saturating_sub(lasted.out_ns));
    if !is_profiled || !slot.is_counted(lasted.total_ns(), reporting) {
        return None;
    }
    Some(Spell {
        process,
        tid,
        number: slot.spell,
        out_ns: lasted.out_ns,
        blocked_ns,
        waiting_ns: lasted.waiting_ns,
        odds: slot.odds,
        cpu: 0,
        comm: name_of_thread(tid),
    })
}

/// The kernel's name of a thread, NUL-padded; empty when it is gone.
pub(super) fn name_of_thread(tid: u32) -> [u8; 16] {
    let mut comm = [0; 16];
    let name = proc::stat(tid).map_or_else(|_| String::new(), |stat| stat.name);
    for (to, from) in comm.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    comm
}
