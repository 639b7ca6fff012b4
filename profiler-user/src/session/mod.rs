//! The event loop of every verb that samples: kernel half, processes, signals and deadlines on one side, the pipeline on
//! the other.
//!
//! One thread. Process events are handled as they come (a new interpreter starts its work within milliseconds); samples
//! wait in the ring and are read at the next wake-up, because waking user space costs more than the sample. Nothing that a
//! process, a CPU or a disk does ends a session: it costs that process or that CPU, and is counted.

mod alarm;
mod answers;
mod closing;
mod dump;
mod error;
mod frozen;
mod intake;
mod known;
mod listener;
mod looks;
mod native;
mod open_spells;
mod read_stacks;
mod rights;
mod ring_size;
mod sampled;
mod settings;
mod signals;
mod summary;
mod waiting;
mod wake;

use std::time::{Duration, Instant, SystemTime};

use self::alarm::Alarm;
use self::answers::{Answers, Asks};
use self::intake::{Intake, Meets};
use self::native::{Native, NativeTables};
use self::ring_size::ring_bytes;
use self::signals::Asked;
use self::waiting::{notified, ready_if};
use self::wake::Wakes;
use crate::clock::{monotonic_ns, own_cpu_time};
use crate::kernel::{self, Kernel, Options, SampledSource};
use crate::language::python::threads::ThreadNames;
use crate::pipeline::Pipeline;
use crate::priority;
use crate::processes::tracker::{Target, Tracker};
use crate::profile::Recording;
use crate::profile::timeline::Timeline;
use crate::sources::{EventSource, Rate, Sampling};
use crate::workers::start_forker;

pub use self::dump::{Dump, DumpedProcess, DumpedThread, Moment, ThreadLocals};
pub use self::error::SessionError;
pub use self::listener::{Ended, Listener, Progress};
pub use self::settings::{NativeFrames, Patience, Settings, StopReason};
pub use self::signals::{Signals, StopSignal, stop_signal};
pub use self::summary::{NativeSummary, SourceSummary, Summary};

/// How long a recording waits for the unwind tables of what runs already, before it begins.
const PREPARE_AT_MOST: Duration = Duration::from_secs(2);
/// Time between two comparisons of the online CPUs, and between two looks at processes that may have changed their user.
const LOOK_AROUND_EVERY: Duration = Duration::from_secs(1);
/// Time between two searches for processes that ended without an event.
const SWEEP_EVERY: Duration = Duration::from_secs(30);
/// After so many readings in a row that leave something in the rings, they count as read, and processes that are gone are
/// forgotten.
const UNFINISHED_AT_MOST: u32 = 100;
/// Processes that can be known to the kernel half at the same time.
const MAX_PROCESSES: u32 = 65_536;
/// Threads whose time off the CPU can be watched at the same time; 8 MiB in the kernel.
const MAX_THREADS: u32 = 65_536;

/// A session that is ready to run.
pub struct Session {
    settings: Settings,
    kernel: Kernel,
    intake: Intake,
    tracker: Tracker,
    tables: Option<NativeTables>,
    threads: Option<ThreadNames>,
    answers: Answers,
    /// Readings in a row that left something in the rings.
    unfinished: u32,
    pipeline: Pipeline,
    sampling: Vec<Box<dyn Sampling>>,
    parts: Parts,
}

/// Intervals that have ended or will.
#[derive(Debug, Default)]
struct Parts {
    /// When the next one ends by itself.
    next: Option<Instant>,
    /// When the oldest one that has ended is handed out even without its last names.
    give_up: Option<Instant>,
    /// When the first of those that have not been handed out began.
    started: Option<SystemTime>,
    /// CPUs that were sampled at the beginning.
    cpus: u32,
}

