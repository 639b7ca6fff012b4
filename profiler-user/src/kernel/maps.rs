//! What maps hold, and how they are taken out of the loaded object.
#![expect(unsafe_code, reason = "`aya::Pod` is vouched for by `zerocopy`")]

use aya::Ebpf;
use aya::maps::{Array, HashMap, MapData, MapError, PerCpuArray};
use profiler_common::contract::process::{Incarnation, ProcessEntry, ProcessId};
use profiler_common::contract::spell::ThreadSlot;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::error::LoadError;

/// A value of the contract, as what a map holds.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Plain<T>(pub(super) T);

// SAFETY: the compiler has proved that `T` is nothing but bytes, without padding, and that any bytes are a `T`.
unsafe impl<T: Copy + FromBytes + IntoBytes + Immutable + 'static> aya::Pod for Plain<T> {}

/// Takes a map out of the object.
pub(super) fn take<M: TryFrom<aya::maps::Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<M, LoadError> {
    let map = ebpf.take_map(name).ok_or(LoadError::Map {
        name,
        source: MapError::KeyNotFound,
    })?;
    M::try_from(map).map_err(|source| LoadError::Map { name, source })
}

/// The two maps of processes.
pub(super) struct ProcessMaps {
    pub(super) incarnations: HashMap<MapData, u32, Plain<Incarnation>>,
    pub(super) processes: HashMap<MapData, Plain<ProcessId>, Plain<ProcessEntry>>,
}

impl ProcessMaps {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            incarnations: take(ebpf, "INCARNATIONS")?,
            processes: take(ebpf, "PROCESSES")?,
        })
    }
}

/// What is kept of threads.
pub(super) struct ThreadMaps {
    pub(super) threads: HashMap<MapData, u32, Plain<ThreadSlot>>,
    pub(super) since: Array<MapData, u64>,
    pub(super) times: PerCpuArray<MapData, u64>,
    /// Whether anything is.
    pub(super) are_watched: bool,
    /// Threads for which there was no room.
    pub(super) refused: u64,
    /// Threads that were entered by user space.
    pub(super) entered: u64,
    /// How many of them there were when their stacks were looked for last.
    pub(super) looked_for: u64,
}

impl ThreadMaps {
    pub(super) fn take(ebpf: &mut Ebpf, are_watched: bool) -> Result<Self, LoadError> {
        Ok(Self {
            threads: take(ebpf, "THREADS")?,
            since: take(ebpf, "SPELLS_SINCE")?,
            times: take(ebpf, "SPELL_TIME")?,
            are_watched,
            refused: 0,
            entered: 0,
            looked_for: 0,
        })
    }
}

/// The maps of counters.
pub(super) struct Accounts {
    pub(super) outcomes: PerCpuArray<MapData, u64>,
    pub(super) weights: PerCpuArray<MapData, u64>,
    pub(super) losses: PerCpuArray<MapData, u64>,
    pub(super) interrupts: PerCpuArray<MapData, u64>,
    pub(super) self_time: PerCpuArray<MapData, u64>,
    pub(super) walks: PerCpuArray<MapData, u64>,
}

impl Accounts {
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<Self, LoadError> {
        Ok(Self {
            outcomes: take(ebpf, "OUTCOMES")?,
            weights: take(ebpf, "WEIGHTS")?,
            losses: take(ebpf, "LOSSES")?,
            interrupts: take(ebpf, "INTERRUPTS")?,
            self_time: take(ebpf, "SELF_TIME")?,
            walks: take(ebpf, "WALKS")?,
        })
    }
}
