//! speedscope's JSON (`speedscope`): one `sampled` profile per thread, fields and names as py-spy writes them.
//!
//! Unlike py-spy's, it is true to time. Every profile starts with the recording and shares its clock, so threads line up.
//! A sample weighs `1 / rate` seconds and ends when it was taken. Time without a sample is a sample without frames
//! that weighs as much as the pause: speedscope shows it as empty in "Time Order" and leaves it out of "Left Heavy",
//! "Sandwich" and every percentage, so there the sum is the CPU time. After the last sample there is no pause:
//! `endValue` says when the recording ended.
//!
//! Samples never come exactly at the rate. Those less than one and a half periods apart are drawn without a gap: the thread
//! ran. Drift beyond [`JITTER_PERIODS`] is taken out of the weights, so a second stays a second; all other weights are
//! whole.
//!
//! Sources that count events have profiles of their own, in which a sample weighs as many events as it stands for and
//! pauses are not drawn. A time line that was cut off by a full disk is no time line: then every stack is drawn once, with all
//! of its samples.
//!
//! Nothing is kept but one number per frame and thread: samples are read from disk thread by thread, once for
//! `samples` and once for `weights`.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::output::amounts::{AmountUnit, Measure};
use crate::output::lanes::{Lanes, Moment};
use crate::output::{Group, Output, OutputError, RenderOptions};
use crate::profile::timeline::Tick;
use crate::profile::{Count, Frame, FrameKind, Profile, Recording, StackId, ThreadId};
use profiler_common::contract::sources::Unit;

/// Identifies the format; speedscope compares it.
const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";
/// How far from its time a sample may be drawn, in sampling periods.
const JITTER_PERIODS: u64 = 2;

/// The format.
pub(super) struct Speedscope;

impl Output for Speedscope {
    fn about(&self) -> &'static str {
        "JSON for speedscope, every thread in the order of time"
    }

    fn wants_timeline(&self) -> bool {
        true
    }

    fn names_threads(&self) -> bool {
        true
    }

    fn write(
        &self,
        recording: &mut Recording,
        options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        let lanes = lanes(recording)?;
        let document = Document::new(recording, options, lanes.as_ref());
        document.write(out)
    }
}

/// The samples by source and thread; `None` when not all of them are in the time line.
fn lanes(recording: &mut Recording) -> Result<Option<Lanes>, OutputError> {
    let timeline = recording.timeline.as_mut().ok_or(OutputError::NoTimeline)?;
    if timeline.has_failed() {
        return Ok(None);
    }
    let (profiles, threads) = (&recording.profiles, recording.threads.len());
    let lane = |tick: &Tick| {
        let profile = profiles
            .iter()
            .position(|profile| profile.source == tick.source)?;
        Some(profile * threads + tick.thread.0 as usize)
    };
    let sorted = Lanes::sort(timeline, profiles.len() * threads, lane);
    sorted.map(Some).map_err(OutputError::Timeline)
}

/// A frame of `shared.frames`. py-spy's readers expect all four keys, so what is not known is `null`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
struct SharedFrame {
    name: String,
    file: Option<String>,
    line: Option<u32>,
    col: Option<u32>,
}

impl SharedFrame {
    /// Always the whole path: speedscope has room for it. Native code without a source file has its library there.
    fn new(frame: &Frame, options: &RenderOptions) -> Self {
        let (file, line) = match frame.kind {
            FrameKind::Marker => (None, None),
            _ => (
                frame.file.clone().or_else(|| frame.module.clone()),
                options.line(frame),
            ),
        };
        Self {
            name: frame.name.clone(),
            file,
            line,
            col: None,
        }
    }

    fn root(name: String) -> Self {
        Self {
            name,
            file: None,
            line: None,
            col: None,
        }
    }
}

/// `shared.frames` while it is collected: each different frame once.
#[derive(Default)]
struct SharedFrames {
    frames: Vec<SharedFrame>,
    index: HashMap<SharedFrame, u32>,
}

impl SharedFrames {
    fn add(&mut self, frame: SharedFrame) -> u32 {
        let next = u32::try_from(self.frames.len()).unwrap_or(u32::MAX);
        *self.index.entry(frame).or_insert_with_key(|frame| {
            self.frames.push(frame.clone());
            next
        })
    }
}

/// The file, ready to be written.
struct Document<'p> {
    recording: &'p Recording,
    /// `None` where there is no order of time.
    lanes: Option<&'p Lanes>,
    shared: Vec<SharedFrame>,
    /// `FrameId` to index into `shared`.
    frames: Vec<u32>,
    /// `ThreadId` to the frames around its stacks.
    roots: Vec<Vec<u32>>,
    /// Whether a thread's name starts with its process.
    several_processes: bool,
}