impl Session {
    /// Loads the kernel half and looks at what runs.
    ///
    /// # Errors
    /// [`SessionError`].
    pub fn prepare(settings: Settings) -> Result<Self, SessionError> {
        let options = Options {
            all_processes: settings.target == Target::All,
            watch_cgroups: settings.filter.looks_at_cgroups(),
            watch_names: settings.filter.looks_at_names(),
            sample_ring_bytes: ring_bytes(settings.rate_hz, settings.native.is_some()),
            max_processes: MAX_PROCESSES,
            max_interpreters: settings.max_interpreters,
            max_threads: MAX_THREADS,
            reporting: settings.reporting(),
            measure_self: false,
            sources: settings
                .sources
                .iter()
                .map(|source| SampledSource {
                    source: *source,
                    period: settings.period,
                })
                .collect(),
            native: match settings.native {
                None => kernel::Native::None,
                Some(NativeFrames::Kernel) => kernel::Native::Kernel,
                Some(NativeFrames::Relevant | NativeFrames::All) => kernel::Native::User(native::CAPACITY),
            },
        };
        let (mut kernel, rings) = Kernel::load(&options)?;
        let mut tracker = Tracker::new(settings.target.clone(), settings.filter.clone());
        tracker.scan(&mut kernel);
        // Before there are threads, which get what is left.
        rights::give_up(settings.native);
        let reads_stacks = settings.reads_stacks();
        let answers = Answers::new(tracker.inspectors(), reads_stacks);
        let timeline = timeline(settings.timeline).map_err(SessionError::io("temporary file for samples"))?;
        let native = Native::start(settings.native)?;
        let mut session = Self {
            kernel,
            intake: Intake::new(rings, &settings),
            tracker,
            tables: native.tables,
            threads: settings.thread_names.then(ThreadNames::default),
            answers,
            unfinished: 0,
            pipeline: settings.fitted(Pipeline::new(monotonic_ns(), native.names, timeline)),
            sampling: Vec::new(),
            parts: Parts::default(),
            settings,
        };
        session.follow();
        if let Some(tables) = &mut session.tables {
            tables.prepare(
                &mut session.kernel,
                &session.tracker.inspectors(),
                PREPARE_AT_MOST,
            );
        }
        Ok(session)
    }

    /// Records one more process: one that was started just now, so that nothing of it is missed.
    pub fn add(&mut self, pid: u32) {
        self.tracker.add(&mut self.kernel, pid);
        self.follow();
    }

    /// Records until the time is up, a signal comes or everything asked for has ended.
    ///
    /// # Errors
    /// When sampling cannot begin. What happens later is the reason of [`Ended`].
    pub async fn run(
        mut self,
        signals: &mut Signals,
        listener: &mut impl Listener,
    ) -> Result<Ended, SessionError> {
        let started = (SystemTime::now(), Instant::now(), cpu_time());
        let busy_before = crate::host::busy_time();
        let rate = Rate {
            hz: self.settings.rate_hz,
            period: self.settings.period,
        };
        self.pipeline.begin(monotonic_ns());
        self.parts.started = Some(started.0);
        self.parts.next = self.settings.every.map(|every| started.1 + every);
        for source in EventSource::of_all(&self.settings.sources) {
            self.sampling.push(source.start(&mut self.kernel, rate)?);
        }
        let cpus = self.sampling.iter().map(|sampling| sampling.cpus());
        self.parts.cpus = cpus.max().and_then(|cpus| u32::try_from(cpus).ok()).unwrap_or(0);
        let priority = priority::raise();
        let reason = self
            .record(signals, started.1, listener)
            .await
            .unwrap_or_else(StopReason::Failed);
        let end_ns = monotonic_ns();
        signals.unshare();
        let busy = crate::host::busy_time().saturating_sub(busy_before);
        let sampled = sampled::Sampled::of(&self.sampling);
        self.sampling.clear();
        let duration = started.1.elapsed();
        self.drain_to_the_end(end_ns);
        self.wait_for_names(signals, listener).await;
        let mut summary = self.summary(sampled);
        summary.duration = duration;
        summary.busy = busy;
        summary.own_cpu = cpu_time().saturating_sub(started.2);
        summary.priority = priority;
        let last = self.finish(duration, listener);
        Ok(Ended {
            last,
            summary,
            reason,
        })
    }

