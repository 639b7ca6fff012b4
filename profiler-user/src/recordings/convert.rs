//! Turns what was read into a [`Recording`], so that every format can be written of it.

use std::time::{Duration, SystemTime};

use ahash::RandomState;
use indexmap::{IndexMap, IndexSet};
use profiler_common::contract::sources::Source;

use super::identity::{process_of, thread_of};
use super::loaded::{LabelSetId, Loaded};
use super::pairs::{Pair, Pairs};
use crate::profile::timeline::{Tick, Timeline};
use crate::profile::{Count, Process, ProcessId, Profile, Recording, Thread, ThreadId};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// How much of a recording the values of a file are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// For each source how many samples there were, and what they stand for.
    Both,
    /// How many samples there were, but not what they stand for.
    Samples,
    /// Time, but not how many samples that was.
    Time,
    /// Something else, such as bytes.
    Other,
}

/// Why what was read is no recording.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// A difference of two profiles.
    #[error("some values are negative: this is a difference of two recordings")]
    Negative,
    /// The temporary folder is full, or not writable.
    #[error("cannot sort the samples in the temporary folder: {0}")]
    Times(#[from] std::io::Error),
}

/// A recording, and what its numbers are.
#[derive(Debug)]
pub struct Converted {
    /// The recording.
    pub recording: Recording,
    /// What it knows of its samples. What it does not know is 0.
    pub values: Values,
}

/// Makes a recording of the samples whose labels are `wanted` (by their index). If the file has other values than ours, only
/// those of `value_type` are in it.
///
/// # Errors
/// See [`ConvertError`].
pub fn convert(
    mut loaded: Loaded,
    wanted: &[bool],
    value_type: usize,
    title: &str,
) -> Result<Converted, ConvertError> {
    let pairs = Pairs::of(&loaded.types);
    let is_wanted = |labels: LabelSetId| wanted.get(labels.0 as usize).copied().unwrap_or(false);
    let mut owners = Owners::default();
    let owner_of: Vec<ThreadId> = loaded
        .labels
        .iter()
        .zip(wanted)
        .map(|(labels, wanted)| {
            if *wanted {
                owners.thread(process_of(labels), thread_of(labels))
            } else {
                ThreadId(0)
            }
        })
        .collect();
    let (columns, values) = columns(&loaded, &pairs, value_type);
    let mut profiles = Vec::new();
    for Column {
        source,
        samples,
        weight,
    } in &columns
    {
        let mut counts: IndexMap<(ThreadId, u32), Count, RandomState> = IndexMap::default();
        for (index, row) in loaded.rows.iter().enumerate() {
            if !is_wanted(row.labels) {
                continue;
            }
            let values = loaded.values(index);
            let (samples, weight) = (samples.of(values)?, weight.of(values)?);
            if (samples, weight) == (0, 0) {
                continue;
            }
            let thread = owner_of
                .get(row.labels.0 as usize)
                .copied()
                .unwrap_or(ThreadId(0));
            let count = counts.entry((thread, row.stack.0)).or_insert(Count {
                thread,
                stack: row.stack,
                samples: 0,
                weight: 0,
                gil_weight: 0,
            });
            count.samples = count.samples.saturating_add(samples);
            count.weight = count.weight.saturating_add(weight);
        }
        let mut counts: Vec<Count> = counts.into_values().collect();
        counts.sort_unstable_by_key(|count| (count.thread, count.stack));
        if !counts.is_empty() {
            profiles.push(Profile {
                source: *source,
                counts,
            });
        }
    }
    let start_ns = u64::try_from(loaded.about.started_ns).unwrap_or(0);
    let timeline = match loaded.times.take() {
        Some(times) => Some(timeline(times, start_ns, &owner_of, is_wanted)?),
        None => None,
    };
    let said = Said::of(&loaded);
    let is_ours = said.host.is_some();
    let recording = Recording {
        title: if is_ours && loaded.about.files == 1 {
            said.title
        } else {
            title.to_owned()
        },
        started: SystemTime::UNIX_EPOCH + Duration::from_nanos(start_ns),
        duration: Duration::from_nanos(u64::try_from(loaded.about.duration_ns).unwrap_or(0)),
        rate_hz: rate_hz(&loaded),
        period: period(&loaded),
        host: said.host.unwrap_or_default(),
        cpus: said.cpus,
        accounts: said.accounts,
        processes: owners.processes.into_iter().collect(),
        threads: owners.threads.into_iter().collect(),
        frames: loaded.frames,
        stacks: loaded.stacks,
        profiles,
        timeline,
    };
    Ok(Converted { recording, values })
}

/// Processes and threads, each once.
#[derive(Debug, Default)]
struct Owners {
    processes: IndexSet<Process, RandomState>,
    threads: IndexSet<Thread, RandomState>,
}

impl Owners {
    fn thread(&mut self, process: Process, (tid, name): (u32, String)) -> ThreadId {
        let process = ProcessId(index(self.processes.insert_full(process).0));
        let thread = Thread { process, tid, name };
        ThreadId(index(self.threads.insert_full(thread).0))
    }
}

/// Which values of a file are a source's.
#[derive(Clone, Copy, Debug)]
struct Column {
    source: Source,
    samples: Amount,
    weight: Amount,
}

