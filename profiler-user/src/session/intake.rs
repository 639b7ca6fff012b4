//! From the rings to the pipeline: first which processes there are, then what they did. Bounded, so that signals and
//! deadlines are seen however fast the kernel half writes.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::Reporting;

use super::native::NativeTables;
use super::open_spells::{log_totals, open_spells};
use super::settings::Settings;
use crate::host::users::Users;
use crate::ids::ProcessKey;
use crate::kernel::{Kernel, Ring, Rings};
use crate::language::python::Interpreter;
use crate::language::python::threads::ThreadNames;
use crate::native::unwind::Located;
use crate::pipeline::{Pipeline, Surroundings};
use crate::proc::root::RootId;
use crate::processes::tracker::Tracker;
use crate::profile::Process;
use crate::sources::CpuSet;
use crate::wire::assembly::{Assembly, Sample};
use crate::wire::decode::{Event, Spell, decode};

/// Records read at a time, and for how long.
const AT_ONCE: usize = 1_024;
const BUDGET: Duration = Duration::from_millis(25);

/// What reads the rings.
pub(super) struct Intake {
    rings: Rings,
    pub(super) assembly: Assembly,
    pub(super) undecodable: u64,
    gil_only: bool,
    reporting: Reporting,
    /// Samples left out because their thread did not hold the GIL.
    without_gil: HashMap<Source, u64>,
    /// CPUs on which a profiled process was sampled since they were last asked for.
    sampled: CpuSet,
    users: Users,
    open: Open,
}

/// How long spells have lasted that are not over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Open {
    pub(super) blocked: Duration,
    pub(super) waiting: Duration,
}

/// What samples pass on their way.
pub(super) struct Meets<'a> {
    pub(super) kernel: &'a mut Kernel,
    pub(super) tracker: &'a mut Tracker,
    pub(super) tables: &'a mut Option<NativeTables>,
    pub(super) threads: &'a mut Option<ThreadNames>,
    pub(super) pipeline: &'a mut Pipeline,
}

impl Meets<'_> {
    /// The pipeline, and what it asks of a sample's process.
    fn around<'a>(&'a mut self, users: &'a Users) -> (&'a mut Pipeline, Around<'a>) {
        let around = Around {
            tracker: &mut *self.tracker,
            tables: self.tables.as_ref(),
            users,
        };
        (&mut *self.pipeline, around)
    }
}

impl Intake {
    pub(super) fn new(rings: Rings, settings: &Settings) -> Self {
        Self {
            rings,
            assembly: Assembly::default(),
            undecodable: 0,
            gil_only: settings.gil_only,
            reporting: settings.reporting(),
            without_gil: HashMap::new(),
            sampled: CpuSet::default(),
            users: Users::of_host(),
            open: Open::default(),
        }
    }

    pub(super) fn rings(&self) -> &Rings {
        &self.rings
    }

    /// Samples of a source that were left out because their thread did not hold the GIL.
    pub(super) fn without_gil(&self, source: Source) -> u64 {
        self.without_gil.get(&source).copied().unwrap_or(0)
    }

    /// Samples that were not left out.
    pub(super) fn kept_samples(&self) -> u64 {
        let left_out: u64 = self.without_gil.values().sum();
        self.assembly.samples().saturating_sub(left_out)
    }

    /// CPUs on which a profiled process was sampled since this was asked last.
    pub(super) fn take_sampled(&mut self) -> CpuSet {
        std::mem::take(&mut self.sampled)
    }

    /// Reads what waits; `true` when there is more.
    pub(super) fn drain(&mut self, meets: &mut Meets<'_>) -> bool {
        self.drain_events(meets);
        let deadline = Instant::now() + BUDGET;
        let Self {
            rings,
            assembly,
            undecodable,
            gil_only,
            without_gil,
            sampled,
            users,
            reporting: _,
            open: _,
        } = self;
        let Rings { samples, events } = rings;
        let mut has_more = true;
        while has_more && Instant::now() < deadline {
            has_more = samples.drain(AT_ONCE, |bytes| {
                let Some(whole) = assemble(bytes, assembly, meets, undecodable) else {
                    return;
                };
                let (process, holds_gil) = match whole {
                    Whole::Sample(sample) => {
                        sampled.insert(sample.cpu);
                        let holds_gil = sample.holds_gil();
                        if *gil_only && !holds_gil {
                            *without_gil.entry(sample.source).or_default() += 1;
                        }
                        (sample.process, holds_gil)
                    }
                    // Its stack is there if it did.
                    Whole::Spell(spell) => (spell.process, meets.pipeline.has_stack(&spell)),
                };
                if *gil_only && !holds_gil {
                    return;
                }
                // A child's first sample may be read before its fork: the event is in the other ring by then.
                if meets.tracker.get(process).is_none() {
                    drain_events(events, meets, undecodable);
                }
                match whole {
                    Whole::Sample(sample) => add(sample, meets, users),
                    Whole::Spell(spell) => {
                        let (pipeline, mut around) = meets.around(users);
                        pipeline.end_spell(&spell, &mut around);
                    }
                }
            });
        }
        has_more
    }

    /// Hands out the samples that wait, and adds what is made of them.
    pub(super) fn drain_into(
        &mut self,
        meets: &mut Meets<'_>,
        mut each: impl FnMut(&Sample) -> Option<Sample>,
    ) {
        let Self {
            rings,
            assembly,
            undecodable,
            users,
            ..
        } = self;
        let Rings { samples, events } = rings;
        drain_events(events, meets, undecodable);
        let deadline = Instant::now() + BUDGET;
        let mut has_more = true;
        while has_more && Instant::now() < deadline {
            has_more = samples.drain(AT_ONCE, |bytes| {
                if let Some(Whole::Sample(sample)) = assemble(bytes, assembly, meets, undecodable)
                    && let Some(made) = each(sample)
                {
                    add(&made, meets, users);
                }
            });
        }
    }

