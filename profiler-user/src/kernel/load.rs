//! Loads the kernel half, attaches it, and gives typed access to its maps and rings.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use aya::maps::{Array, MapData, ProgramArray};
use aya::programs::{Iter, PerfEvent, Program, ProgramError, RawTracePoint};
use aya::{Ebpf, EbpfLoader, VerifierLogLevel};
use profiler_common::contract::layout::Layout;
use profiler_common::contract::modes::{Switch, native_mode};
use profiler_common::contract::period::CpuPeriod;
use profiler_common::contract::programs::{
    CGROUP, EXEC, EXIT, FIND_THREADS, FLOOR, FORK, ProgramType, RAW_SAMPLE, RENAME, Stage, WAKE,
};
use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::Reporting;

use super::btf::Btf;
use super::error::LoadError;
use super::kernel_fields;
use super::maps::{Accounts, Plain, ProcessMaps, ThreadMaps, take};
use super::options::{NO_TABLES, Native, Options, SampledSource};
use super::ring::{Ring, Rings};
use super::unwind_maps::UnwindMaps;

/// The kernel half, compiled by `build.rs`.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/pyebpf-bpf"));

/// The loaded kernel half. Dropping it detaches everything.
pub struct Kernel {
    pub(super) ebpf: Ebpf,
    pub(super) processes: ProcessMaps,
    layouts: Array<MapData, Plain<Layout>>,
    known_layouts: Vec<Layout>,
    pub(super) accounts: Accounts,
    periods: Array<MapData, Plain<CpuPeriod>>,
    pub(super) threads: ThreadMaps,
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
        let has_off_cpu = options.has(Source::OffCpu);
        let watch_threads = u32::from(has_off_cpu);
        let max_threads = if has_off_cpu { options.max_threads } else { 1 };
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
        let Reporting {
            least_ns,
            report_ns,
            long_ns,
        } = options.reporting;
        let reporting = [least_ns, report_ns, long_ns];
        for (global, time_ns) in Reporting::GLOBALS.into_iter().zip(&reporting) {
            loader.override_global(global, time_ns, true);
        }
        loader
            .override_global(Switch::ReportUnknown.global(), &all, true)
            .override_global(Switch::ReportAllProcesses.global(), &all, true)
            .override_global(Switch::WatchThreads.global(), &watch_threads, true)
            .override_global(Switch::MeasureSelf.global(), &measure, true)
            .override_global(Switch::Native.global(), &native, true)
            .override_global(Switch::RingEighth.global(), &ring_eighth, true)
            .map_max_entries("MAPPINGS", room.mappings)
            .map_max_entries("BLOCKS", room.blocks)
            .map_max_entries("ROWS", room.row_pages)
            .map_max_entries("PERIODS", possible_cpus())
            .map_max_entries("THREADS", max_threads)
            .map_max_entries("SAMPLES", options.sample_ring_bytes)
            .map_max_entries("INCARNATIONS", options.max_processes)
            .map_max_entries("PROCESSES", options.max_interpreters);
        let mut ebpf = loader.load(OBJECT)?;
        let mut stages = vec![load_stages::<PerfEvent>(
            &mut ebpf,
            ProgramType::PerfEvent,
            native,
            PerfEvent::load,
        )?];
        if options.measure_self || has_off_cpu {
            stages.push(load_stages::<RawTracePoint>(
                &mut ebpf,
                ProgramType::RawTracepoint,
                native,
                RawTracePoint::load,
            )?);
        }
        for SampledSource { source, .. } in &options.sources {
            match source.program_type() {
                ProgramType::PerfEvent => load_program(&mut ebpf, source.program(), PerfEvent::load)?,
                ProgramType::RawTracepoint => load_program(&mut ebpf, source.program(), RawTracePoint::load)?,
            }
        }
        if has_off_cpu {
            load_program(&mut ebpf, WAKE.program, RawTracePoint::load)?;
            load_iterator(&mut ebpf);
        }
        if options.measure_self {
            load_program(&mut ebpf, FLOOR, PerfEvent::load)?;
            load_program(&mut ebpf, RAW_SAMPLE, RawTracePoint::load)?;
        }
        attach_tracepoints(&mut ebpf, options)?;
        #[cfg(feature = "debug-bpf")]
        super::log::print(&mut ebpf)?;
        let rings = Rings {
            samples: Ring::new(take(&mut ebpf, "SAMPLES")?),
            events: Ring::new(take(&mut ebpf, "EVENTS")?),
        };
        let kernel = Self {
            processes: ProcessMaps::take(&mut ebpf)?,
            layouts: take(&mut ebpf, "LAYOUTS")?,
            known_layouts: Vec::new(),
            accounts: Accounts::take(&mut ebpf)?,
            periods: take(&mut ebpf, "PERIODS")?,
            threads: ThreadMaps::take(&mut ebpf, has_off_cpu)?,
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

    /// The unwind tables.
    pub fn unwind_maps(&mut self) -> &mut UnwindMaps {
        &mut self.unwind_maps
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
    load: impl FnOnce(&mut P) -> Result<(), ProgramError>,
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

/// Loads what finds threads that do not run. A kernel that has no iterators does without: their time then has no stack.
fn load_iterator(ebpf: &mut Ebpf) {
    let types = aya::Btf::from_sys_fs().map_err(|error| LoadError::Program {
        name: FIND_THREADS,
        source: error.into(),
    });
    let loaded = types.and_then(|types| {
        load_program(ebpf, FIND_THREADS, |program: &mut Iter| {
            program.load("task", &types)
        })
    });
    if let Err(error) = loaded {
        log::warn!("threads that wait throughout are recorded without a stack: {error}");
    }
}

pub(super) fn program<'a, P>(ebpf: &'a mut Ebpf, name: &'static str) -> Result<&'a mut P, LoadError>
where
    &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
{
    let program = ebpf.program_mut(name).ok_or(LoadError::NoProgram(name))?;
    program
        .try_into()
        .map_err(|source| LoadError::Program { name, source })
}
