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
//! Nothing is kept but one number per frame and thread: samples are read from disk thread by thread, once for
//! `samples` and once for `weights`.

use std::collections::HashMap;
use std::io::{self, Write};

use serde::Serialize;

use crate::output::by_thread::{ByThread, Moment};
use crate::output::{Group, Output, OutputError, RenderOptions};
use crate::profile::{Frame, FrameKind, Profile, StackId, ThreadId};

/// Identifies the format; speedscope compares it.
const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";
/// How far from its time a sample may be drawn, in sampling periods.
const JITTER_PERIODS: u64 = 2;

/// The format.
pub(super) struct Speedscope;

impl Output for Speedscope {
    fn name(&self) -> &'static str {
        "speedscope"
    }

    fn about(&self) -> &'static str {
        "JSON for speedscope, every thread in the order of time"
    }

    fn extension(&self) -> &'static str {
        "json"
    }

    fn wants_timeline(&self) -> bool {
        true
    }

    fn names_threads(&self) -> bool {
        true
    }

    fn write(
        &self,
        profile: &mut Profile,
        options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        let timeline = profile.timeline.as_mut().ok_or(OutputError::NoTimeline)?;
        let samples = ByThread::sort(timeline, profile.threads.len()).map_err(OutputError::Timeline)?;
        let document = Document::new(profile, options, &samples);
        document.write(out)
    }
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
    profile: &'p Profile,
    samples: &'p ByThread,
    shared: Vec<SharedFrame>,
    /// `FrameId` to index into `shared`.
    frames: Vec<u32>,
    /// `ThreadId` to the frames around its stacks.
    roots: Vec<Vec<u32>>,
    /// Whether a thread's name starts with its process.
    several_processes: bool,
}

impl<'p> Document<'p> {
    fn new(profile: &'p Profile, options: &RenderOptions, samples: &'p ByThread) -> Self {
        let mut shared = SharedFrames::default();
        let frames = profile
            .frames
            .iter()
            .map(|frame| shared.add(SharedFrame::new(frame, options)))
            .collect();
        let groups: Vec<Vec<String>> = options.roots.iter().map(|group| group.texts(profile)).collect();
        let roots = (0..profile.threads.len())
            .map(|thread| {
                let texts = groups.iter().filter_map(|texts| texts.get(thread));
                texts
                    .map(|text| shared.add(SharedFrame::root(text.clone())))
                    .collect()
            })
            .collect();
        let several_processes = options.roots.contains(&Group::Process) || profile.processes.len() > 1;
        Self {
            profile,
            samples,
            shared: shared.frames,
            frames,
            roots,
            several_processes,
        }
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), OutputError> {
        let threads = self.threads();
        write!(out, "{{\"$schema\":\"{SCHEMA}\",\"name\":\"pyebpf profile\",")?;
        write!(out, "\"exporter\":\"pyebpf@{}\",", env!("CARGO_PKG_VERSION"))?;
        if let Some(index) = busiest(&threads, self.samples) {
            write!(out, "\"activeProfileIndex\":{index},")?;
        }
        out.write_all(b"\"shared\":{\"frames\":[")?;
        for (index, frame) in self.shared.iter().enumerate() {
            separate(out, index)?;
            json(out, frame)?;
        }
        out.write_all(b"]},\"profiles\":[")?;
        for (index, thread) in threads.iter().enumerate() {
            separate(out, index)?;
            out.write_all(b"\n")?;
            self.write_thread(*thread, out)?;
        }
        Ok(out.write_all(b"\n]}\n")?)
    }

    /// The threads that were sampled, by process and thread id: the order in speedscope's list.
    fn threads(&self) -> Vec<ThreadId> {
        let all = (0u32..).map(ThreadId).take(self.profile.threads.len());
        let mut sampled: Vec<ThreadId> = all.filter(|thread| self.samples.samples(*thread) != 0).collect();
        sampled.sort_by_key(|thread| {
            let thread = self.profile.thread(*thread);
            (self.profile.process(thread.process).pid, thread.tid)
        });
        sampled
    }

    fn write_thread(&self, thread: ThreadId, out: &mut dyn Write) -> Result<(), OutputError> {
        out.write_all(b"{\"type\":\"sampled\",\"name\":")?;
        json(out, &self.thread_name(thread))?;
        out.write_all(b",\"unit\":\"seconds\",\"startValue\":0,\"samples\":[")?;
        let mut stack = self.roots[thread.0 as usize].clone();
        let roots = stack.len();
        for (index, entry) in self.chart(thread).enumerate() {
            stack.truncate(roots);
            separate(out, index)?;
            match entry.map_err(OutputError::Timeline)? {
                Entry::Pause(_) => out.write_all(b"[]")?,
                Entry::Sample(id, _) => {
                    stack.extend(
                        self.profile
                            .stack(id)
                            .iter()
                            .map(|frame| self.frames[frame.0 as usize]),
                    );
                    json(out, &stack)?;
                }
            }
        }
        out.write_all(b"],\"weights\":[")?;
        let end_ns = self.write_weights(thread, out)?;
        out.write_all(b"],\"endValue\":")?;
        json(out, &seconds(end_ns))?;
        Ok(out.write_all(b"}")?)
    }

    /// Returns when the thread or the recording ends, whichever is later, in nanoseconds.
    fn write_weights(&self, thread: ThreadId, out: &mut dyn Write) -> Result<u64, OutputError> {
        let sample_weight = 1.0 / f64::from(self.profile.rate_hz.max(1));
        let mut chart = self.chart(thread);
        let period_ns = chart.period_ns;
        for (index, entry) in chart.by_ref().enumerate() {
            separate(out, index)?;
            match entry.map_err(OutputError::Timeline)? {
                Entry::Pause(ns) => json(out, &seconds(ns))?,
                Entry::Sample(_, ns) if ns == period_ns => json(out, &sample_weight)?,
                Entry::Sample(_, ns) => json(out, &seconds(ns))?,
            }
        }
        let recording_ns = u64::try_from(self.profile.duration.as_nanos()).unwrap_or(u64::MAX);
        Ok(recording_ns.max(chart.drawn_ns))
    }

    fn chart(&self, thread: ThreadId) -> Chart<impl Iterator<Item = io::Result<Moment>> + '_> {
        let period_ns = (1_000_000_000 / u64::from(self.profile.rate_hz.max(1))).max(1);
        Chart::new(self.samples.moments(thread), period_ns)
    }

    /// As py-spy names it.
    fn thread_name(&self, thread: ThreadId) -> String {
        let thread = self.profile.thread(thread);
        let name = format!("Thread {} \"{}\"", thread.tid, thread.name);
        if self.several_processes {
            format!("Process {} {name}", self.profile.process(thread.process).pid)
        } else {
            name
        }
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
fn busiest(threads: &[ThreadId], samples: &ByThread) -> Option<usize> {
    (0..threads.len())
        .rev()
        .max_by_key(|index| samples.samples(threads[*index]))
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
