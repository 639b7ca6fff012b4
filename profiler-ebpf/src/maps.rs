//! Every map: who writes it, who reads it, and why it has its size.

use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::BPF_ANY;
use aya_ebpf::helpers::generated::bpf_ringbuf_output;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, PerCpuArray, ProgramArray, RingBuf};
use profiler_common::contract::benchmark::{BUCKETS, Timed};
use profiler_common::contract::layout::Layout;
use profiler_common::contract::process::ProcessEntry;
use profiler_common::contract::records::{
    CodeDefinition, KernelStack, NativeBlock, ProcessRecord, SampleBlock,
};
use profiler_common::contract::unwind::{Block, Mapping, ROWS_PER_PAGE};
use profiler_common::walker::native::NativeScratch;
use profiler_common::walker::python::Scratch;

/// tgid -> process. Written by user space, and here in fork, exec and exit (process context, never in an
/// interrupt); read by every sample, lock-free. User space sets the size: `MAX_PROCESSES` in its `recorder`.
#[map]
pub(crate) static PROCESSES: HashMap<u32, ProcessEntry> = HashMap::with_max_entries(32_768, 0);

/// Layout index -> layout. Written by user space only, before an entry that uses the index.
#[map]
pub(crate) static LAYOUTS: Array<Layout> = Array::with_max_entries(256, 0);

/// Samples and code definitions, to user space. Sized by user space from CPUs and rate.
#[map]
pub(crate) static SAMPLES: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Process life, to user space: apart from the samples so that it survives their overload.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// `Outcome` code -> interrupts on this CPU that ended so. Written here, summed by user space.
#[map]
pub(crate) static OUTCOMES: PerCpuArray<u64> = PerCpuArray::with_max_entries(16, 0);

/// `Loss` index -> records other than samples that were lost on this CPU.
#[map]
pub(crate) static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(4, 0);

/// Slot 0: interrupts taken on this CPU.
#[map]
pub(crate) static INTERRUPTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

/// Working memory of the walk on this CPU.
#[map]
pub(crate) static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// The block being filled on this CPU.
#[map]
pub(crate) static BLOCK: PerCpuArray<SampleBlock> = PerCpuArray::with_max_entries(1, 0);

/// The definition being filled on this CPU.
#[map]
pub(crate) static DEFINITION: PerCpuArray<CodeDefinition> = PerCpuArray::with_max_entries(1, 0);

/// The process record being filled on this CPU.
#[map]
pub(crate) static PROCESS_RECORD: PerCpuArray<ProcessRecord> = PerCpuArray::with_max_entries(1, 0);

/// Slots of [`SEEN`]; 128 KiB on each CPU.
pub(crate) const SEEN_SLOTS: u32 = 16_384;

/// Fingerprints of code objects whose definition this CPU has sent. Direct-mapped and private to the CPU, so it
/// needs no lock; a collision costs one more definition.
#[map]
pub(crate) static SEEN: PerCpuArray<u64> = PerCpuArray::with_max_entries(SEEN_SLOTS, 0);

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

/// Working memory of the native unwinder on this CPU.
#[map]
pub(crate) static NATIVE_SCRATCH: PerCpuArray<NativeScratch> = PerCpuArray::with_max_entries(1, 0);

/// The native block being filled on this CPU.
#[map]
pub(crate) static NATIVE_BLOCK: PerCpuArray<NativeBlock> = PerCpuArray::with_max_entries(1, 0);

/// The kernel stack being filled on this CPU.
#[map]
pub(crate) static KERNEL_STACK: PerCpuArray<KernelStack> = PerCpuArray::with_max_entries(1, 0);

/// Histograms of run time, see [`profiler_common::contract::benchmark`].
#[map]
pub(crate) static SELF_TIME: PerCpuArray<u64> =
    PerCpuArray::with_max_entries(BUCKETS * Timed::ALL.len() as u32, 0);

/// Stage -> program, see [`Stage`].
#[map]
pub(crate) static STAGES: ProgramArray = ProgramArray::with_max_entries(4, 0);

/// Programs that continue a sample.
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Stage {
    /// `walk_python`.
    Walk = 0,
    /// `define_code`.
    Define = 1,
    /// `start_native`.
    StartNative = 2,
    /// `walk_native`.
    WalkNative = 3,
}

/// Rows of [`LOSSES`].
#[derive(Clone, Copy)]
#[repr(u32)]
pub(crate) enum Loss {
    /// A code definition: the ring was full. It is sent again with the next sample that shows the code.
    Definition = 0,
    /// A process event: the ring was full.
    Event = 1,
    /// A forked child was not entered: `PROCESSES` was full.
    Process = 2,
    /// Native frames of a sample: the ring was full.
    Native = 3,
}

/// Adds one to slot `index` of a per-CPU counter.
#[inline(always)]
pub(crate) fn count(counters: &'static PerCpuArray<u64>, index: u32) {
    if let Some(slot) = slot(counters, index) {
        *slot += 1;
    }
}

/// This CPU's value in slot `index`.
///
/// Exclusive because each map is used by one event source only: a program is not interrupted on its CPU by another
/// run of the same source, and the stages of one sample follow each other.
#[inline(always)]
#[expect(
    clippy::mut_from_ref,
    reason = "a map is shared with the kernel; see above for exclusiveness"
)]
pub(crate) fn slot<T>(map: &'static PerCpuArray<T>, index: u32) -> Option<&'static mut T> {
    let value = map.get_ptr_mut(index)?;
    // SAFETY: the kernel returned a live value of this type and size; see above for exclusiveness.
    Some(unsafe { &mut *value })
}

/// The entry of a process.
#[inline(always)]
pub(crate) fn process(tgid: u32) -> Option<&'static ProcessEntry> {
    // SAFETY: entries are only ever replaced whole, and their memory outlives the program run (RCU).
    unsafe { PROCESSES.get(tgid) }
}

/// Enters or replaces a process; `false` when the map is full.
#[inline(always)]
pub(crate) fn insert_process(tgid: u32, entry: &ProcessEntry) -> bool {
    PROCESSES.insert(tgid, entry, u64::from(BPF_ANY)).is_ok()
}

/// Continues with another program; returns only when the kernel refuses.
#[inline(always)]
pub(crate) fn tail_call<C: EbpfContext>(context: &C, stage: Stage) {
    // SAFETY: user space fills the array with programs of the caller's type.
    unsafe { STAGES.tail_call(context, stage as u32) };
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
