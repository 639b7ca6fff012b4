//! Loads the kernel half, attaches it, and gives typed access to its maps and rings.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, PerCpuArray, ProgramArray};
use aya::programs::{PerfEvent, Program, ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use profiler_common::contract::benchmark::{BUCKETS, Timed};
use profiler_common::contract::layout::Layout;
use profiler_common::contract::losses::{Loss, LossWriter, loss_account};
use profiler_common::contract::modes::{Switch, native_mode};
use profiler_common::contract::period::CpuPeriod;
use profiler_common::contract::process::ProcessEntry;
use profiler_common::contract::programs::{
    CGROUP, EXEC, EXIT, FLOOR, FORK, ProgramType, RAW_SAMPLE, RENAME, Stage,
};
use profiler_common::contract::reasons::Outcome;
use profiler_common::contract::sources::{Source, account, gap_account};

use crate::ids::ProcessKey;

use super::btf::Btf;
use super::error::LoadError;
use super::kernel_fields;
use super::maps::{Plain, take};
use super::options::{NO_TABLES, Native, Options};
use super::ring::{Ring, Rings};
use super::unwind_maps::UnwindMaps;

/// The kernel half, compiled by `build.rs`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pyebpf-bpf"));

/// The loaded kernel half. Dropping it detaches everything.
pub struct Kernel {
    ebpf: Ebpf,
    processes: HashMap<MapData, u32, Plain<ProcessEntry>>,
    layouts: Array<MapData, Plain<Layout>>,
    known_layouts: Vec<Layout>,
    outcomes: PerCpuArray<MapData, u64>,
    weights: PerCpuArray<MapData, u64>,
    periods: Array<MapData, Plain<CpuPeriod>>,
    losses: PerCpuArray<MapData, u64>,
    interrupts: PerCpuArray<MapData, u64>,
    self_time: PerCpuArray<MapData, u64>,
    unwind_maps: UnwindMaps,
    _stages: Vec<ProgramArray<MapData>>,
}

/// What one program cost to verify and to run.
#[derive(Clone, Debug)]
pub struct ProgramCost {
    /// Its name.
    pub name: String,
    /// Instructions the verifier walked through; 0 when the kernel (< 5.16) does not say.
    pub verified_instructions: u32,
    /// Bytes after translation.
    pub translated_bytes: u32,
    /// Time spent in it, programs that it chained to included; 0 unless `kernel.bpf_stats_enabled` is set.
    pub run_time: Duration,
    /// How often it was started; as above.
    pub runs: u64,
}

impl Kernel {
    /// Loads and verifies every program, and attaches the process tracepoints. No sample is taken yet.
    ///
    /// # Errors
    /// [`LoadError`]; nothing stays attached.
    pub fn load(options: &Options) -> Result<(Self, Rings), LoadError> {
        let fields = kernel_fields::resolve(&Btf::of_running_kernel()?)?;
        raise_memlock_limit();
        let mut loader = EbpfLoader::new();
        // The log makes verification many times slower; `RUST_LOG=debug` shows why a program was refused.
        let debug = log::log_enabled!(log::Level::Debug);
        loader.verifier_log_level(if debug {
            VerifierLogLevel::STATS
        } else {
            VerifierLogLevel::DISABLE
        });
        for (global, offset) in &fields {
            loader.override_global(global, offset, true);
        }
        let all = u32::from(options.all_processes);
        let measure = u32::from(options.measure_self);
        let ring_eighth = (options.sample_ring_bytes / 8).max(1).ilog2();
        let (native, room) = match options.native {
            Native::None => (native_mode::NONE, NO_TABLES),
            Native::Kernel => (native_mode::KERNEL, NO_TABLES),
            Native::User(room) => (native_mode::USER, room),
        };
        for sampled in &options.sources {
            if let Some(global) = sampled.source.period_global() {
                loader.override_global(global, &sampled.period, true);
            }
        }
        loader
            .override_global(Switch::ReportUnknown.global(), &all, true)
            .override_global(Switch::ReportAllProcesses.global(), &all, true)
            .override_global(Switch::MeasureSelf.global(), &measure, true)
            .override_global(Switch::Native.global(), &native, true)
            .override_global(Switch::RingEighth.global(), &ring_eighth, true)
            .map_max_entries("MAPPINGS", room.mappings)
            .map_max_entries("BLOCKS", room.blocks)
            .map_max_entries("ROWS", room.row_pages)
            .map_max_entries("PERIODS", possible_cpus())
            .map_max_entries("SAMPLES", options.sample_ring_bytes)
            .map_max_entries("PROCESSES", options.max_processes);
        let mut ebpf = loader.load(OBJECT)?;
        let mut stages = vec![load_stages::<PerfEvent>(
            &mut ebpf,
            ProgramType::PerfEvent,
            native,
            PerfEvent::load,
        )?];
        for sampled in &options.sources {
            load_program(&mut ebpf, sampled.source.program(), PerfEvent::load)?;
        }
        if options.measure_self {
            stages.push(load_stages::<RawTracePoint>(
                &mut ebpf,
                ProgramType::RawTracepoint,
                native,
                RawTracePoint::load,
            )?);
            load_program(&mut ebpf, FLOOR, PerfEvent::load)?;
            load_program(&mut ebpf, RAW_SAMPLE, RawTracePoint::load)?;
        }
        attach_tracepoints(&mut ebpf, options)?;
        let rings = Rings {
            samples: Ring::new(take(&mut ebpf, "SAMPLES")?),
            events: Ring::new(take(&mut ebpf, "EVENTS")?),
        };
        let kernel = Self {
            processes: take(&mut ebpf, "PROCESSES")?,
            layouts: take(&mut ebpf, "LAYOUTS")?,
            known_layouts: Vec::new(),
            outcomes: take(&mut ebpf, "OUTCOMES")?,
            weights: take(&mut ebpf, "WEIGHTS")?,
            periods: take(&mut ebpf, "PERIODS")?,
            losses: take(&mut ebpf, "LOSSES")?,
            interrupts: take(&mut ebpf, "INTERRUPTS")?,
            self_time: take(&mut ebpf, "SELF_TIME")?,
            unwind_maps: UnwindMaps::take(&mut ebpf)?,
            _stages: stages,
            ebpf,
        };
        Ok((kernel, rings))
    }

    /// The program that the events of a source start.
    ///
    /// # Errors
    /// [`LoadError::Program`] unless loaded with this source.
    pub fn program_fd(&mut self, source: Source) -> Result<BorrowedFd<'_>, LoadError> {
        self.perf_event_fd(source.program())
    }

    /// The yardstick program, which does the sampler's reads and nothing else (benchmarks).
    ///
    /// # Errors
    /// [`LoadError::Program`] unless loaded with `measure_self`.
    pub fn floor_fd(&mut self) -> Result<BorrowedFd<'_>, LoadError> {
        self.perf_event_fd(FLOOR)
    }

    fn perf_event_fd(&mut self, name: &'static str) -> Result<BorrowedFd<'_>, LoadError> {
        let program = program::<PerfEvent>(&mut self.ebpf, name)?;
        let fd = program
            .fd()
            .map_err(|source| LoadError::Program { name, source })?;
        Ok(fd.as_fd())
    }

    /// Says which periods are possible on a CPU; before one is set that is longer than those said before.
    ///
    /// # Errors
    /// [`LoadError::Map`] for a CPU that the machine cannot have.
    pub fn set_period(&mut self, cpu: u32, period: CpuPeriod) -> Result<(), LoadError> {
        let name = "PERIODS";
        self.periods
            .set(cpu, Plain(period), 0)
            .map_err(|source| LoadError::Map { name, source })
    }

    /// Run times that the programs measured of themselves, summed over CPUs: bucket `n` counts runs of `n` to `n + 1`
    /// times [`profiler_common::contract::benchmark::BUCKET_NS`] nanoseconds. All zero unless loaded with `measure_self`.
    #[must_use]
    pub fn self_time(&self, row: Timed) -> Vec<u64> {
        (0..BUCKETS)
            .map(|bucket| sum(&self.self_time, row as u32 * BUCKETS + bucket))
            .collect()
    }

    /// Makes a layout known and returns its index.
    ///
    /// # Errors
    /// [`LoadError::Map`] when the map is full (256 layouts).
    pub fn layout_index(&mut self, layout: &Layout) -> Result<u32, LoadError> {
        let known = self.known_layouts.iter().position(|known| known == layout);
        let index = known.unwrap_or(self.known_layouts.len());
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        if known.is_none() {
            self.layouts
                .set(index, Plain(*layout), 0)
                .map_err(|source| LoadError::Map {
                    name: "LAYOUTS",
                    source,
                })?;
            self.known_layouts.push(*layout);
        }
        Ok(index)
    }

    /// The layout with this index.
    #[must_use]
    pub fn layout(&self, index: u32) -> Option<&Layout> {
        self.known_layouts.get(index as usize)
    }

    /// Starts or changes the profiling of a process.
    ///
    /// # Errors
    /// [`LoadError::Map`] when the map is full.
    pub fn set_process(&mut self, tgid: u32, entry: &ProcessEntry) -> Result<(), LoadError> {
        self.processes
            .insert(tgid, Plain(*entry), 0)
            .map_err(|source| LoadError::Map {
                name: "PROCESSES",
                source,
            })
    }

    /// Changes the entry of a process, if it is still the one meant.
    ///
    /// # Errors
    /// [`LoadError::Map`] when the kernel refuses; a process that has ended or executed another program is no error.
    pub fn change_process(
        &mut self,
        key: ProcessKey,
        change: impl FnOnce(&mut ProcessEntry),
    ) -> Result<(), LoadError> {
        let tgid = key.tgid;
        let Some(mut entry) = self
            .process(tgid)
            .filter(|entry| entry.incarnation == key.incarnation)
        else {
            return Ok(());
        };
        change(&mut entry);
        // Only where an entry is: an exec in between has removed it.
        let only_existing = 2; // BPF_EXIST
        match self.processes.insert(tgid, Plain(entry), only_existing) {
            Err(source) if self.process(tgid).is_some() => Err(LoadError::Map {
                name: "PROCESSES",
                source,
            }),
            _ => Ok(()),
        }
    }

    /// What the kernel half knows about a process.
    #[must_use]
    pub fn process(&self, tgid: u32) -> Option<ProcessEntry> {
        self.processes.get(&tgid, 0).ok().map(|Plain(entry)| entry)
    }

    /// Stops the profiling of a process. One that is already gone is no error.
    pub fn remove_process(&mut self, tgid: u32) {
        if let Err(error) = self.processes.remove(&tgid) {
            log::trace!("process {tgid} was already removed: {error}");
        }
    }

    /// The unwind tables.
    pub fn unwind_maps(&mut self) -> &mut UnwindMaps {
        &mut self.unwind_maps
    }

    /// Interrupts of a source taken so far: runs of its program.
    #[must_use]
    pub fn interrupts(&self, source: Source) -> u64 {
        sum(&self.interrupts, source.code().into())
    }

    /// Interrupts of a source by outcome, in the order of [`Outcome::ALL`]; they add up to [`Self::interrupts`].
    #[must_use]
    pub fn outcomes(&self, source: Source) -> Vec<(Outcome, u64)> {
        by_outcome(&self.outcomes, source)
    }

    /// What those interrupts weighed, in the unit of the source, in the order of [`Outcome::ALL`].
    #[must_use]
    pub fn weights(&self, source: Source) -> Vec<(Outcome, u64)> {
        by_outcome(&self.weights, source)
    }

    /// Time that interrupts of a source found passed but that no program is charged with, nanoseconds: with
    /// [`Self::weights`] all the time from the first period set on each CPU to its last interrupt.
    #[must_use]
    pub fn gaps_ns(&self, source: Source) -> u64 {
        sum(&self.weights, gap_account(source.code()))
    }

    /// Records lost, in the order of [`Loss::ALL`].
    #[must_use]
    pub fn losses(&self) -> Vec<(Loss, u64)> {
        let of = |loss| {
            let writers = LossWriter::ALL.iter();
            writers
                .map(|writer| sum(&self.losses, loss_account(*writer, loss)))
                .sum()
        };
        Loss::ALL.iter().map(|loss| (*loss, of(*loss))).collect()
    }

    /// Cost of every program.
    #[must_use]
    pub fn program_costs(&self) -> Vec<ProgramCost> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                let info = program.info().ok()?;
                Some(ProgramCost {
                    name: name.to_owned(),
                    verified_instructions: info.verified_instruction_count().unwrap_or(0),
                    translated_bytes: info.size_translated().unwrap_or(0),
                    run_time: info.run_time(),
                    runs: info.run_count(),
                })
            })
            .collect()
    }
}