    /// Adds a sample that did not wait in a ring.
    pub(super) fn take_in(&mut self, sample: &Sample, meets: &mut Meets<'_>) {
        add(sample, meets, &self.users);
    }

    /// Reads the process events that wait.
    pub(super) fn drain_events(&mut self, meets: &mut Meets<'_>) {
        drain_events(&mut self.rings.events, meets, &mut self.undecodable);
    }

    /// Counts what has passed of spells that are not over.
    pub(super) fn count_open_spells(&mut self, now_ns: u64, meets: &mut Meets<'_>) {
        self.open = Open::default();
        for spell in open_spells(meets.kernel, &self.reporting, now_ns) {
            self.open.blocked += Duration::from_nanos(spell.blocked_ns);
            self.open.waiting += Duration::from_nanos(spell.waiting_ns);
            if !self.gil_only || meets.pipeline.has_stack(&spell) {
                let (pipeline, mut around) = meets.around(&self.users);
                pipeline.count_spell(&spell, &mut around);
            }
        }
    }

    /// Forgets threads of which nothing comes any more, although no event said so.
    pub(super) fn forget_ended_threads(&mut self, meets: &mut Meets<'_>) {
        meets.kernel.sweep_threads();
        let slots = meets.kernel.slots();
        let numbers: HashMap<u32, u32> = slots.map(|(tid, slot)| (tid, slot.spell)).collect();
        meets
            .pipeline
            .keep_spells(|tid, number| numbers.get(&tid) == Some(&number));
    }

    /// What [`Self::count_open_spells`] counted last.
    pub(super) fn open(&self) -> Open {
        self.open
    }

    /// Adds what is not complete: nothing comes any more. The recording ended at `end_ns`, whenever its end is read.
    pub(super) fn finish(&mut self, end_ns: u64, meets: &mut Meets<'_>) {
        for sample in self.assembly.finish() {
            if self.gil_only && !sample.holds_gil() {
                *self.without_gil.entry(sample.source).or_default() += 1;
            } else {
                add(&sample, meets, &self.users);
            }
        }
        self.count_open_spells(end_ns, meets);
        log_totals(meets.kernel);
    }
}

/// What is complete.
enum Whole<'a> {
    Sample(&'a Sample),
    Spell(Spell),
}

/// Puts a record where it belongs; returns what it completes.
fn assemble<'s>(
    bytes: &[u8],
    assembly: &'s mut Assembly,
    meets: &mut Meets<'_>,
    undecodable: &mut u64,
) -> Option<Whole<'s>> {
    match decode(bytes) {
        Ok(Event::Code(view)) => {
            match meets.kernel.layout(view.layout) {
                Some(layout) => meets.pipeline.define(&view, layout),
                None => *undecodable += 1,
            }
            None
        }
        Ok(Event::Sample(view)) => assembly.add(&view).map(Whole::Sample),
        Ok(Event::Native(view)) => assembly.add_native(&view).map(Whole::Sample),
        Ok(Event::Spell(spell)) => Some(Whole::Spell(spell)),
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
    }
}

fn add(sample: &Sample, meets: &mut Meets<'_>, users: &Users) {
    if let Some(tables) = meets.tables.as_mut() {
        tables.supply(meets.kernel, &meets.tracker.inspectors(), sample);
    }
    if let Some(threads) = meets.threads.as_mut() {
        threads.note(sample.process, sample.tid, sample.thread_state, sample.status);
    }
    let (pipeline, mut around) = meets.around(users);
    pipeline.add(sample, &mut around);
    if let Some(tables) = meets.tables.as_mut() {
        tables.touch(sample);
    }
}

fn drain_events(events: &mut Ring, meets: &mut Meets<'_>, undecodable: &mut u64) {
    // Twice as much as fits into the ring: forks cannot keep this going for long.
    events.drain(1 << 14, |bytes| match decode(bytes) {
        Ok(Event::Process(view)) => meets.tracker.observe(meets.kernel, &view),
        Ok(_) => *undecodable += 1,
        Err(error) => {
            log::debug!("event ring: {error}");
            *undecodable += 1;
        }
    });
    match meets.tables.as_mut() {
        Some(tables) => tables.follow(meets.kernel, meets.tracker),
        None => drop(meets.tracker.take_arrived()),
    }
}

/// What the pipeline asks of a sample's process.
struct Around<'a> {
    tracker: &'a mut Tracker,
    tables: Option<&'a NativeTables>,
    users: &'a Users,
}

impl Surroundings for Around<'_> {
    fn interpreter(&self, process: ProcessKey) -> Option<&Interpreter> {
        Some(&*self.tracker.get(process)?.interpreter)
    }

    fn root(&self, process: ProcessKey) -> Option<RootId> {
        self.tracker.get(process)?.root
    }

    fn locate(&self, process: ProcessKey, address: u64) -> Option<Located<'_>> {
        self.tables?.tables.locate(process, address)
    }

    fn describe(&mut self, process: ProcessKey) -> Process {
        let described = self.tracker.describe(process).map(|known| Process {
            pid: process.tgid,
            command_line: known.command_line.clone(),
            user: self.users.name(known.identity.user),
            script: known.identity.script.clone(),
            container: known.identity.placement.container.clone(),
        });
        described.unwrap_or_else(|| Process {
            pid: process.tgid,
            ..Process::default()
        })
    }
}
