//! The Firefox Profiler's "processed profile" (`firefox`), for <https://profiler.firefox.com>: a track for each thread, all of
//! them on the clock of the recording, with frames coloured by their owner.
//!
//! As `src/types/profile.ts` of firefox-devtools/profiler has it. A viewer reads every version up to its own, by the steps that
//! `docs-developer/CHANGELOG-formats.md` there describes. Tables are written column by column, and threads share those of
//! stacks, frames, functions and texts.
//!
//! A row of a thread's samples holds until the next one: it begins when the time begins that its sample stands for. Where no
//! sample was, there is a row without a stack and without a weight, so pauses are empty and every sum is that of the samples.
//! With `--unit time` weights are milliseconds, of sources that count events their number. `threadCPUDelta` is what a sample
//! stands for, but no more than the time that its row holds. Root frames are left out: the format has processes and threads of
//! its own.
//!
//! Nothing is kept but the tables: samples are read from disk thread by thread, once for each column.

mod category;
mod columns;
mod meta;
mod rows;
mod shared;
mod units;

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use self::columns::{write_column, write_open};
use self::meta::Meta;
use self::rows::{Row, Rows};
use self::shared::Shared;
use self::units::milliseconds;
use crate::output::amounts::{AmountUnit, Measure};
use crate::output::error::OutputError;
use crate::output::format::Output;
use crate::output::identity_text::command_text;
use crate::output::json_text::{json, separate};
use crate::output::lanes::{Lanes, Moment};
use crate::output::style::RenderOptions;
use crate::output::tracks::{Track, lanes, moments, period_ns, tracks};
use crate::profile::{Count, Recording};

/// What the format has of every thread, and a recording does not know or does not have.
const NOT_KNOWN: &str = "\"processType\":\"default\",\"processStartupTime\":0,\"processShutdownTime\":null,\
    \"registerTime\":0,\"unregisterTime\":null,\"pausedRanges\":[],\
    \"markers\":{\"data\":[],\"name\":[],\"startTime\":[],\"endTime\":[],\"phase\":[],\"category\":[],\"length\":0}";

/// The format.
pub(super) struct Firefox;

impl Output for Firefox {
    fn about(&self) -> &'static str {
        "JSON for the Firefox Profiler, every thread in the order of time"
    }

    fn opens_with(&self) -> Option<&'static str> {
        Some("Visit https://profiler.firefox.com to view")
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
        let document = Document {
            recording,
            lanes: lanes.as_ref(),
            shared: Shared::of(recording, options),
            measure: options.measure,
        };
        document.write(out)
    }
}

/// The file, ready to be written.
struct Document<'p> {
    recording: &'p Recording,
    /// `None` where there is no order of time.
    lanes: Option<&'p Lanes>,
    shared: Shared<'p>,
    measure: Measure,
}

impl<'p> Document<'p> {
    fn write(&self, out: &mut dyn Write) -> Result<(), OutputError> {
        out.write_all(b"{\"meta\":")?;
        json(out, &Meta::of(self.recording))?;
        out.write_all(b",\n\"libs\":[],\n\"shared\":")?;
        self.shared.write(out)?;
        out.write_all(b",\n\"threads\":[")?;
        let pids = pids(self.recording);
        let mut seen = HashSet::new();
        for (at, track) in tracks(self.recording).iter().enumerate() {
            separate(out, at)?;
            out.write_all(b"\n")?;
            let thread = self.recording.thread(track.thread);
            let process = self.recording.process(thread.process);
            let is_first = seen.insert(track.thread);
            let fields = Thread {
                name: name(&thread.name, thread.tid, track),
                // A process has one row of its own, and that of one thread in it.
                is_main_thread: is_first && thread.tid == process.pid,
                process_name: &command_text(process),
                pid: pids.get(thread.process.0 as usize).map_or("", String::as_str),
                tid: thread.tid,
            };
            write_open(out, &fields)?;
            write!(out, ",{NOT_KNOWN},\"samples\":")?;
            self.write_samples(track, out)?;
            out.write_all(b"}")?;
        }
        Ok(out.write_all(b"\n]}\n")?)
    }

    fn write_samples(&self, track: &Track<'p>, out: &mut dyn Write) -> Result<(), OutputError> {
        let in_time = track.is_time() && self.measure == Measure::Time;
        let weight_type = if in_time { "tracing-ms" } else { "samples" };
        write!(out, "{{\"weightType\":\"{weight_type}\",")?;
        let stack = |row: Row| row.stack.and_then(|stack| self.shared.stack(stack));
        let stacks = self.rows(track).map(|row| row.map(stack));
        let length = write_column(out, "stack", stacks)?;
        out.write_all(b",")?;
        let times = self
            .rows(track)
            .map(|row| row.map(|row| milliseconds(row.time_ns)));
        write_column(out, "time", times)?;
        out.write_all(b",")?;
        let weight = |row: Row| match (track.is_time(), self.measure) {
            (true, Measure::Samples) => Value::from(row.samples),
            (true, Measure::Time) => Value::from(milliseconds(row.weight)),
            (false, _) => Value::from(row.weight),
        };
        write_column(out, "weight", self.rows(track).map(|row| row.map(weight)))?;
        if track.is_time() {
            out.write_all(b",")?;
            let used = self.rows(track).map(|row| row.map(|row| row.cpu_ns));
            write_column(out, "threadCPUDelta", used)?;
        }
        Ok(write!(out, ",\"length\":{length}}}")?)
    }

    fn rows<'s>(&'s self, track: &'s Track<'p>) -> Box<dyn Iterator<Item = io::Result<Row>> + 's> {
        let (is_time, period_ns) = (track.is_time(), period_ns(self.recording));
        if self.lanes.is_some() {
            let moments = moments(self.lanes, track).map(|moment| moment.map(|moment| (moment, 1)));
            return Box::new(Rows::new(moments, is_time, period_ns));
        }
        // No order of time: one stack after the other.
        let of_thread = |count: &&Count| count.thread == track.thread;
        let counts = track.profile.counts.iter().filter(of_thread);
        let mut time_ns = 0u64;
        let moments = counts.map(move |count| {
            time_ns = time_ns.saturating_add(if is_time { count.weight } else { period_ns });
            let moment = Moment {
                time_ns,
                stack: count.stack,
                weight: count.weight,
            };
            Ok((moment, count.samples))
        });
        Box::new(Rows::new(moments, is_time, period_ns))
    }
}

/// A thread, all but its samples and what is [`NOT_KNOWN`].
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Thread<'t> {
    name: String,
    is_main_thread: bool,
    process_name: &'t str,
    pid: &'t str,
    tid: u32,
}

/// What a thread's track is called; of what counts events, which.
fn name(name: &str, tid: u32, track: &Track<'_>) -> String {
    let name = match name {
        "" => format!("Thread {tid}"),
        name => name.to_owned(),
    };
    if track.is_time() {
        return name;
    }
    let unit = AmountUnit::of(track.profile.source, Measure::Samples);
    format!("{name} ({})", unit.text())
}

/// The process ids as the format wants them: texts, and no two alike. `7.1` had the id 7 after `7`.
fn pids(recording: &Recording) -> Vec<String> {
    let mut times = HashMap::new();
    let text = |pid: u32| {
        let before = times.entry(pid).and_modify(|times| *times += 1).or_insert(0u32);
        match *before {
            0 => pid.to_string(),
            before => format!("{pid}.{before}"),
        }
    };
    recording
        .processes
        .iter()
        .map(|process| process.pid)
        .map(text)
        .collect()
}

#[cfg(test)]
mod tests;