/// Where a number comes from.
#[derive(Clone, Copy, Debug)]
enum Amount {
    /// A value of the file.
    Value(usize),
    /// As many times the period.
    Periods(usize, u64),
    /// It is not known.
    Unknown,
}

impl Amount {
    fn of(self, values: &[i64]) -> Result<u64, ConvertError> {
        let value = |at: usize| {
            let value = values.get(at).copied().unwrap_or(0);
            u64::try_from(value).map_err(|_| ConvertError::Negative)
        };
        match self {
            Self::Value(at) => value(at),
            Self::Periods(at, period) => Ok(value(at)?.saturating_mul(period)),
            Self::Unknown => Ok(0),
        }
    }
}

/// The columns of a file.
fn columns(loaded: &Loaded, pairs: &Pairs, value_type: usize) -> (Vec<Column>, Values) {
    let of_pair = |pair: &Pair| Column {
        source: pair.source,
        samples: Amount::Value(pair.samples),
        weight: Amount::Value(pair.weight),
    };
    if pairs.are_all_of(&loaded.types) {
        return (pairs.0.iter().map(of_pair).collect(), Values::Both);
    }
    let of_value = |pair: &&Pair| [pair.samples, pair.weight].contains(&value_type);
    if let Some(pair) = pairs.0.iter().find(of_value) {
        return (vec![of_pair(pair)], Values::Both);
    }
    let (value, unknown) = (Amount::Value(value_type), Amount::Unknown);
    let (samples, weight, values) = match loaded.types.get(value_type) {
        Some(of) if of.name == "samples" && of.unit == "count" => match cpu_period_ns(loaded) {
            Some(period_ns) => (value, Amount::Periods(value_type, period_ns), Values::Both),
            None => (value, unknown, Values::Samples),
        },
        Some(of) if of.unit == "nanoseconds" => (unknown, value, Values::Time),
        _ => (value, unknown, Values::Other),
    };
    let column = Column {
        source: Source::OnCpu,
        samples,
        weight,
    };
    (vec![column], values)
}

/// What a sample of CPU time stands for, if the file says so.
fn cpu_period_ns(loaded: &Loaded) -> Option<u64> {
    let of = loaded.about.period_type.as_ref()?;
    let is_cpu = of.name == Source::OnCpu.name() && of.unit == "nanoseconds";
    u64::try_from(loaded.about.period)
        .ok()
        .filter(|period| is_cpu && *period > 0)
}

/// Samples per second and CPU; 0 if it is not known.
fn rate_hz(loaded: &Loaded) -> u32 {
    let period_ns = loaded
        .about
        .period_type
        .as_ref()
        .filter(|of| of.unit == "nanoseconds")
        .and_then(|_| u64::try_from(loaded.about.period).ok())
        .filter(|period_ns| *period_ns > 0);
    period_ns.map_or(0, |period_ns| {
        let rate_hz = (NANOSECONDS_PER_SECOND + period_ns / 2) / period_ns;
        u32::try_from(rate_hz).unwrap_or(u32::MAX)
    })
}

/// Events for each sample.
fn period(loaded: &Loaded) -> u64 {
    match &loaded.about.period_type {
        Some(of) if of.unit == "count" => u64::try_from(loaded.about.period).unwrap_or(1).max(1),
        _ => 1,
    }
}

/// The samples in the order of the file, with threads in place of labels and times from the start on.
fn timeline(
    mut times: Timeline,
    start_ns: u64,
    thread_of: &[ThreadId],
    is_wanted: impl Fn(LabelSetId) -> bool,
) -> Result<Timeline, ConvertError> {
    let mut timeline = Timeline::new()?;
    for tick in times.read()? {
        let tick = tick?;
        let ThreadId(labels) = tick.thread;
        let Some(thread) = thread_of.get(labels as usize) else {
            continue;
        };
        if is_wanted(LabelSetId(labels)) {
            timeline.push(Tick {
                time_ns: tick.time_ns.saturating_sub(start_ns),
                thread: *thread,
                ..tick
            });
        }
    }
    Ok(timeline)
}

/// What the comments of our own files say.
#[derive(Debug, Default)]
struct Said {
    title: String,
    host: Option<String>,
    cpus: u32,
    accounts: Vec<String>,
}

impl Said {
    /// The way back from `output/pprof`: the command line, `host NAME, N CPUs sampled`, and the accounts.
    fn of(loaded: &Loaded) -> Self {
        let comments = &loaded.about.comments;
        let host = comments.get(1).and_then(|line| {
            let (host, cpus) = line.strip_prefix("host ")?.rsplit_once(", ")?;
            let cpus = cpus.strip_suffix(" CPUs sampled")?.parse().ok()?;
            Some((host.to_owned(), cpus))
        });
        match (comments.first(), host) {
            (Some(title), Some((host, cpus))) => Self {
                title: title.clone(),
                host: Some(host),
                cpus,
                // Those of one file say nothing of several.
                accounts: comments
                    .get(2..)
                    .filter(|_| loaded.about.files == 1)
                    .unwrap_or_default()
                    .to_vec(),
            },
            _ => Self::default(),
        }
    }
}

fn index(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
