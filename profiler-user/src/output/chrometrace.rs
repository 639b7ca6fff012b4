//! Chrome's trace events (`chrometrace`), for `chrome://tracing` and Perfetto: an array of events as py-spy writes it.
//!
//! Every thread has the kernel's process and thread id, so nothing is mixed up after a fork. A frame begins (`B`) with the
//! first sample that has it and ends (`E`) with the last one in a row; `tracks` turns samples into stretches of time.
//! Samples of sources that count events are instants (`i`) with their stack and weight. Root frames are left out: the format
//! has processes and threads of its own.
//!
//! By the rules of Google's "Trace Event Format", in the form of an array: `ts` in microseconds; beginnings and ends in the
//! order of time for each thread id, and nested; names of processes and threads as metadata (`M`), which have no time.

use std::collections::HashMap;
use std::io::Write;

use serde::Serialize;

use crate::output::error::OutputError;
use crate::output::format::Output;
use crate::output::identity_text::command_text;
use crate::output::json_text::json;
use crate::output::short_names::ShortNames;
use crate::output::style::RenderOptions;
use crate::output::tracks::{Entry, Track, entries, lanes, moments, tracks};
use crate::profile::{FrameKind, Recording, StackId};

/// The format.
pub(super) struct ChromeTrace;

impl Output for ChromeTrace {
    fn about(&self) -> &'static str {
        "Chrome's trace events for Perfetto, every thread in the order of time"
    }

    fn noun(&self) -> Option<&'static str> {
        Some("chrome trace")
    }

    fn opens_with(&self) -> Option<&'static str> {
        Some("Visit https://ui.perfetto.dev to view")
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
        let lanes = lanes.as_ref();
        let shown = Shown::of(recording, options);
        let mut events = Events { out, any: false };
        write_names(recording, &mut events)?;
        let (mut ids_before, mut end_ns) = ((0, 0), 0);
        for track in tracks(recording) {
            let mut thread = Thread {
                pid: recording.process(recording.thread(track.thread).process).pid,
                tid: recording.thread(track.thread).tid,
                since_ns: 0,
                open: Vec::new(),
                shown: &shown,
                events: &mut events,
            };
            if track.is_time() {
                let ids = (thread.pid, thread.tid);
                if ids == ids_before {
                    thread.since_ns = end_ns;
                }
                let mut now_ns = 0u64;
                for entry in entries(recording, lanes, &track) {
                    let (stack, width_ns) = match entry.map_err(OutputError::Timeline)? {
                        Entry::Pause(ns) => (None, ns),
                        Entry::Sample(stack, ns) => (Some(stack), ns),
                    };
                    thread.change(&shown.stack(recording, stack), now_ns)?;
                    now_ns = now_ns.saturating_add(width_ns);
                }
                thread.change(&[], now_ns)?;
                (ids_before, end_ns) = (ids, now_ns);
            } else {
                for moment in moments(lanes, &track) {
                    let moment = moment.map_err(OutputError::Timeline)?;
                    let stack = shown.stack(recording, Some(moment.stack));
                    thread.instant(&track, &stack, moment.time_ns, moment.weight)?;
                }
            }
        }
        Ok(events.finish()?)
    }
}

/// One element of the array.
#[derive(Serialize)]
struct Event<'a, A: Serialize> {
    name: &'a str,
    cat: &'a str,
    ph: char,
    pid: u32,
    tid: u32,
    /// Microseconds since the start of the recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    ts: Option<f64>,
    /// Of instants: which row they are drawn in.
    #[serde(skip_serializing_if = "Option::is_none")]
    s: Option<char>,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<A>,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct Instant<'a> {
    /// Outermost frame first.
    stack: Vec<&'a str>,
    weight: u64,
}

/// Where a frame is. py-spy's readers expect both keys.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
struct Place<'p> {
    filename: Option<&'p str>,
    line: Option<u32>,
}

/// A frame as it is shown.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct ShownFrame<'p> {
    name: &'p str,
    kind: &'static str,
    place: Place<'p>,
}

/// Frames as they are shown, each different one once.
struct Shown<'p> {
    frames: Vec<ShownFrame<'p>>,
    /// In words, for instants.
    texts: Vec<String>,
    /// `FrameId` to index into `frames`.
    of_frame: Vec<usize>,
}

impl<'p> Shown<'p> {
    fn of(recording: &'p Recording, options: &RenderOptions) -> Self {
        let names = ShortNames::of(&recording.frames);
        let mut index = HashMap::new();
        let mut shown = Self {
            frames: Vec::new(),
            texts: Vec::new(),
            of_frame: Vec::new(),
        };
        for frame in &recording.frames {
            let is_marker = frame.kind == FrameKind::Marker;
            let as_shown = ShownFrame {
                name: &frame.name,
                kind: frame.kind.text(),
                place: Place {
                    filename: frame.file.as_deref().or(frame.module.as_deref()),
                    line: options.line(frame).filter(|_| !is_marker),
                },
            };
            let next = shown.frames.len();
            let at = *index.entry(as_shown).or_insert(next);
            if at == next {
                shown.frames.push(as_shown);
                shown.texts.push(options.frame_text(frame, &names));
            }
            shown.of_frame.push(at);
        }
        shown
    }

