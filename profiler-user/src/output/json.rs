//! The whole recording as plain JSON (`json`), for programs: described by `docs/pyebpf.schema.json`, which a test holds it to.
//!
//! Nothing is styled: frames are as the interpreter has them, and indexes lead from counts to threads, stacks and frames.

use std::io::Write;

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::{SerializeSeq as _, Serializer};

use crate::container::Container;
use crate::output::error::OutputError;
use crate::output::format::Output;
use crate::output::style::RenderOptions;
use crate::profile::{Count, Frame, FrameId, Process, Profile, Recording, Thread};

/// Changes when a reader must change. What is only added does not count.
const VERSION: u32 = 1;

/// The format.
pub(super) struct Json;

impl Output for Json {
    fn about(&self) -> &'static str {
        "Plain JSON for programs, keeps everything but the order of time"
    }

    fn names_threads(&self) -> bool {
        true
    }

    fn write(
        &self,
        recording: &mut Recording,
        _options: &RenderOptions,
        out: &mut dyn Write,
    ) -> Result<(), OutputError> {
        let document = Document::of(recording);
        serde_json::to_writer(&mut *out, &document).map_err(|error| OutputError::Write(error.into()))?;
        Ok(writeln!(out)?)
    }
}

#[derive(Serialize)]
struct Document<'p> {
    format: &'static str,
    version: u32,
    title: &'p str,
    host: &'p str,
    cpus: u32,
    /// RFC 3339.
    started: Option<String>,
    duration_ns: u64,
    rate_hz: u32,
    period: u64,
    accounts: &'p [String],
    #[serde(serialize_with = "each")]
    processes: Each<'p, Process, JsonProcess<'p>>,
    #[serde(serialize_with = "each")]
    threads: Each<'p, Thread, JsonThread<'p>>,
    #[serde(serialize_with = "each")]
    frames: Each<'p, Frame, JsonFrame<'p>>,
    #[serde(serialize_with = "each")]
    stacks: Each<'p, Box<[FrameId]>, Vec<u32>>,
    #[serde(serialize_with = "each")]
    profiles: Each<'p, Profile, JsonProfile<'p>>,
}

impl<'p> Document<'p> {
    fn of(recording: &'p Recording) -> Self {
        Self {
            format: "pyebpf profile",
            version: VERSION,
            title: &recording.title,
            host: &recording.host,
            cpus: recording.cpus,
            started: Timestamp::try_from(recording.started)
                .ok()
                .map(|time| time.to_string()),
            duration_ns: u64::try_from(recording.duration.as_nanos()).unwrap_or(u64::MAX),
            rate_hz: recording.rate_hz,
            period: recording.period,
            accounts: &recording.accounts,
            processes: (&recording.processes, JsonProcess::of),
            threads: (&recording.threads, JsonThread::of),
            frames: (&recording.frames, JsonFrame::of),
            stacks: (&recording.stacks, |stack| {
                stack.iter().map(|frame| frame.0).collect()
            }),
            profiles: (&recording.profiles, JsonProfile::of),
        }
    }
}

/// Things, and how each of them is written: one at a time, never all together.
type Each<'p, T, J> = (&'p [T], fn(&'p T) -> J);

fn each<'p, T, J: Serialize, S: Serializer>(
    (things, write): &Each<'p, T, J>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(things.len()))?;
    for thing in *things {
        sequence.serialize_element(&write(thing))?;
    }
    sequence.end()
}

#[derive(Serialize)]
struct JsonProcess<'p> {
    pid: u32,
    command: &'p str,
    user: &'p str,
    script: Option<String>,
    container: Option<&'p Container>,
}

impl<'p> JsonProcess<'p> {
    fn of(process: &'p Process) -> Self {
        Self {
            pid: process.pid,
            command: &process.command_line,
            user: &process.user,
            script: process.script.as_ref().map(ToString::to_string),
            container: process.container.as_ref(),
        }
    }
}

#[derive(Serialize)]
struct JsonThread<'p> {
    /// Index into `processes`.
    process: u32,
    tid: u32,
    name: &'p str,
}

impl<'p> JsonThread<'p> {
    fn of(thread: &'p Thread) -> Self {
        Self {
            process: thread.process.0,
            tid: thread.tid,
            name: &thread.name,
        }
    }
}

#[derive(Serialize)]
struct JsonFrame<'p> {
    kind: &'static str,
    name: &'p str,
    file: Option<&'p str>,
    short_file: Option<&'p str>,
    module: Option<&'p str>,
    line: Option<u32>,
    first_line: Option<u32>,
    approximate: bool,
}

impl<'p> JsonFrame<'p> {
    fn of(frame: &'p Frame) -> Self {
        Self {
            kind: frame.kind.text(),
            name: &frame.name,
            file: frame.file.as_deref(),
            short_file: frame.short_file.as_deref(),
            module: frame.module.as_deref(),
            line: frame.line,
            first_line: frame.first_line,
            approximate: frame.approximate,
        }
    }
}

#[derive(Serialize)]
struct JsonProfile<'p> {
    source: &'static str,
    unit: &'static str,
    #[serde(serialize_with = "each")]
    counts: Each<'p, Count, JsonCount>,
}

impl<'p> JsonProfile<'p> {
    fn of(profile: &'p Profile) -> Self {
        Self {
            source: profile.source.name(),
            unit: profile.source.unit().text(),
            counts: (&profile.counts, JsonCount::of),
        }
    }
}

#[derive(Serialize)]
struct JsonCount {
    /// Index into `threads`.
    thread: u32,
    /// Index into `stacks`.
    stack: u32,
    samples: u64,
    weight: u64,
}

impl JsonCount {
    fn of(count: &Count) -> Self {
        Self {
            thread: count.thread.0,
            stack: count.stack.0,
            samples: count.samples,
            weight: count.weight,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::Json;
    use crate::output::test_recording::{assert_golden, hand_made};
    use crate::output::{Output as _, RenderOptions};

    fn text() -> String {
        let mut out = Vec::new();
        Json.write(&mut hand_made(), &RenderOptions::default(), &mut out)
            .expect("a vector takes everything");
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn the_bytes_are_these() {
        assert_golden("plain.pyebpf.json", &text());
    }

    #[test]
    fn indexes_lead_from_counts_to_frames_and_the_sums_are_those_of_the_recording() {
        let recording = hand_made();
        let file: Value = serde_json::from_str(&text()).expect("JSON");
        let counts = file["profiles"][0]["counts"].as_array().expect("an array");
        let sum = |key: &str| counts.iter().filter_map(|count| count[key].as_u64()).sum::<u64>();
        assert_eq!(sum("samples"), recording.samples());
        assert_eq!(sum("weight"), recording.profiles[0].weight());
        for count in counts {
            let index = |key: &str| count[key].as_u64().expect("a number") as usize;
            let thread = &file["threads"][index("thread")];
            assert!(file["processes"][thread["process"].as_u64().expect("a number") as usize].is_object());
            for frame in file["stacks"][index("stack")].as_array().expect("a stack") {
                assert!(file["frames"][frame.as_u64().expect("a number") as usize].is_object());
            }
        }
    }
}
