//! A recording: the event loop that moves samples from the kernel half to a [`Profile`].
//!
//! One thread. Process events are handled as they come (a new interpreter starts its work within milliseconds);
//! samples wait in the ring and are read ten times a second, because waking user space costs more than the sample.

mod summary;

use std::time::{Duration, Instant, SystemTime};

use profiler_common::contract::sources::Source;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::kernel::{self, Kernel, LoadError, Options, Ring, Rings, SampledSource, Sampler};
use crate::pipeline::symbolizer::Symbolizer;
use crate::processes::filter::Filter;
use crate::processes::tracker::{RefusedProcess, Target, Tracker};
use crate::profile::Profile;
use crate::profile::aggregate::Aggregator;
use crate::profile::timeline::Timeline;
use crate::wire::decode::{Event, decode};

use crate::clock::{monotonic_ns, own_cpu_time};
use crate::pipeline::naming::Naming;
use crate::pipeline::native::{self, Native};
pub use crate::pipeline::native::{NativeCounts, NativeFrames};
use crate::wire::assembly::Assembly;
pub use summary::{NativeSummary, Summary};

/// How often waiting samples are read.
const DRAIN_EVERY: Duration = Duration::from_millis(100);
/// How long a recording waits for the unwind tables of what runs already, before it begins.
const PREPARE_AT_MOST: Duration = Duration::from_secs(2);
/// How long the end of a recording waits for symbols, and how often it looks: the largest debug information takes seconds.
const NAMES_AT_MOST: Duration = Duration::from_secs(120);
const NAMES_EVERY: Duration = Duration::from_millis(20);
/// How often the list of online CPUs is compared.
const HOTPLUG_EVERY: Duration = Duration::from_secs(1);
/// How often processes are judged anew that may have changed their user.
const USERS_EVERY: Duration = Duration::from_secs(1);
/// How often processes are looked for that ended without an event.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// Smallest and largest ring for samples, bytes.
const RING_BYTES: (u32, u32) = (4 << 20, 256 << 20);
/// Room for one sample and its share of definitions, bytes; and for its native and kernel frames.
const BYTES_PER_SAMPLE: u64 = 2048;
const NATIVE_BYTES_PER_SAMPLE: u64 = 4096;
/// Processes that can be known to the kernel half at the same time.
const MAX_PROCESSES: u32 = 65_536;

/// What to record.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whose samples.
    pub target: Target,
    /// Which of the target's processes.
    pub filter: Filter,
    /// Samples per second and CPU.
    pub rate_hz: u32,
    /// Until Ctrl-C when absent.
    pub duration: Option<Duration>,
    /// Only samples of threads that hold the GIL.
    pub gil_only: bool,
    /// Keep the order of samples (for formats that show time).
    pub timeline: bool,
    /// Native and kernel frames too, and which.
    pub native: Option<NativeFrames>,
    /// Look up the names that threads have in Python.
    pub thread_names: bool,
    /// Becomes [`Profile::title`].
    pub title: String,
}

/// Why a recording ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The time was up.
    Duration,
    /// Ctrl-C, or SIGTERM.
    Signal,
    /// All processes asked for have ended.
    ProcessExited,
}

/// Why a recording failed.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The kernel half.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The event loop or a temporary file.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A recording that is ready to run.
pub struct Recorder {
    settings: Settings,
    kernel: Kernel,
    rings: Rings,
    tracker: Tracker,
    naming: Naming,
    assembly: Assembly,
    undecodable: u64,
}

/// What a progress display wants to know.
#[derive(Clone, Copy, Debug)]
pub enum Progress {
    /// Samples are being taken.
    Recording {
        /// Since the first possible sample.
        elapsed: Duration,
        /// Delivered samples.
        samples: u64,
        /// Processes profiled now.
        processes: usize,
    },
    /// That is over, and symbols are still being read.
    Naming {
        /// Addresses without a name yet.
        addresses: usize,
    },
}