    /// The frames of a stack, outermost first; none of no stack.
    fn stack(&self, recording: &Recording, stack: Option<StackId>) -> Vec<usize> {
        let frames = stack.map_or(&[][..], |stack| recording.stack(stack));
        let of = |frame: &crate::profile::FrameId| self.of_frame[frame.0 as usize];
        frames.iter().map(of).collect()
    }
}

/// What processes and threads are called.
fn write_names(recording: &Recording, events: &mut Events<'_>) -> Result<(), OutputError> {
    let mut write = |name, pid, tid, text: &str| {
        // Viewers would show an empty name; without one they show the id.
        if text.is_empty() {
            return Ok(());
        }
        events.write(&Event {
            name,
            cat: "__metadata",
            ph: 'M',
            pid,
            tid,
            ts: None,
            s: None,
            args: Some(Name { name: text }),
        })
    };
    for process in &recording.processes {
        write("process_name", process.pid, process.pid, &command_text(process))?;
    }
    for thread in &recording.threads {
        let pid = recording.process(thread.process).pid;
        write("thread_name", pid, thread.tid, &thread.name)?;
    }
    Ok(())
}

/// One thread as it is being written.
struct Thread<'t, 'p, 'o> {
    pid: u32,
    tid: u32,
    /// Up to when another thread had its ids: before an exec, or before they were given again.
    since_ns: u64,
    /// Frames that have begun and not ended, outermost first.
    open: Vec<usize>,
    shown: &'t Shown<'p>,
    events: &'t mut Events<'o>,
}

impl Thread<'_, '_, '_> {
    /// Ends the frames that are not in `stack`, begins those that are new.
    fn change(&mut self, stack: &[usize], now_ns: u64) -> Result<(), OutputError> {
        let now_ns = now_ns.max(self.since_ns);
        let both = self.open.iter().zip(stack);
        let common = both.take_while(|(open, wanted)| open == wanted).count();
        while self.open.len() > common {
            if let Some(frame) = self.open.pop() {
                self.event(frame, 'E', now_ns)?;
            }
        }
        for frame in &stack[common..] {
            self.event(*frame, 'B', now_ns)?;
            self.open.push(*frame);
        }
        Ok(())
    }

    fn event(&mut self, frame: usize, ph: char, now_ns: u64) -> Result<(), OutputError> {
        let ShownFrame { name, kind, place } = self.shown.frames[frame];
        self.events.write(&Event {
            name,
            cat: kind,
            ph,
            pid: self.pid,
            tid: self.tid,
            ts: Some(microseconds(now_ns)),
            s: None,
            args: (ph == 'B').then_some(place),
        })
    }

    fn instant(
        &mut self,
        track: &Track<'_>,
        stack: &[usize],
        now_ns: u64,
        weight: u64,
    ) -> Result<(), OutputError> {
        let texts = stack.iter().map(|frame| &*self.shown.texts[*frame]);
        self.events.write(&Event {
            name: track.profile.source.name(),
            cat: "event",
            ph: 'i',
            pid: self.pid,
            tid: self.tid,
            ts: Some(microseconds(now_ns)),
            s: Some('t'),
            args: Some(Instant {
                stack: texts.collect(),
                weight,
            }),
        })
    }
}

/// The array.
struct Events<'o> {
    out: &'o mut dyn Write,
    any: bool,
}

impl Events<'_> {
    fn write<A: Serialize>(&mut self, event: &Event<'_, A>) -> Result<(), OutputError> {
        self.out.write_all(if self.any { b",\n" } else { b"[\n" })?;
        self.any = true;
        json(self.out, event)
    }

    fn finish(self) -> std::io::Result<()> {
        self.out.write_all(if self.any { b"\n]\n" } else { b"[]\n" })
    }
}

fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use profiler_common::contract::sources::Source;
    use serde_json::Value;

    use super::ChromeTrace;
    use crate::output::test_recording::{assert_golden, hand_made, python, recording};
    use crate::output::{Output as _, RenderOptions};
    use crate::profile::{Process, ProcessId, Recording, Thread};

    fn text(recording: &mut Recording) -> String {
        let mut out = Vec::new();
        ChromeTrace
            .write(recording, &RenderOptions::default(), &mut out)
            .expect("a vector takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    fn events(recording: &mut Recording) -> Vec<Value> {
        serde_json::from_str(&text(recording)).expect("an array")
    }

    /// Time that leaves had, microseconds, by thread and name; fails where an end has no beginning.
    fn own_time(events: &[Value]) -> BTreeMap<(u64, String), f64> {
        let mut own = BTreeMap::new();
        let mut open: BTreeMap<u64, (Vec<String>, f64)> = BTreeMap::new();
        for event in events
            .iter()
            .filter(|event| event["ph"] == "B" || event["ph"] == "E")
        {
            let tid = event["tid"].as_u64().expect("a number");
            let (name, now) = (event["name"].as_str().expect("a name"), event["ts"].as_f64());
            let now = now.expect("a time");
            let (stack, since) = open.entry(tid).or_default();
            if let Some(leaf) = stack.last() {
                *own.entry((tid, leaf.clone())).or_default() += now - *since;
            }
            *since = now;
            if event["ph"] == "B" {
                stack.push(name.to_owned());
            } else {
                assert_eq!(stack.pop().as_deref(), Some(name), "ends what has begun");
            }
        }
        assert!(open.values().all(|(stack, _)| stack.is_empty()), "all has ended");
        own
    }

    #[test]
    fn the_bytes_are_these() {
        let thread = |tid, name: &str| Thread {
            process: ProcessId(0),
            tid,
            name: name.to_owned(),
        };
        let process = Process {
            pid: 7,
            command_line: "python app.py \"x\"".to_owned(),
            ..Process::default()
        };
        let frames = vec![
            python("<module>", "/srv/app.py", 9, 1),
            python("work", "/srv/app.py", 3, 2),
            python("work", "/srv/app.py", 4, 2),
        ];
        let samples = [(10, 0, 0), (20, 0, 1), (30, 0, 1), (200, 0, 1), (31, 1, 2)];
        let mut recording = recording(
            vec![process],
            vec![thread(7, "MainThread"), thread(8, "")],
            frames,
            &[&[0], &[0, 1], &[0, 2]],
            &samples,
        );
        assert_golden("small.chrometrace.json", &text(&mut recording));
    }

    #[test]
    fn everything_that_begins_ends_and_threads_have_the_time_of_their_samples() {
        let events = events(&mut hand_made());
        let own = own_time(&events);
        let of = |tid: u64| {
            own.iter()
                .filter(|((of, _), _)| *of == tid)
                .map(|(_, us)| us)
                .sum::<f64>()
        };
        // Seven samples of 10 ms, and two.
        assert!((of(100) - 70_000.0).abs() < 1.0, "{own:?}");
        assert!((of(9) - 20_000.0).abs() < 1.0, "{own:?}");
        assert!(!own.contains_key(&(12, "fib".to_owned())));
    }

    #[test]
    fn an_id_that_has_another_owner_later_still_has_one_order_of_time() {
        let process = |command_line: &str| Process {
            pid: 7,
            command_line: command_line.to_owned(),
            ..Process::default()
        };
        let thread = |process| Thread {
            process: ProcessId(process),
            tid: 7,
            name: "main".to_owned(),
        };
        // The first sample after an exec comes sooner than a period after the last one before it.
        let samples = [(10, 0, 0), (20, 0, 0), (22, 1, 1), (32, 1, 1)];
        let mut recording = recording(
            vec![process("python a.py"), process("python b.py")],
            vec![thread(0), thread(1)],
            vec![python("a", "/a.py", 1, 1), python("b", "/b.py", 1, 1)],
            &[&[0], &[1]],
            &samples,
        );
        let events = events(&mut recording);
        let own = own_time(&events);
        assert_eq!(
            own.keys().map(|(_, name)| name.as_str()).collect::<Vec<_>>(),
            ["a", "b"]
        );
        let times: Vec<f64> = events.iter().filter_map(|event| event["ts"].as_f64()).collect();
        assert_eq!(times, [0.0, 20_000.0, 20_000.0, 32_000.0]);
    }

    #[test]
    fn events_that_are_counted_are_instants_with_their_weight() {
        let mut recording = hand_made();
        let timeline = recording.timeline.take().expect("it has one");
        recording.timeline = Some(retagged(timeline));
        recording.profiles[0].source = Source::PageFaults;
        let events = events(&mut recording);
        let instants: Vec<&Value> = events.iter().filter(|event| event["ph"] == "i").collect();
        assert_eq!(instants.len() as u64, recording.samples());
        let weight: u64 = instants
            .iter()
            .filter_map(|event| event["args"]["weight"].as_u64())
            .sum();
        assert_eq!(weight, recording.profiles[0].weight());
        let outermost = |event: &&Value| event["args"]["stack"][0] == "<module> (app.py:80)";
        assert!(instants.iter().any(outermost), "{instants:?}");
    }

    /// The same samples as page faults.
    fn retagged(mut timeline: crate::profile::timeline::Timeline) -> crate::profile::timeline::Timeline {
        let mut other = crate::profile::timeline::Timeline::new().expect("a temporary file");
        for tick in timeline.read().expect("readable") {
            let tick = tick.expect("readable");
            other.push(crate::profile::timeline::Tick {
                source: Source::PageFaults,
                ..tick
            });
        }
        other
    }
}