/// Kernels before 5.11 count maps as locked memory. Not permitted everywhere, not needed anywhere newer: never fatal.
fn raise_memlock_limit() {
    let unlimited = rustix::process::Rlimit {
        current: None,
        maximum: None,
    };
    if let Err(error) = rustix::process::setrlimit(rustix::process::Resource::Memlock, unlimited) {
        log::debug!("raising RLIMIT_MEMLOCK: {error}");
    }
}

/// CPUs that this machine can have at some time, at least one.
fn possible_cpus() -> u32 {
    match aya::util::nr_cpus() {
        Ok(cpus) => u32::try_from(cpus).unwrap_or(u32::MAX).max(1),
        Err((path, error)) => {
            log::warn!("{path}: {error}");
            1
        }
    }
}

/// Loads the stages of one type, and lets them find each other.
fn load_stages<P>(
    ebpf: &mut Ebpf,
    program_type: ProgramType,
    native: u32,
    load: fn(&mut P) -> Result<(), ProgramError>,
) -> Result<ProgramArray<MapData>, LoadError>
where
    for<'a> &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let wanted = Stage::ALL
        .iter()
        .copied()
        .filter(|stage| native != native_mode::NONE || !stage.is_native());
    let map = program_type.stages_map();
    let mut stages: ProgramArray<MapData> = take(ebpf, map)?;
    for stage in wanted {
        let name = stage.program(program_type);
        load_program(ebpf, name, load)?;
        let program = ebpf.program(name).ok_or(LoadError::NoProgram(name))?;
        let fd = program
            .fd()
            .map_err(|source| LoadError::Program { name, source })?;
        stages
            .set(stage.slot(), fd, 0)
            .map_err(|source| LoadError::Map { name: map, source })?;
    }
    Ok(stages)
}