impl Recorder {
    /// Loads the kernel half and looks at what runs.
    ///
    /// # Errors
    /// [`RecordError`].
    pub fn prepare(settings: Settings) -> Result<Self, RecordError> {
        let options = Options {
            sources: vec![SampledSource {
                source: Source::OnCpu,
                period: 1,
            }],
            all_processes: settings.target == Target::All,
            watch_cgroups: settings.filter.looks_at_cgroups(),
            watch_names: settings.filter.looks_at_names(),
            sample_ring_bytes: ring_bytes(settings.rate_hz, settings.native.is_some()),
            max_processes: MAX_PROCESSES,
            measure_self: false,
            native: match settings.native {
                None => kernel::Native::None,
                Some(NativeFrames::Kernel) => kernel::Native::Kernel,
                Some(NativeFrames::Relevant | NativeFrames::All) => kernel::Native::User(native::CAPACITY),
            },
        };
        let (mut kernel, rings) = Kernel::load(&options)?;
        let mut tracker = Tracker::new(settings.target.clone(), settings.filter.clone());
        tracker.scan(&mut kernel)?;
        let timeline = if settings.timeline {
            let timeline = Timeline::new().map_err(|source| RecordError::Io {
                what: "temporary file for samples",
                source,
            })?;
            Some(timeline)
        } else {
            None
        };
        let native = settings.native.map(Native::start).transpose()?;
        let mut symbolizer = Symbolizer::default();
        let overflow = symbolizer.marker(Aggregator::OVERFLOW);
        let mut recorder = Self {
            naming: Naming::new(
                symbolizer,
                Aggregator::new(timeline, overflow),
                settings.thread_names,
                native,
            ),
            undecodable: 0,
            assembly: Assembly::default(),
            settings,
            kernel,
            rings,
            tracker,
        };
        recorder.follow()?;
        if let Some(native) = recorder.naming.native() {
            native.prepare(&mut recorder.kernel, PREPARE_AT_MOST)?;
        }
        Ok(recorder)
    }

    /// Records one more process: one that was started only now, so that nothing of it is missed.
    ///
    /// # Errors
    /// When the kernel half refuses an entry.
    pub fn add(&mut self, pid: u32) -> Result<(), RecordError> {
        self.tracker.add(&mut self.kernel, pid)?;
        self.follow()
    }

