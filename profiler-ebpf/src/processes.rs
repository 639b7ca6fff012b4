//! What is known of processes: two maps, and their elements, which may be given to another process at any time.

use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use profiler_common::contract::process::{Incarnation, ProcessEntry, ProcessId};

/// tgid -> which process has it now. Replaced and removed here only, in fork, exec and exit (process context, never in an
/// interrupt); user space adds where there is none, and sets the size. Read by every sample, lock-free.
#[map]
static INCARNATIONS: HashMap<u32, Incarnation> = HashMap::with_max_entries(32_768, 0);

/// Process -> what user space found out about it. Written by user space, and here in fork, exec and exit; read by every
/// sample, lock-free. User space sets the size.
#[map]
static PROCESSES: HashMap<ProcessId, ProcessEntry> = HashMap::with_max_entries(8_192, 0);

/// Which process has this tgid now; its `tgid` is another one when the element was just given to another process.
#[inline(always)]
pub(crate) fn incarnation(tgid: u32) -> Option<Incarnation> {
    let element = INCARNATIONS.get_ptr(tgid)?;
    // SAFETY: the element's memory outlives the program run (RCU). Another CPU may write it meanwhile: all of it is read
    // before its tgid is.
    let mut found = unsafe { element.read_volatile() };
    // SAFETY: within the element.
    let tgid = unsafe { &raw const (*element).tgid };
    // SAFETY: as above.
    found.tgid = unsafe { tgid.read_volatile() };
    Some(found)
}

/// An element of [`PROCESSES`].
pub(crate) struct ProcessElement(*const ProcessEntry);

/// The element of a process.
#[inline(always)]
pub(crate) fn process(id: &ProcessId) -> Option<ProcessElement> {
    PROCESSES.get_ptr(*id).map(ProcessElement)
}

impl ProcessElement {
    /// `ProcessEntry::flags`.
    #[inline(always)]
    pub(crate) fn flags(&self) -> u32 {
        // SAFETY: within the element.
        let flags = unsafe { &raw const (*self.0).flags };
        // SAFETY: the element's memory outlives the program run (RCU).
        unsafe { flags.read_volatile() }
    }

    /// Copies all of it: whole, if [`Self::is_still`] says so afterwards.
    #[inline(always)]
    pub(crate) fn copy(&self, out: &mut ProcessEntry) {
        let (from, to) = (self.0.cast::<u64>(), core::ptr::from_mut(out).cast::<u64>());
        for word in 0..size_of::<ProcessEntry>() / 8 {
            // SAFETY: within the element.
            let from = unsafe { from.add(word) };
            // SAFETY: within `out`, which is as long.
            let to = unsafe { to.add(word) };
            // SAFETY: as in `flags`; its alignment is 8.
            let value = unsafe { from.read_volatile() };
            // SAFETY: any words are a `ProcessEntry`.
            unsafe { to.write(value) };
        }
    }

    /// Whether it is (still) that of this process.
    #[inline(always)]
    pub(crate) fn is_still(&self, id: &ProcessId) -> bool {
        // SAFETY: within the element.
        let tgid = unsafe { &raw const (*self.0).tgid };
        // SAFETY: within the element.
        let incarnation = unsafe { &raw const (*self.0).incarnation };
        // SAFETY: as in `flags`.
        let tgid = unsafe { tgid.read_volatile() };
        // SAFETY: as in `flags`.
        let incarnation = unsafe { incarnation.read_volatile() };
        tgid == id.tgid && incarnation == id.incarnation
    }
}
const _: () = assert!(size_of::<ProcessEntry>().is_multiple_of(8));

/// Says which process has a tgid from now on; `false` when the map is full.
#[inline(always)]
pub(crate) fn set_incarnation(incarnation: &Incarnation) -> bool {
    INCARNATIONS
        .insert(incarnation.tgid, incarnation, u64::from(BPF_ANY))
        .is_ok()
}

/// Enters a process; `false` when the map is full.
#[inline(always)]
pub(crate) fn set_process(entry: &ProcessEntry) -> bool {
    PROCESSES.insert(entry.id(), entry, u64::from(BPF_ANY)).is_ok()
}

/// Forgets a process; fails where nothing was known, or another CPU was faster, which is as good.
#[inline(always)]
pub(crate) fn forget_process(id: &ProcessId) {
    let _ = PROCESSES.remove(id);
}

/// Forgets which process has a tgid, as above.
#[inline(always)]
pub(crate) fn forget_incarnation(tgid: u32) {
    let _ = INCARNATIONS.remove(tgid);
}
