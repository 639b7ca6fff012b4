//! The maps that all programs share: who writes each, who reads it, and why it has its size. The working memory of the
//! stages is in [`crate::working`], processes are in [`crate::processes`].

use aya_ebpf::bindings::BPF_RB_AVAIL_DATA;
use aya_ebpf::helpers::generated::{bpf_ringbuf_output, bpf_ringbuf_query};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
use profiler_common::contract::benchmark::{BUCKETS, Timed, Walks};
use profiler_common::contract::definitions::{BUDGETS, DefinitionBudget};
use profiler_common::contract::layout::Layout;
use profiler_common::contract::losses::LOSS_ACCOUNTS;
use profiler_common::contract::period::CpuPeriod;
use profiler_common::contract::records::ProcessRecord;
use profiler_common::contract::sources::{ACCOUNTS, Source};
use profiler_common::contract::spell::SpellTime;
use profiler_common::contract::unwind::{Block, Mapping, ROWS_PER_PAGE};

/// Layout index -> layout. Written by user space only, before an entry that uses the index.
#[map]
pub(crate) static LAYOUTS: Array<Layout> = Array::with_max_entries(256, 0);

/// Samples and code definitions, to user space. Sized by user space from CPUs and rate.
#[map]
pub(crate) static SAMPLES: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Process life, to user space: apart from the samples so that it survives their overload.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// `sources::account` -> interrupts on this CPU that ended so. Written here, summed by user space; so are the next three.
#[map]
pub(crate) static OUTCOMES: PerCpuArray<u64> = PerCpuArray::with_max_entries(ACCOUNTS, 0);

/// `sources::account` -> what those interrupts weighed; `sources::gap_account` -> time that no program is charged with.
#[map]
pub(crate) static WEIGHTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(ACCOUNTS, 0);

/// `Source` code -> interrupts taken on this CPU.
#[map]
pub(crate) static INTERRUPTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Source::ALL.len() as u32, 0);

/// `losses::loss_account` -> records other than samples that were lost on this CPU.
#[map]
pub(crate) static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(LOSS_ACCOUNTS, 0);

/// `SpellTime` -> nanoseconds that profiled threads spent so, added up by the CPU that they came to.
#[map]
pub(crate) static SPELL_TIME: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(SpellTime::ALL.len() as u32, 0);

/// CPU -> the periods that are possible on it. Written by user space only, which sets the size: possible CPUs.
#[map]
pub(crate) static PERIODS: Array<CpuPeriod> = Array::with_max_entries(1, 0);

/// Slot 0: time of the last interrupt of the CPU clock on this CPU.
#[map]
pub(crate) static PREVIOUS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// The process record being filled on this CPU, see [`crate::working`].
#[map]
pub(crate) static PROCESS_RECORD: PerCpuArray<ProcessRecord> = PerCpuArray::with_max_entries(1, 0);

/// Slots of [`SEEN`]; 128 KiB on each CPU.
pub(crate) const SEEN_SLOTS: u32 = 16_384;

/// Fingerprints of code objects whose definition this CPU has sent. Direct-mapped and private to the CPU, so it
/// needs no lock; a collision costs one more definition.
#[map]
pub(crate) static SEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(SEEN_SLOTS, 0);

/// What this CPU has sent of each process. Two programs that interrupt each other may both write a budget: then one of them
/// sent for free.
#[map]
pub(crate) static BUDGET: PerCpuArray<DefinitionBudget> = PerCpuArray::with_max_entries(BUDGETS, 0);

/// Slots of [`IDENTITIES`]; 64 KiB on each CPU.
pub(crate) const IDENTITY_SLOTS: u32 = 4_096;

/// Identities of code objects that this CPU has read, each with a fingerprint of its address and context, folded with the
/// identity: one word that is written without the other fits nothing, so no lock is needed among programs that interrupt
/// each other. Direct-mapped; a collision costs one more read.
#[map]
pub(crate) static IDENTITIES: PerCpuArray<[u64; 2]> = PerCpuArray::with_max_entries(IDENTITY_SLOTS, 0);