fn load_program<P>(
    ebpf: &mut Ebpf,
    name: &'static str,
    load: fn(&mut P) -> Result<(), ProgramError>,
) -> Result<(), LoadError>
where
    for<'a> &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    load(program::<P>(ebpf, name)?).map_err(|source| LoadError::Program { name, source })
}

fn attach_tracepoints(ebpf: &mut Ebpf, options: &Options) -> Result<(), LoadError> {
    let wanted = [FORK, EXEC, EXIT]
        .into_iter()
        .chain(options.watch_cgroups.then_some(CGROUP))
        .chain(options.watch_names.then_some(RENAME));
    for tracepoint in wanted {
        let name = tracepoint.program;
        load_program(ebpf, name, RawTracePoint::load)?;
        program::<RawTracePoint>(ebpf, name)?
            .attach(tracepoint.name)
            .map_err(|source| LoadError::Program { name, source })?;
    }
    Ok(())
}

fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or(LoadError::NoProgram(name))?;
    program
        .try_into()
        .map_err(|source| LoadError::Program { name, source })
}

fn sum(counters: &PerCpuArray<MapData, u64>, index: u32) -> u64 {
    counters.get(&index, 0).map_or(0, |values| values.iter().sum())
}

fn by_outcome(accounts: &PerCpuArray<MapData, u64>, source: Source) -> Vec<(Outcome, u64)> {
    Outcome::ALL
        .iter()
        .map(|outcome| (*outcome, sum(accounts, account(source.code(), *outcome))))
        .collect()
}