    /// Processes profiled now.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.tracker.alive()
    }

    /// Interpreters found but not profiled.
    pub fn refusals(&self) -> impl Iterator<Item = &RefusedProcess> {
        self.tracker.refusals()
    }

    /// Records until the time is up, a signal comes or everything asked for has ended.
    ///
    /// # Errors
    /// [`RecordError`].
    pub async fn run(
        mut self,
        mut on_progress: impl FnMut(Progress),
    ) -> Result<(Profile, Summary, StopReason), RecordError> {
        let started = (SystemTime::now(), Instant::now(), monotonic_ns(), own_cpu_time());
        self.naming.aggregator.set_start(started.2);
        let busy_before = crate::host::busy_time();
        let mut sampler = self.kernel.start_sampling(self.settings.rate_hz)?;
        let reason = self.record(&mut sampler, started.1, &mut on_progress).await?;
        let busy = crate::host::busy_time().saturating_sub(busy_before);
        let cpus = sampler.cpus();
        drop(sampler);
        let duration = started.1.elapsed();
        self.drain()?;
        for sample in self.assembly.finish() {
            self.naming.add(&sample, &mut self.tracker)?;
        }
        self.wait_for_names(&mut on_progress).await?;
        let (mut summary, mut profile) = self.naming.finish(&self.kernel, &self.assembly, &self.tracker)?;
        summary.undecodable = self.undecodable;
        summary.cpus = cpus;
        summary.duration = duration;
        summary.busy = busy;
        summary.own_cpu = own_cpu_time().saturating_sub(started.3);
        summary.refusals = self.tracker.refusals().cloned().collect();
        profile.title = self.settings.title;
        profile.started = started.0;
        profile.duration = duration;
        profile.rate_hz = self.settings.rate_hz;
        Ok((profile, summary, reason))
    }

    async fn record(
        &mut self,
        sampler: &mut Sampler,
        started: Instant,
        on_progress: &mut impl FnMut(Progress),
    ) -> Result<StopReason, RecordError> {
        let io = |what| move |source| RecordError::Io { what, source };
        let events = self.rings.events.watch().map_err(io("event ring"))?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(io("SIGINT"))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(io("SIGTERM"))?;
        let samples = self.rings.samples.watch().map_err(io("sample ring"))?;
        let tables = self.naming.native().map(|native| native.tables.work_ready());
        let mut drain = every(DRAIN_EVERY);
        let mut redraw_at = Some(Instant::now());
        let mut hotplug = every(HOTPLUG_EVERY);
        let mut sweep = every(SWEEP_EVERY);
        let mut users = every(USERS_EVERY);
        let end = self.settings.duration.map(|duration| started + duration);
        loop {
            let due = self.tracker.next_due();
            let pump_due = self.naming.native().and_then(|native| native.next_pump());
            tokio::select! {
                biased;
                _ = interrupt.recv() => return Ok(StopReason::Signal),
                _ = terminate.recv() => return Ok(StopReason::Signal),
                () = until(end) => return Ok(StopReason::Duration),
                ready = events.readable() => {
                    ready.map_err(io("event ring"))?.clear_ready();
                    self.drain_events()?;
                }
                ready = samples.readable() => {
                    ready.map_err(io("sample ring"))?.clear_ready();
                    self.drain()?;
                }
                () = until(due) => {
                    self.tracker.poll(&mut self.kernel)?;
                    self.follow()?;
                }
                () = notified(tables.as_deref()) => self.pump()?,
                () = until(pump_due) => self.pump()?,
                () = until(redraw_at) => redraw_at = Some(Instant::now() + sampler.redraw()),
                _ = users.tick() => self.tracker.follow_users(&mut self.kernel)?,
                _ = sweep.tick() => self.tracker.sweep(&mut self.kernel),
                _ = hotplug.tick() => {
                    sampler.follow_hotplug().map_err(LoadError::Perf)?;
                    if let Some(native) = self.naming.native() {
                        native.follow_hotplug()?;
                    }
                }
                _ = drain.tick() => {
                    self.drain()?;
                    on_progress(Progress::Recording {
                        elapsed: started.elapsed(),
                        samples: self.assembly.samples(),
                        processes: self.tracker.alive(),
                    });
                    if self.tracker.is_finished() {
                        return Ok(StopReason::ProcessExited);
                    }
                }
            }
        }
    }

    /// Reads what waits: first who lives, then what they did.
    fn drain(&mut self) -> Result<(), RecordError> {
        let Self {
            rings,
            assembly,
            naming,
            tracker,
            kernel,
            undecodable,
            ..
        } = self;
        let Rings { samples, events } = rings;
        let mut failure = drain_events(events, tracker, kernel, undecodable)
            .and_then(|()| follow(naming, tracker, kernel))
            .err();
        samples.drain(|bytes| {
            let sample = match decode(bytes) {
                Ok(Event::Code(view)) => {
                    match kernel.layout(view.layout) {
                        Some(layout) => naming.symbolizer.define(&view, layout),
                        None => *undecodable += 1,
                    }
                    None
                }
                Ok(Event::Sample(view)) => assembly.add(&view),
                Ok(Event::Native(view)) => assembly.add_native(&view),
                Ok(Event::Kernel(view)) => {
                    assembly.add_kernel(&view);
                    None
                }
                Ok(Event::Process(_)) => {
                    *undecodable += 1;
                    None
                }
                Err(error) => {
                    log::debug!("sample ring: {error}");
                    *undecodable += 1;
                    None
                }
            };
            if let Some(sample) = sample {
                if self.settings.gil_only && !sample.holds_gil() {
                    return;
                }
                // A child's first sample may be read before its fork: the event is in the other ring by then.
                if tracker.get(sample.process).is_none()
                    && let Err(error) = drain_events(events, tracker, kernel, undecodable)
                        .and_then(|()| follow(naming, tracker, kernel))
                {
                    failure.get_or_insert(error);
                }
                let supplied = naming
                    .native()
                    .map_or(Ok(()), |native| native.supply(kernel, sample));
                let added = naming.add(sample, tracker);
                if let Err(error) = supplied.map_err(RecordError::from).and(added) {
                    failure.get_or_insert(error);
                }
            }
        });
        if let Err(error) = self.naming.end_drain(&self.tracker) {
            failure.get_or_insert(error);
        }
        for key in self.tracker.take_ended() {
            self.naming.forget(key);
        }
        self.naming.symbolizer.collect();
        failure.map_or(Ok(()), Err)
    }

    fn drain_events(&mut self) -> Result<(), RecordError> {
        drain_events(
            &mut self.rings.events,
            &mut self.tracker,
            &mut self.kernel,
            &mut self.undecodable,
        )?;
        self.follow()
    }

    /// Waits for symbols that are still being read; Ctrl-C goes without them.
    async fn wait_for_names(&mut self, on_progress: &mut impl FnMut(Progress)) -> Result<(), RecordError> {
        let io = |what| move |source| RecordError::Io { what, source };
        let mut interrupt = signal(SignalKind::interrupt()).map_err(io("SIGINT"))?;
        let mut terminate = signal(SignalKind::terminate()).map_err(io("SIGTERM"))?;
        let mut look = every(NAMES_EVERY);
        let end = Instant::now() + NAMES_AT_MOST;
        loop {
            let addresses = self.naming.collect_names();
            if addresses == 0 || Instant::now() >= end {
                return Ok(());
            }
            on_progress(Progress::Naming { addresses });
            tokio::select! {
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
                _ = look.tick() => {}
            }
        }
    }

    /// Native frames of processes that have just come.
    fn follow(&mut self) -> Result<(), RecordError> {
        follow(&mut self.naming, &mut self.tracker, &mut self.kernel)
    }

    fn pump(&mut self) -> Result<(), RecordError> {
        if let Some(native) = self.naming.native() {
            native.pump(&mut self.kernel)?;
        }
        Ok(())
    }
}