impl<'p> Document<'p> {
    fn new(recording: &'p Recording, options: &RenderOptions, lanes: Option<&'p Lanes>) -> Self {
        let mut shared = SharedFrames::default();
        let frames = recording
            .frames
            .iter()
            .map(|frame| shared.add(SharedFrame::new(frame, options)))
            .collect();
        let groups: Vec<Vec<String>> = options.roots.iter().map(|group| group.texts(recording)).collect();
        let roots = (0..recording.threads.len())
            .map(|thread| {
                let texts = groups.iter().filter_map(|texts| texts.get(thread));
                texts
                    .map(|text| shared.add(SharedFrame::root(text.clone())))
                    .collect()
            })
            .collect();
        let several_processes = options.roots.contains(&Group::Process) || recording.processes.len() > 1;
        Self {
            recording,
            lanes,
            shared: shared.frames,
            frames,
            roots,
            several_processes,
        }
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), OutputError> {
        let tracks = self.tracks();
        write!(out, "{{\"$schema\":\"{SCHEMA}\",\"name\":\"pyebpf profile\",")?;
        write!(out, "\"exporter\":\"pyebpf@{}\",", env!("CARGO_PKG_VERSION"))?;
        if let Some(index) = busiest(&tracks) {
            write!(out, "\"activeProfileIndex\":{index},")?;
        }
        out.write_all(b"\"shared\":{\"frames\":[")?;
        for (index, frame) in self.shared.iter().enumerate() {
            separate(out, index)?;
            json(out, frame)?;
        }
        out.write_all(b"]},\"profiles\":[")?;
        for (index, track) in tracks.iter().enumerate() {
            separate(out, index)?;
            out.write_all(b"\n")?;
            self.write_track(track, out)?;
        }
        Ok(out.write_all(b"\n]}\n")?)
    }

    /// Source by source the threads that it saw, by process and thread id: the order in speedscope's list.
    fn tracks(&self) -> Vec<Track<'p>> {
        let mut tracks = Vec::new();
        for (index, profile) in self.recording.profiles.iter().enumerate() {
            let mut samples = vec![0; self.recording.threads.len()];
            for count in &profile.counts {
                if let Some(of_thread) = samples.get_mut(count.thread.0 as usize) {
                    *of_thread += count.samples;
                }
            }
            let first = tracks.len();
            tracks.extend((0u32..).zip(samples).filter(|(_, samples)| *samples != 0).map(
                |(thread, samples)| Track {
                    profile,
                    lane: index * self.recording.threads.len() + thread as usize,
                    thread: ThreadId(thread),
                    samples,
                },
            ));
            tracks[first..].sort_by_key(|track| {
                let thread = self.recording.thread(track.thread);
                (self.recording.process(thread.process).pid, thread.tid)
            });
        }
        tracks
    }

    fn write_track(&self, track: &Track<'p>, out: &mut dyn Write) -> Result<(), OutputError> {
        out.write_all(b"{\"type\":\"sampled\",\"name\":")?;
        json(out, &self.name(track))?;
        out.write_all(b",\"unit\":")?;
        json(out, if track.is_time() { "seconds" } else { "none" })?;
        out.write_all(b",\"startValue\":0,\"samples\":[")?;
        let mut stack = self.roots[track.thread.0 as usize].clone();
        let roots = stack.len();
        for (index, entry) in self.entries(track).enumerate() {
            stack.truncate(roots);
            separate(out, index)?;
            match entry.map_err(OutputError::Timeline)? {
                Entry::Pause(_) => out.write_all(b"[]")?,
                Entry::Sample(id, _) => {
                    stack.extend(
                        self.recording
                            .stack(id)
                            .iter()
                            .map(|frame| self.frames[frame.0 as usize]),
                    );
                    json(out, &stack)?;
                }
            }
        }
        out.write_all(b"],\"weights\":[")?;
        let end = self.write_weights(track, out)?;
        out.write_all(b"],\"endValue\":")?;
        if track.is_time() {
            let recording_ns = u64::try_from(self.recording.duration.as_nanos()).unwrap_or(u64::MAX);
            json(out, &seconds(recording_ns.max(end)))?;
        } else {
            json(out, &end)?;
        }
        Ok(out.write_all(b"}")?)
    }

    /// Returns where the entries end: nanoseconds, or events.
    fn write_weights(&self, track: &Track<'p>, out: &mut dyn Write) -> Result<u64, OutputError> {
        let sample_weight = 1.0 / f64::from(self.recording.rate_hz.max(1));
        let period_ns = self.period_ns();
        let mut end = 0u64;
        for (index, entry) in self.entries(track).enumerate() {
            separate(out, index)?;
            let entry = entry.map_err(OutputError::Timeline)?;
            let (Entry::Pause(width) | Entry::Sample(_, width)) = entry;
            end = end.saturating_add(width);
            match entry {
                _ if !track.is_time() => json(out, &width)?,
                Entry::Sample(_, ns) if ns == period_ns => json(out, &sample_weight)?,
                Entry::Pause(ns) | Entry::Sample(_, ns) => json(out, &seconds(ns))?,
            }
        }
        Ok(end)
    }

    fn period_ns(&self) -> u64 {
        (1_000_000_000 / u64::from(self.recording.rate_hz.max(1))).max(1)
    }

    fn entries<'s>(&'s self, track: &'s Track<'p>) -> Box<dyn Iterator<Item = io::Result<Entry>> + 's> {
        match self.lanes {
            Some(lanes) if track.is_time() => {
                Box::new(Chart::new(lanes.moments(track.lane), self.period_ns()))
            }
            Some(lanes) => {
                let moments = lanes.moments(track.lane);
                Box::new(
                    moments.map(|moment| moment.map(|moment| Entry::Sample(moment.stack, moment.weight))),
                )
            }
            None => {
                let of_thread = |count: &&Count| count.thread == track.thread;
                let counts = track.profile.counts.iter().filter(of_thread);
                let width = |count: &Count| {
                    if track.is_time() {
                        count.samples.saturating_mul(self.period_ns())
                    } else {
                        count.weight
                    }
                };
                Box::new(counts.map(move |count| Ok(Entry::Sample(count.stack, width(count)))))
            }
        }
    }

    /// As py-spy names it; what counts events says which.
    fn name(&self, track: &Track<'p>) -> String {
        let thread = self.recording.thread(track.thread);
        let mut name = format!("Thread {} \"{}\"", thread.tid, thread.name);
        if self.several_processes {
            name = format!("Process {} {name}", self.recording.process(thread.process).pid);
        }
        if !track.is_time() {
            let unit = AmountUnit::of(track.profile.source, Measure::Samples);
            name = format!("{name} ({})", unit.text());
        }
        name
    }
}