/// Fingerprints of unknown processes already reported by this CPU.
#[map]
pub(crate) static ASKED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1_024, 0);

/// Executable mappings of profiled processes: one list after the other, each sorted. Written by user space only; so are
/// the next two. Sized by user space, one entry when native frames are not asked for.
#[map]
pub(crate) static MAPPINGS: Array<Mapping> = Array::with_max_entries(1, 0);

/// Directories of unwind tables: each file's blocks in order.
#[map]
pub(crate) static BLOCKS: Array<Block> = Array::with_max_entries(1, 0);

/// Pages of unwind tables: rows, see [`profiler_common::contract::unwind::Row`].
#[map]
pub(crate) static ROWS: Array<[u64; ROWS_PER_PAGE]> = Array::with_max_entries(1, 0);

/// Histograms of run time, see [`profiler_common::contract::benchmark`].
#[map]
pub(crate) static SELF_TIME: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(BUCKETS * Timed::ALL.len() as u32, 0);

/// Walked blocks, see [`Walks`]; by benchmarks only.
#[map]
pub(crate) static WALKS: PerCpuArray<u64> = PerCpuArray::with_max_entries(Walks::ALL.len() as u32, 0);

/// Adds one to slot `index` of a per-CPU counter.
#[inline(always)]
pub(crate) fn count(counters: &'static PerCpuArray<u64>, index: u32) {
    add(counters, index, 1);
}

/// Adds to slot `index` of a per-CPU counter.
#[inline(always)]
pub(crate) fn add(counters: &'static PerCpuArray<u64>, index: u32, amount: u64) {
    if let Some(slot) = counters.get_ptr_mut(index) {
        // SAFETY: the kernel returned a live value; no reference to it exists.
        let before = unsafe { slot.read() };
        // SAFETY: as above.
        unsafe { slot.write(before.wrapping_add(amount)) };
    }
}

/// Puts `value` into slot `index` on this CPU and returns what was there; `None` when there is no such slot.
#[inline(always)]
pub(crate) fn replace<T: Copy>(values: &'static PerCpuArray<T>, index: u32, value: T) -> Option<T> {
    let slot = values.get_ptr_mut(index)?;
    // SAFETY: the kernel returned a live value; no other reference to it exists, here or elsewhere.
    Some(unsafe { slot.replace(value) })
}

/// Slot `index` on this CPU.
#[inline(always)]
pub(crate) fn read<T: Copy>(values: &'static PerCpuArray<T>, index: u32) -> Option<T> {
    let slot = values.get_ptr(index)?;
    // SAFETY: the kernel returned a live value; no other reference to it exists, here or elsewhere.
    Some(unsafe { slot.read() })
}

/// Copies the first `bytes` bytes of `record` into a ring; `false` when it is full. The verifier proves that `bytes`
/// stays within the record.
#[inline(always)]
pub(crate) fn output<T>(ring: &'static RingBuf, record: &mut T, bytes: u64, flags: u32) -> bool {
    let ring = core::ptr::from_ref(ring).cast_mut().cast();
    // SAFETY: the record is live for `bytes` bytes, which the verifier checks.
    let status =
        unsafe { bpf_ringbuf_output(ring, core::ptr::from_mut(record).cast(), bytes, u64::from(flags)) };
    status == 0
}

/// Bytes in a ring that user space has not read.
#[inline(always)]
pub(crate) fn unread_bytes(ring: &'static RingBuf) -> u64 {
    let ring = core::ptr::from_ref(ring).cast_mut().cast();
    // SAFETY: the ring is live for as long as the program.
    unsafe { bpf_ringbuf_query(ring, u64::from(BPF_RB_AVAIL_DATA)) }
}