    async fn record(
        &mut self,
        signals: &mut Signals,
        started: Instant,
        listener: &mut impl Listener,
    ) -> Result<StopReason, SessionError> {
        let rings = self.intake.rings();
        let events = rings.events.watch().map_err(SessionError::io("event ring"))?;
        let samples = rings.samples.watch().map_err(SessionError::io("sample ring"))?;
        let tables = self.tables.as_ref().map(NativeTables::work_ready);
        let mut wakes = Wakes::new(!self.settings.thread_names);
        let mut around = Instant::now() + LOOK_AROUND_EVERY;
        let mut sweep = Instant::now() + SWEEP_EVERY;
        let end = self.settings.duration.map(|duration| started + duration);
        let mut has_more = false;
        let mut alarm = Alarm::new().map_err(SessionError::io("a timer"))?;
        loop {
            let next_answer = self.answers.next_check();
            let next_due = [
                end,
                self.parts.next,
                self.next_look(),
                self.next_pump(),
                next_answer,
            ]
            .into_iter()
            .flatten()
            .fold(wakes.next(), Instant::min);
            tokio::select! {
                biased;
                asked = signals.next() => match asked {
                    Asked::Stop(signal) => return Ok(StopReason::Signal(signal)),
                    Asked::Part => {
                        self.cut(listener);
                        wakes.begin_interval();
                    }
                    Asked::Wait => listener.progress(Progress::LeftToCommand),
                },
                ready = events.readable() => {
                    ready.map_err(SessionError::io("event ring"))?.clear_ready();
                    self.follow();
                }
                ready = samples.readable() => {
                    ready.map_err(SessionError::io("sample ring"))?.clear_ready();
                    has_more = self.drain();
                }
                () = notified(tables.as_deref()) => self.pump(),
                rang = alarm.at(next_due) => {
                    rang.map_err(SessionError::io("a timer"))?;
                    let now = Instant::now();
                    let is_due = |when: Option<Instant>| when.is_some_and(|when| now >= when);
                    if is_due(end) {
                        return Ok(StopReason::Duration);
                    }
                    if let Some(due) = self.parts.next.filter(|due| is_due(Some(*due))) {
                        self.parts.next = self.settings.every.map(|every| after(due, every, now));
                        self.cut(listener);
                        wakes.begin_interval();
                    }
                    if is_due(self.next_look()) {
                        self.tracker.poll(&mut self.kernel);
                        self.follow();
                    }
                    if is_due(self.next_pump()) {
                        self.pump();
                    }
                    if is_due(self.answers.next_check()) {
                        self.answer(false);
                    }
                    if !is_due(Some(wakes.next())) {
                        continue;
                    }
                    has_more = self.drain();
                    let sampled = self.intake.take_sampled();
                    let wake = wakes.take(sampled.is_empty());
                    for sampling in &mut self.sampling {
                        sampling.wake(&mut self.kernel, &sampled, wake);
                    }
                    self.give_out_parts(listener);
                    listener.progress(Progress::Recording {
                        elapsed: started.elapsed(),
                        samples: self.intake.kept_samples(),
                        processes: self.tracker.alive(),
                    });
                    if self.tracker.is_finished() {
                        return Ok(StopReason::ProcessExited);
                    }
                    if now >= around {
                        around = now + LOOK_AROUND_EVERY;
                        self.look_around()?;
                    }
                    if now >= sweep {
                        sweep = now + SWEEP_EVERY;
                        self.tracker.sweep(&mut self.kernel);
                        self.with_meets(Intake::forget_ended_threads);
                    }
                }
                () = ready_if(has_more) => has_more = self.drain(),
            }
        }
    }

    /// What may have changed without an event.
    fn look_around(&mut self) -> Result<(), SessionError> {
        self.tracker.follow_users(&mut self.kernel);
        if let Some(tables) = &mut self.tables {
            tables.follow_hotplug();
        }
        for sampling in &mut self.sampling {
            sampling.follow_hotplug(&mut self.kernel);
            if let Some(events) = sampling.events_mut()
                && events.cpus() == 0
                && let Some(error) = events.take_refusal()
            {
                return Err(SessionError::NoCpu(error));
            }
        }
        Ok(())
    }

    /// Reads what waits; `true` when there is more.
    fn drain(&mut self) -> bool {
        let has_more = self.with_meets(Intake::drain);
        let goes_on = has_more && self.unfinished < UNFINISHED_AT_MOST;
        self.unfinished = if goes_on { self.unfinished + 1 } else { 0 };
        self.settle_drain(self.unfinished > 0, false);
        has_more
    }

    /// Reads everything: the kernel half has stopped writing samples.
    fn drain_to_the_end(&mut self, end_ns: u64) {
        while self.with_meets(Intake::drain) {
            self.settle_drain(true, false);
        }
        self.with_meets(|intake: &mut Intake, meets| intake.finish(end_ns, meets));
        self.settle_drain(false, true);
    }

    /// To be done after each reading of the rings. While they still hold more, what a sample lacks may be in them, and so
    /// may samples of processes that have ended.
    fn settle_drain(&mut self, has_more: bool, is_last: bool) {
        self.answer(is_last);
        if has_more {
            self.pipeline.pause_drain();
            return;
        }
        self.pipeline.end_drain();
        for process in self.tracker.take_ended() {
            self.pipeline.forget(process);
            if let Some(tables) = &mut self.tables {
                tables.leave(&self.tracker.inspectors(), process);
            }
            if let Some(threads) = &mut self.threads {
                threads.forget(process);
            }
        }
    }