/// What one source saw of one thread.
struct Track<'p> {
    profile: &'p Profile,
    lane: usize,
    thread: ThreadId,
    samples: u64,
}

impl Track<'_> {
    fn is_time(&self) -> bool {
        self.profile.source.unit() == Unit::Nanoseconds
    }
}

/// One element of `samples` and `weights`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    /// Nothing was sampled for so many nanoseconds.
    Pause(u64),
    /// A stack, and for how many nanoseconds it is drawn: the sampling period, unless there was drift.
    Sample(StackId, u64),
}

/// Lays the samples of a thread along the time of the recording.
struct Chart<I> {
    moments: I,
    period_ns: u64,
    /// Up to where there are entries.
    drawn_ns: u64,
    /// The time of the sample before.
    last_ns: u64,
    /// The sample that ends the pause just returned.
    after_pause: Option<Moment>,
}

impl<I: Iterator<Item = io::Result<Moment>>> Chart<I> {
    fn new(moments: I, period_ns: u64) -> Self {
        Self {
            moments,
            period_ns,
            drawn_ns: 0,
            last_ns: 0,
            after_pause: None,
        }
    }

    /// The pause before `moment`: at least one sample is missing, and there is room for it.
    fn pause_before(&self, moment: Moment) -> Option<u64> {
        let half_ns = self.period_ns / 2;
        let starts_ns = moment.time_ns.saturating_sub(self.period_ns);
        let pause_ns = starts_ns.saturating_sub(self.drawn_ns);
        let missing = moment.time_ns.saturating_sub(self.last_ns) >= self.period_ns + half_ns;
        (missing && pause_ns >= half_ns).then_some(pause_ns)
    }

    /// The sampling period, or what keeps the entries within the jitter of `moment`.
    fn width_of(&self, moment: Moment) -> u64 {
        let jitter_ns = self.period_ns * JITTER_PERIODS;
        let up_to = |end_ns: u64| end_ns.saturating_sub(self.drawn_ns);
        let least_ns = up_to(moment.time_ns.saturating_sub(jitter_ns));
        self.period_ns
            .clamp(least_ns, up_to(moment.time_ns.saturating_add(jitter_ns)))
    }
}

impl<I: Iterator<Item = io::Result<Moment>>> Iterator for Chart<I> {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        let moment = match self.after_pause.take() {
            Some(moment) => moment,
            None => match self.moments.next()? {
                Ok(moment) => moment,
                Err(error) => return Some(Err(error)),
            },
        };
        let pause_ns = self.pause_before(moment);
        // Also ends a pause: its sample now is its own predecessor.
        self.last_ns = moment.time_ns;
        let (entry, ns) = match pause_ns {
            Some(ns) => (Entry::Pause(ns), ns),
            None => {
                let ns = self.width_of(moment);
                (Entry::Sample(moment.stack, ns), ns)
            }
        };
        self.after_pause = pause_ns.map(|_| moment);
        self.drawn_ns = self.drawn_ns.saturating_add(ns);
        Some(Ok(entry))
    }
}

/// Index of the thread with most samples, which speedscope shows first.
fn busiest(tracks: &[Track<'_>]) -> Option<usize> {
    (0..tracks.len()).rev().max_by_key(|index| tracks[*index].samples)
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// The comma before the element `index` of an array.
fn separate(out: &mut dyn Write, index: usize) -> io::Result<()> {
    if index == 0 { Ok(()) } else { out.write_all(b",") }
}

/// Values of bounded size only: a small text is put together first, which is faster than many small writes.
fn json(out: &mut dyn Write, value: &(impl Serialize + ?Sized)) -> Result<(), OutputError> {
    let text = serde_json::to_vec(value).map_err(|error| OutputError::Write(error.into()))?;
    Ok(out.write_all(&text)?)
}

#[cfg(test)]
mod tests;
