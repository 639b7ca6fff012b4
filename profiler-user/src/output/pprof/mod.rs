//! pprof (`pprof`): the recording format. Everything that a profile knows, for `go tool pprof` and whatever reads pprof; the
//! table in `docs/recording.md` says which fact is where. Options that change how frames look change nothing here.
//!
//! Samples are written one by one, and the tables after them: fields of a protobuf message may come in any order. So memory
//! is that of the tables, also with the time of each sample (`--timestamps`).

mod labels;
mod tables;

use std::io::Write;
use std::time::{Duration, SystemTime};

use profiler_common::contract::sources::{Source, Unit};
use prost::Message;
use prost::encoding::{int64, message, string};

use self::labels::{end_timestamp, of_threads};
use self::tables::{Code, Strings};
use crate::output::amounts::Measure;
use crate::output::compression::Compression;
use crate::output::error::OutputError;
use crate::output::format::Output;
use crate::output::style::RenderOptions;
use crate::pprof_messages::{Label, Sample, ValueType, profile};
use crate::profile::timeline::Timeline;
use crate::profile::{FrameId, Recording, StackId, ThreadId};

/// The format.
pub(super) struct Pprof;

impl Output for Pprof {
    fn about(&self) -> &'static str {
        "pprof for `go tool pprof`, keeps everything"
    }

    fn opens_with(&self) -> Option<&'static str> {
        Some("`go tool pprof -http : FILE` or `pyebpf report FILE` shows it")
    }

    /// "On-disk, the serialized proto must be gzip-compressed"; readers take it uncompressed, too.
    fn own_compression(&self, extension: Option<&str>) -> Compression {
        match extension {
            Some("pb") => Compression::None,
            _ => Compression::Gzip,
        }
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
        let mut strings = Strings::new();
        let mut file = File {
            out,
            bytes: Vec::new(),
        };
        write_head(recording, options, &mut strings, &mut file)?;
        let threads = of_threads(recording, &mut strings);
        let mut samples = Samples {
            values: 2 * recording.profiles.len(),
            threads: &threads,
            file: &mut file,
        };
        let has_times = options.timestamps && recording.timeline.as_mut().is_some_and(Timeline::is_whole);
        if has_times {
            samples.write_one_by_one(recording, &mut strings)?;
        } else {
            samples.write_folded(recording)?;
        }
        let code = Code::of(recording, &mut strings);
        file.messages(profile::MAPPING, &code.mappings)?;
        file.messages(profile::LOCATION, &code.locations)?;
        file.messages(profile::FUNCTION, &code.functions)?;
        for text in strings.iter() {
            file.field(|bytes| string::encode(profile::STRING_TABLE, text, bytes))?;
        }
        Ok(())
    }
}