    /// Passes on what has been found out, and asks on. With `is_last`, waits for the answers.
    fn answer(&mut self, is_last: bool) {
        let mut asks = Asks {
            kernel: &self.kernel,
            tracker: &self.tracker,
            pipeline: &mut self.pipeline,
            threads: self.threads.as_mut(),
        };
        self.answers.answer(&mut asks, is_last);
    }

    /// Reads process events, and looks at whoever has just come.
    fn follow(&mut self) {
        self.with_meets(Intake::drain_events);
    }

    /// When a process is to be looked at again.
    fn next_look(&self) -> Option<Instant> {
        let inspectors = self.tracker.inspectors();
        let tables = self.tables.as_ref();
        let at_mappings = tables.and_then(|tables| tables.next_look(&inspectors));
        self.tracker.next_due().into_iter().chain(at_mappings).min()
    }

    /// When unwind tables are to be written although nothing was notified.
    fn next_pump(&self) -> Option<Instant> {
        self.tables.as_ref().and_then(NativeTables::next_pump)
    }

    fn pump(&mut self) {
        if let Some(tables) = &mut self.tables {
            tables.pump(&mut self.kernel);
        }
    }

    fn with_meets<T>(&mut self, work: impl FnOnce(&mut Intake, &mut Meets<'_>) -> T) -> T {
        let mut meets = Meets {
            kernel: &mut self.kernel,
            tracker: &mut self.tracker,
            tables: &mut self.tables,
            threads: &mut self.threads,
            pipeline: &mut self.pipeline,
        };
        work(&mut self.intake, &mut meets)
    }

    /// Ends an interval. It is handed out once it has all its names.
    fn cut(&mut self, listener: &mut impl Listener) {
        self.drain();
        let now_ns = monotonic_ns();
        self.with_meets(|intake: &mut Intake, meets| intake.count_open_spells(now_ns, meets));
        let timeline = timeline(self.settings.timeline).unwrap_or_else(|error| {
            log::warn!("no order of time for the next part: temporary file: {error}");
            None
        });
        self.pipeline.cut(now_ns, timeline);
        self.parts
            .give_up
            .get_or_insert(Instant::now() + self.settings.patience.of_part);
        if listener.wants_accounts() {
            listener.accounts(self.summary(sampled::Sampled::of(&self.sampling)));
        }
    }

    fn give_out_parts(&mut self, listener: &mut impl Listener) {
        while let Some(give_up) = self.parts.give_up {
            let is_forced = Instant::now() >= give_up;
            let Some(part) = self.pipeline.take_finished(is_forced) else {
                return;
            };
            self.parts.give_up = self
                .pipeline
                .has_ended_intervals()
                .then(|| Instant::now() + self.settings.patience.of_part);
            let part = self.described(part);
            listener.part(part);
        }
    }

    /// Settles what is open, and hands out all intervals but the last, which it returns.
    fn finish(&mut self, duration: Duration, listener: &mut impl Listener) -> Recording {
        self.pipeline.settle();
        let is_whole = !self.pipeline.was_cut();
        self.pipeline.cut(monotonic_ns(), None);
        let mut last = None;
        while let Some(recording) = self.pipeline.take_finished(true) {
            if let Some(part) = last.replace(self.described(recording)) {
                listener.part(part);
            }
        }
        let Some(mut last) = last else {
            unreachable!("a cut leaves an interval that has ended")
        };
        if is_whole {
            last.duration = duration;
        }
        last
    }
}

/// CPU time so far of this process and of its workers.
fn cpu_time() -> Duration {
    own_cpu_time() + start_forker().cpu_time()
}

/// A file for the order of samples, where that is kept.
/// The next time in steps of `every` from `due` on that is not yet over.
fn after(due: Instant, every: Duration, now: Instant) -> Instant {
    let mut next = due + every;
    if next <= now {
        let missed = (now - due).div_duration_f64(every) as u32;
        next = due + every.saturating_mul(missed.saturating_add(1));
    }
    next
}

fn timeline(is_wanted: bool) -> std::io::Result<Option<Timeline>> {
    is_wanted.then(Timeline::new).transpose()
}
