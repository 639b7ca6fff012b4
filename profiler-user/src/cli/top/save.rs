//! Writing what was sampled so far to a file, on a thread of its own.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::super::failure::Failure;
use super::super::finishing::Gate;
use super::super::{blocking, outputs, result};
use crate::ids::ProcessKey;
use crate::output::{Group, LineStyle, Measure, RenderOptions};
use crate::proc::script::tell_apart;
use crate::profile::aggregate::{Aggregator, LateNames};
use crate::profile::timeline::Timeline;
use crate::profile::{Frame, Recording};

/// Everything since the start, or since the last reset.
pub(super) struct Saved {
    all: Aggregator,
    about: About,
}

/// What only the first interval says.
#[derive(Clone, Debug)]
struct About {
    title: String,
    started: Option<SystemTime>,
    duration: Duration,
    rate_hz: u32,
    period: u64,
    host: String,
    cpus: u32,
}

/// All names are known.
struct NoNames;

impl LateNames for NoNames {
    fn frames(&self, _: usize) -> Vec<Frame> {
        Vec::new()
    }

    fn thread(&self, _: ProcessKey, _: u32) -> Option<String> {
        None
    }
}

impl Saved {
    pub(super) fn new() -> Self {
        Self {
            all: Aggregator::new(0, None),
            about: About {
                title: String::new(),
                started: None,
                duration: Duration::ZERO,
                rate_hz: 0,
                period: 0,
                host: String::new(),
                cpus: 0,
            },
        }
    }

    pub(super) fn add(&mut self, part: &Recording) {
        self.all.absorb(part);
        let about = &mut self.about;
        about.duration += part.duration;
        about.started.get_or_insert(part.started);
        about.title.clone_from(&part.title);
        about.host.clone_from(&part.host);
        (about.rate_hz, about.period, about.cpus) = (part.rate_hz, part.period, part.cpus);
    }

    /// A copy of it.
    pub(super) fn recording(&self) -> Recording {
        let mut recording = self.all.snapshot(&NoNames);
        let about = &self.about;
        recording.title.clone_from(&about.title);
        recording.started = about.started.unwrap_or(SystemTime::UNIX_EPOCH);
        recording.duration = about.duration;
        recording.host.clone_from(&about.host);
        (recording.rate_hz, recording.period) = (about.rate_hz, about.period);
        recording.cpus = about.cpus;
        let scripts = recording.processes.iter_mut();
        tell_apart(
            &mut scripts
                .filter_map(|process| process.script.as_mut())
                .collect::<Vec<_>>(),
        );
        recording
    }
}

/// Writes a recording; what the screen says of it.
pub(super) async fn save(name: String, mut recording: Recording, full_filenames: bool) -> String {
    let work = move || write(&name, &mut recording, full_filenames);
    match blocking::run(work).await.and_then(|written| written) {
        Ok(text) => text,
        Err(Failure { message, hint, .. }) => match hint {
            Some(hint) => format!("Not saved: {message} ({hint})"),
            None => format!("Not saved: {message}"),
        },
    }
}

fn write(name: &str, recording: &mut Recording, full_filenames: bool) -> Result<String, Failure> {
    if recording.is_empty() {
        return Err(Failure::new("there are no samples yet"));
    }
    let mut planned = outputs::plan(&[PathBuf::from(name)], &[], "top")?;
    let Some(planned) = planned.pop() else {
        return Err(Failure::new("no file"));
    };
    let prepared = outputs::open(planned)?;
    if !prepared.file.is_file() {
        return Err(Failure::new(format_args!("{name} is no file")).hint("give a name such as cpu.svg"));
    }
    if prepared.encoding.format.wants_timeline() {
        recording.timeline = Timeline::not_kept().ok();
    }
    let options = RenderOptions {
        lines: LineStyle::Current,
        full_filenames,
        roots: if recording.processes.len() > 1 {
            vec![Group::Process]
        } else {
            Vec::new()
        },
        measure: Measure::default(),
        timestamps: false,
        sources: Vec::new(),
    };
    let noun = prepared.encoding.format.noun();
    let file = (prepared.file, &Gate::default());
    let at = result::write_or_rescue(prepared.encoding, &options, file, recording)?;
    Ok(format!("Wrote {noun} to {at}"))
}