/// All but samples and tables.
fn write_head(
    recording: &Recording,
    options: &RenderOptions,
    strings: &mut Strings,
    file: &mut File<'_>,
) -> Result<(), OutputError> {
    for of in &recording.profiles {
        file.messages(profile::SAMPLE_TYPE, &value_types(of.source, strings))?;
    }
    let first = recording.profiles.first().map_or(Source::OnCpu, |of| of.source);
    let [samples, weight] = value_types(first, strings);
    let shown = match (first.unit(), options.measure) {
        (Unit::Nanoseconds, Measure::Samples) if first.is_even() => samples,
        _ => weight,
    };
    let period = match first.unit() {
        Unit::Nanoseconds => 1_000_000_000 / u64::from(recording.rate_hz.max(1)),
        Unit::Faults | Unit::Switches => recording.period,
    };
    let comments: Vec<i64> = comments(recording)
        .iter()
        .map(|comment| strings.index(comment))
        .collect();
    file.number(profile::TIME_NANOS, unix_ns(recording.started))?;
    file.number(profile::DURATION_NANOS, nanoseconds(recording.duration))?;
    file.messages(profile::PERIOD_TYPE, &[weight])?;
    file.number(profile::PERIOD, signed(period))?;
    file.field(|bytes| int64::encode_packed(profile::COMMENT, &comments, bytes))?;
    file.number(profile::DEFAULT_SAMPLE_TYPE, shown.r#type)
}

/// How many samples there are of a source, and what they stand for.
fn value_types(source: Source, strings: &mut Strings) -> [ValueType; 2] {
    let (samples, unit) = match source.unit() {
        Unit::Nanoseconds if source == Source::OnCpu => ("samples".to_owned(), "nanoseconds"),
        Unit::Nanoseconds => (format!("{}-samples", source.name()), "nanoseconds"),
        Unit::Faults | Unit::Switches => (format!("{}-samples", source.name()), "count"),
    };
    let mut value = |name: &str, unit: &str| ValueType {
        r#type: strings.index(name),
        unit: strings.index(unit),
    };
    [value(&samples, "count"), value(source.name(), unit)]
}

/// What has no field of its own.
fn comments(recording: &Recording) -> Vec<String> {
    let host = (!recording.host.is_empty())
        .then(|| format!("host {}, {} CPUs sampled", recording.host, recording.cpus));
    std::iter::once(recording.title.clone())
        .chain(host)
        .chain(recording.accounts.iter().cloned())
        .collect()
}

/// Writes the samples.
struct Samples<'a, 'f> {
    /// Values that each sample has.
    values: usize,
    /// The labels of each thread.
    threads: &'a [Vec<Label>],
    file: &'a mut File<'f>,
}

impl Samples<'_, '_> {
    /// One for each stack of each thread.
    fn write_folded(&mut self, recording: &Recording) -> Result<(), OutputError> {
        for (index, of) in recording.profiles.iter().enumerate() {
            for count in &of.counts {
                let stack = recording.stack(count.stack);
                self.write(index, (count.samples, count.weight), stack, count.thread, None)?;
            }
        }
        Ok(())
    }

    /// One for each sample, with its time.
    fn write_one_by_one(
        &mut self,
        recording: &mut Recording,
        strings: &mut Strings,
    ) -> Result<(), OutputError> {
        let started_ns = unix_ns(recording.started);
        let label = end_timestamp(0, strings);
        let Recording {
            timeline,
            profiles,
            stacks,
            ..
        } = recording;
        let timeline = timeline.as_mut().ok_or(OutputError::NoTimeline)?;
        for tick in timeline.read().map_err(OutputError::Timeline)? {
            let tick = tick.map_err(OutputError::Timeline)?;
            let index = profiles.iter().position(|of| of.source == tick.source);
            let StackId(stack) = tick.stack;
            let (Some(index), Some(stack)) = (index, stacks.get(stack as usize)) else {
                continue;
            };
            let time = Label {
                num: started_ns.saturating_add(signed(tick.time_ns)),
                ..label
            };
            self.write(index, (1, tick.weight), stack, tick.thread, Some(time))?;
        }
        Ok(())
    }

    fn write(
        &mut self,
        profile: usize,
        (samples, weight): (u64, u64),
        stack: &[FrameId],
        thread: ThreadId,
        time: Option<Label>,
    ) -> Result<(), OutputError> {
        let mut value = vec![0; self.values];
        value[2 * profile] = signed(samples);
        value[2 * profile + 1] = signed(weight);
        let labels = self.threads.get(thread.0 as usize).into_iter().flatten();
        let sample = Sample {
            location_id: stack.iter().rev().map(|frame| u64::from(frame.0) + 1).collect(),
            value,
            label: labels.copied().chain(time).collect(),
        };
        self.file.messages(profile::SAMPLE, &[sample])
    }
}

/// The message `Profile`, as it is being written.
struct File<'f> {
    out: &'f mut dyn Write,
    /// Of the field that is being written.
    bytes: Vec<u8>,
}

impl File<'_> {
    fn field(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> Result<(), OutputError> {
        self.bytes.clear();
        encode(&mut self.bytes);
        Ok(self.out.write_all(&self.bytes)?)
    }

    fn number(&mut self, tag: u32, number: i64) -> Result<(), OutputError> {
        self.field(|bytes| int64::encode(tag, &number, bytes))
    }

    fn messages<M: Message>(&mut self, tag: u32, messages: &[M]) -> Result<(), OutputError> {
        for one in messages {
            self.field(|bytes| message::encode(tag, one, bytes))?;
        }
        Ok(())
    }
}

fn unix_ns(time: SystemTime) -> i64 {
    nanoseconds(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn nanoseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