fn follow(naming: &mut Naming, tracker: &mut Tracker, kernel: &mut Kernel) -> Result<(), RecordError> {
    match naming.native() {
        Some(native) => native.follow(kernel, tracker)?,
        None => drop(tracker.take_arrived()),
    }
    Ok(())
}

/// Waits for a notification, or for ever.
async fn notified(by: Option<&tokio::sync::Notify>) {
    match by {
        Some(notify) => notify.notified().await,
        None => std::future::pending().await,
    }
}

fn drain_events(
    events: &mut Ring,
    tracker: &mut Tracker,
    kernel: &mut Kernel,
    undecodable: &mut u64,
) -> Result<(), RecordError> {
    let mut failure = None;
    events.drain(|bytes| match decode(bytes) {
        Ok(Event::Process(view)) => {
            if let Err(error) = tracker.observe(kernel, &view) {
                failure.get_or_insert(error);
            }
        }
        Ok(_) => *undecodable += 1,
        Err(error) => {
            log::debug!("event ring: {error}");
            *undecodable += 1;
        }
    });
    failure.map_or(Ok(()), |error| Err(error.into()))
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

/// Waits until `when`, or for ever.
async fn until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}

/// Room for one second of samples: user space may be kept from running that long.
fn ring_bytes(rate_hz: u32, with_native: bool) -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let bytes = BYTES_PER_SAMPLE + u64::from(with_native) * NATIVE_BYTES_PER_SAMPLE;
    let wanted = u64::from(rate_hz) * cpus * bytes;
    let (least, most) = RING_BYTES;
    let wanted = u32::try_from(wanted).unwrap_or(most).clamp(least, most);
    wanted.checked_next_power_of_two().unwrap_or(most)
}
