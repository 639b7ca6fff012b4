//! speedscope's JSON (`speedscope`): one `sampled` profile per thread, fields and names as py-spy writes them.
//!
//! Unlike py-spy's, it is true to time. Every profile starts with the recording and shares its clock, so threads line up.
//! A sample weighs `1 / rate` seconds and ends when it was taken. Time without a sample is a sample without frames
//! that weighs as much as the pause: speedscope shows it as empty in "Time Order" and leaves it out of "Left Heavy",
//! "Sandwich" and every percentage, so there the sum is the CPU time. After the last sample there is no pause:
//! `endValue` says when the recording ended.
//!
//! `tracks` turns samples into stretches of time. Sources that count events have profiles of their own, in which a sample
//! weighs as many events as it stands for and pauses are not drawn.
//!
//! Nothing is kept but one number per frame and thread: samples are read from disk thread by thread, once for
//! `samples` and once for `weights`.

use std::collections::HashMap;
use std::io::Write;

use serde::Serialize;

use profiler_common::contract::sources::Source;

use crate::output::amounts::{AmountUnit, Measure};
use crate::output::json_text::{json, separate};
use crate::output::lanes::Lanes;
use crate::output::tracks::{Entry, Track, entries, lanes, period_ns, tracks};
use crate::output::{Group, Output, OutputError, RenderOptions};
use crate::profile::{Frame, FrameKind, Recording};

/// Identifies the format; speedscope compares it.
const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

/// The format.
pub(super) struct Speedscope;

impl Output for Speedscope {
    fn about(&self) -> &'static str {
        "JSON for speedscope, every thread in the order of time"
    }

    fn noun(&self) -> Option<&'static str> {
        Some("speedscope file")
    }

    fn opens_with(&self) -> Option<&'static str> {
        Some("Visit https://www.speedscope.app/ to view")
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
        let tracks = tracks(self.recording);
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

    fn write_track(&self, track: &Track<'p>, out: &mut dyn Write) -> Result<(), OutputError> {
        out.write_all(b"{\"type\":\"sampled\",\"name\":")?;
        json(out, &self.name(track))?;
        out.write_all(b",\"unit\":")?;
        json(out, if track.is_time() { "seconds" } else { "none" })?;
        out.write_all(b",\"startValue\":0,\"samples\":[")?;
        let mut stack = self.roots[track.thread.0 as usize].clone();
        let roots = stack.len();
        for (index, entry) in entries(self.recording, self.lanes, track).enumerate() {
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
        let period_ns = period_ns(self.recording);
        let mut end = 0u64;
        for (index, entry) in entries(self.recording, self.lanes, track).enumerate() {
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

    /// As py-spy names it; what is not CPU time says so.
    fn name(&self, track: &Track<'p>) -> String {
        let thread = self.recording.thread(track.thread);
        let mut name = format!("Thread {} \"{}\"", thread.tid, thread.name);
        if self.several_processes {
            name = format!("Process {} {name}", self.recording.process(thread.process).pid);
        }
        match track.profile.source {
            Source::OnCpu => name,
            source if track.is_time() => format!("{name} ({})", source.name()),
            source => format!("{name} ({})", AmountUnit::of(source, Measure::Samples).text()),
        }
    }
}

/// Index of the thread with most samples, which speedscope shows first.
fn busiest(tracks: &[Track<'_>]) -> Option<usize> {
    (0..tracks.len()).rev().max_by_key(|index| tracks[*index].samples)
}

fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

#[cfg(test)]
mod tests;
