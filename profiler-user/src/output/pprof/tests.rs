//! What a reader of pprof finds in the file: decoded as one message, which the writer never holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use profiler_common::contract::sources::Source;
use prost::Message as _;

use super::Pprof;
use crate::container::{Container, Pod};
use crate::output::test_recording::{assert_golden, hand_made};
use crate::output::{Measure, Output as _, RenderOptions};
use crate::pprof_messages::{Function, Location, Mapping, Sample, ValueType};
use crate::proc::script::Script;
use crate::profile::Recording;

/// The whole message, which the writer never holds.
#[derive(Clone, PartialEq, prost::Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

impl Profile {
    fn of(recording: &mut Recording, options: &RenderOptions) -> Self {
        let mut out = Vec::new();
        Pprof
            .write(recording, options, &mut out)
            .expect("a vector takes everything");
        Self::decode(&*out).expect("a message")
    }

    fn text(&self, index: i64) -> &str {
        &self.string_table[usize::try_from(index).expect("an index")]
    }

    fn value_type(&self, of: &ValueType) -> String {
        format!("{}/{}", self.text(of.r#type), self.text(of.unit))
    }

    fn function(&self, location: u64) -> (&Function, i64) {
        let location = &self.location[location as usize - 1];
        let line = location.line[0];
        (&self.function[line.function_id as usize - 1], line.line)
    }

    fn labels(&self, sample: &Sample) -> String {
        let label = |label: &super::Label| match label.str {
            0 => format!(
                "{}={}{}",
                self.text(label.key),
                label.num,
                self.text(label.num_unit)
            ),
            text => format!("{}={:?}", self.text(label.key), self.text(text)),
        };
        sample.label.iter().map(label).collect::<Vec<_>>().join(" ")
    }

    /// All of it, for people.
    fn dump(&self) -> String {
        let mut dump = String::new();
        let types: Vec<String> = self.sample_type.iter().map(|of| self.value_type(of)).collect();
        let period = self.period_type.as_ref().map(|of| self.value_type(of));
        writeln!(
            dump,
            "{types:?}, shown {}; period {} {period:?}; from {} for {}",
            self.text(self.default_sample_type),
            self.period,
            self.time_nanos,
            self.duration_nanos
        )
        .expect("a string");
        for comment in &self.comment {
            writeln!(dump, "# {:?}", self.text(*comment)).expect("a string");
        }
        for mapping in &self.mapping {
            writeln!(dump, "mapping {} {}", mapping.id, self.text(mapping.filename)).expect("a string");
        }
        for location in &self.location {
            let (function, line) = self.function(location.id);
            writeln!(
                dump,
                "location {} in {}: {:?} [{:?}] {} from {} at {line}",
                location.id,
                location.mapping_id,
                self.text(function.name),
                self.text(function.system_name),
                self.text(function.filename),
                function.start_line
            )
            .expect("a string");
        }
        for sample in &self.sample {
            let stack = sample.location_id.len();
            let inner: Vec<u64> = sample.location_id.iter().copied().take(4).collect();
            writeln!(
                dump,
                "{:?} {} frames {inner:?} {}",
                sample.value,
                stack,
                self.labels(sample)
            )
            .expect("a string");
        }
        dump
    }
}

fn in_a_pod() -> Recording {
    let mut recording = hand_made();
    let process = &mut recording.processes[0];
    process.user = "www-data".to_owned();
    process.script = Some(Script::Module("shop.web".to_owned()));
    process.container = Some(Container {
        id: "4f0c".to_owned(),
        runtime: "containerd",
        name: Some("web".to_owned()),
        pod: Some(Pod {
            uid: "2c48".to_owned(),
            name: Some("shop-7d9".to_owned()),
            namespace: Some("prod".to_owned()),
        }),
    });
    recording.accounts = vec!["15 interrupts = 15 samples".to_owned()];
    recording
}

#[test]
fn everything_that_a_recording_knows_is_in_it() {
    let profile = Profile::of(&mut in_a_pod(), &RenderOptions::default());
    assert_golden("pod.pprof.dump", &profile.dump());
}

#[test]
fn options_for_pictures_change_nothing_but_the_value_that_is_shown_first() {
    let plain = Profile::of(&mut hand_made(), &RenderOptions::default());
    let options = RenderOptions {
        measure: Measure::Time,
        full_filenames: true,
        lines: crate::output::LineStyle::None,
        ..RenderOptions::default()
    };
    let mut other = Profile::of(&mut hand_made(), &options);
    assert_eq!(plain.text(plain.default_sample_type), "samples");
    assert_eq!(other.text(other.default_sample_type), "cpu");
    other.default_sample_type = plain.default_sample_type;
    assert_eq!(plain, other);
}

#[test]
fn names_are_exact_and_system_names_always_differ() {
    let recording = &mut hand_made();
    let profile = Profile::of(recording, &RenderOptions::default());
    for (frame, location) in recording.frames.iter().zip(&profile.location) {
        let (function, line) = profile.function(location.id);
        assert_eq!(profile.text(function.name), frame.name);
        assert_ne!(function.name, function.system_name);
        assert_eq!(line, i64::from(frame.line.unwrap_or(0)));
        assert_eq!(
            profile.text(function.filename),
            frame.file.as_deref().unwrap_or("")
        );
    }
}

#[test]
fn every_source_has_two_values_and_all_samples_have_all_of_them() {
    let mut recording = hand_made();
    let mut faults = recording.profiles[0].clone();
    faults.source = Source::PageFaults;
    faults.counts.truncate(2);
    recording.profiles.push(faults);
    recording.period = 7;
    let profile = Profile::of(&mut recording, &RenderOptions::default());
    let types: Vec<String> = profile
        .sample_type
        .iter()
        .map(|of| profile.value_type(of))
        .collect();
    assert_eq!(
        types,
        [
            "samples/count",
            "cpu/nanoseconds",
            "page-faults-samples/count",
            "page-faults/count"
        ]
    );
    let sum = |index: usize| {
        profile
            .sample
            .iter()
            .map(|sample| sample.value[index])
            .sum::<i64>() as u64
    };
    for (index, of) in recording.profiles.iter().enumerate() {
        assert_eq!(sum(2 * index), of.samples());
        assert_eq!(sum(2 * index + 1), of.weight());
    }
    assert_eq!(profile.period, 10_000_000);
    recording.profiles.remove(0);
    let profile = Profile::of(&mut recording, &RenderOptions::default());
    assert_eq!(profile.period, 7);
    assert_eq!(profile.text(profile.default_sample_type), "page-faults");
}

#[test]
fn with_times_each_sample_stands_alone_and_the_sums_are_the_same() {
    let options = RenderOptions {
        timestamps: true,
        ..RenderOptions::default()
    };
    let mut recording = hand_made();
    recording.started += Duration::from_secs(1);
    let timed = Profile::of(&mut recording, &options);
    assert_eq!(timed.sample.len() as u64, recording.samples());
    let times: Vec<i64> = timed
        .sample
        .iter()
        .map(|sample| sample.label.last().expect("a time").num)
        .collect();
    assert_eq!(times[..3], [1_010_000_000, 1_020_000_000, 1_021_000_000]);
    let folded = Profile::of(&mut recording, &RenderOptions::default());
    let sums = |profile: &Profile| {
        let mut sums: BTreeMap<(Vec<u64>, i64), [i64; 2]> = BTreeMap::new();
        for sample in &profile.sample {
            let tid = sample.label.iter().find(|label| profile.text(label.key) == "tid");
            let key = (sample.location_id.clone(), tid.expect("a tid").num);
            let sum = sums.entry(key).or_default();
            sum[0] += sample.value[0];
            sum[1] += sample.value[1];
        }
        sums
    };
    assert_eq!(sums(&timed), sums(&folded));
}
