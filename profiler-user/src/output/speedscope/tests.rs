//! What speedscope, py-spy's own tests and people read from the file.

use serde::Deserialize;

use super::Speedscope;
use crate::output::lanes::Moment;
use crate::output::test_recording::{assert_golden, hand_made, python, recording};
use crate::output::tracks::{Chart, Entry};
use crate::output::{Group, LineStyle, Output as _, OutputError, RenderOptions};
use crate::profile::{Process, ProcessId, Recording, StackId, Thread};

/// The file as speedscope 1.25's `file-format-schema.json` has it, without the `evented` profiles that are not
/// written. Unknown fields are errors. `null` stands for absent, as in py-spy's files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "$schema")]
    schema: String,
    shared: Shared,
    profiles: Vec<Sampled>,
    name: Option<String>,
    #[serde(rename = "activeProfileIndex")]
    active_profile_index: Option<usize>,
    exporter: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
struct Frame {
    name: String,
    file: Option<String>,
    line: Option<u32>,
    col: Option<u32>,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum ProfileType {
    Sampled,
}

#[derive(Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum ValueUnit {
    Seconds,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sampled {
    #[serde(rename = "type")]
    profile_type: ProfileType,
    name: String,
    unit: ValueUnit,
    #[serde(rename = "startValue")]
    start_value: f64,
    #[serde(rename = "endValue")]
    end_value: f64,
    samples: Vec<Vec<usize>>,
    weights: Vec<f64>,
}

impl Sampled {
    /// When each sample with frames starts and ends, as speedscope places it, in milliseconds.
    fn placed(&self) -> Vec<(u64, u64)> {
        let mut now = self.start_value;
        let mut placed = Vec::new();
        for (stack, weight) in self.samples.iter().zip(&self.weights) {
            let start = now;
            now += weight;
            if !stack.is_empty() {
                placed.push(((start * 1e3).round() as u64, (now * 1e3).round() as u64));
            }
        }
        placed
    }

    fn cpu_seconds(&self) -> f64 {
        let entries = self.samples.iter().zip(&self.weights);
        entries
            .filter(|(stack, _)| !stack.is_empty())
            .map(|(_, weight)| weight)
            .sum()
    }
}

fn text(recording: &mut Recording, options: &RenderOptions) -> String {
    let mut out = Vec::new();
    Speedscope
        .write(recording, options, &mut out)
        .expect("a vector takes everything");
    String::from_utf8(out).expect("UTF-8")
}

fn file(recording: &mut Recording, options: &RenderOptions) -> File {
    serde_json::from_str(&text(recording, options)).expect("JSON as the schema has it")
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn the_file_is_as_the_schema_wants_it_and_consistent() {
    let mut recording = hand_made();
    let file = file(&mut recording, &RenderOptions::default());
    assert_eq!(file.schema, "https://www.speedscope.app/file-format-schema.json");
    assert_eq!(file.name.as_deref(), Some("pyebpf profile"));
    assert_eq!(
        file.exporter,
        Some(format!("pyebpf@{}", env!("CARGO_PKG_VERSION")))
    );
    assert!(file.active_profile_index < Some(file.profiles.len()));
    for recording in &file.profiles {
        assert_eq!(
            (&recording.profile_type, &recording.unit),
            (&ProfileType::Sampled, &ValueUnit::Seconds)
        );
        assert_eq!(recording.samples.len(), recording.weights.len());
        assert!(recording.weights.iter().all(|weight| *weight > 0.0));
        assert!(
            recording
                .samples
                .iter()
                .flatten()
                .all(|frame| *frame < file.shared.frames.len())
        );
        assert!(recording.start_value + recording.weights.iter().sum::<f64>() <= recording.end_value + 1e-9);
    }
    let samples = recording.samples();
    let cpu_seconds: f64 = file.profiles.iter().map(Sampled::cpu_seconds).sum();
    assert!(close(cpu_seconds, samples as f64 / 100.0));
}

#[test]
fn the_bytes_are_these() {
    let options = RenderOptions {
        roots: vec![Group::Process, Group::Thread],
        ..RenderOptions::default()
    };
    assert_golden(
        "processes-threads.speedscope.json",
        &text(&mut hand_made(), &options),
    );
}

/// py-spy's `tests/integration_test.py` does `Frame(**frame)` with these four names, all of them required.
#[test]
fn every_frame_has_the_four_keys_that_py_spys_tests_unpack() {
    let json: serde_json::Value =
        serde_json::from_str(&text(&mut hand_made(), &RenderOptions::default())).expect("JSON");
    let frames = json["shared"]["frames"].as_array().expect("frames");
    assert!(!frames.is_empty());
    for frame in frames {
        let mut keys: Vec<&str> = frame
            .as_object()
            .expect("a frame")
            .keys()
            .map(String::as_str)
            .collect();
        keys.sort_unstable();
        assert_eq!(keys, ["col", "file", "line", "name"]);
    }
}

#[test]
fn threads_are_named_and_ordered_by_process_and_the_busiest_is_shown_first() {
    let several = file(&mut hand_made(), &RenderOptions::default());
    let names: Vec<&str> = several
        .profiles
        .iter()
        .map(|recording| recording.name.as_str())
        .collect();
    assert_eq!(
        names,
        [
            "Process 9 Thread 9 \"\"",
            "Process 100 Thread 100 \"python\"",
            "Process 100 Thread 105 \"Arbeiter; 1\n2\"",
            "Process 101 Thread 101 \"python3\"",
        ]
    );
    assert_eq!(several.active_profile_index, Some(1));

    let name = |options: RenderOptions| file(&mut one_thread(&[10]), &options).profiles[0].name.clone();
    assert_eq!(name(RenderOptions::default()), "Thread 6 \"worker\"");
    let all = RenderOptions {
        roots: vec![Group::Process],
        ..RenderOptions::default()
    };
    assert_eq!(name(all), "Process 5 Thread 6 \"worker\"");
}

#[test]
fn frames_follow_the_style_and_keep_the_whole_path() {
    let frame = |options: RenderOptions| {
        let file = file(&mut hand_made(), &options);
        let frames: Vec<Frame> = file
            .shared
            .frames
            .into_iter()
            .filter(|frame| frame.name == "fib")
            .collect();
        frames
    };
    let fib = |line| Frame {
        name: "fib".to_owned(),
        file: Some("/srv/app.py".to_owned()),
        line,
        col: None,
    };
    let options = |lines| RenderOptions {
        lines,
        ..RenderOptions::default()
    };
    assert_eq!(frame(options(LineStyle::Current)), [fib(Some(12)), fib(Some(11))]);
    assert_eq!(frame(options(LineStyle::Function)), [fib(Some(10))]);
    assert_eq!(frame(options(LineStyle::None)), [fib(None)]);
}

#[test]
fn root_frames_are_outermost_but_not_around_a_pause() {
    let options = RenderOptions {
        roots: vec![Group::Process, Group::Thread],
        ..RenderOptions::default()
    };
    let file = file(&mut one_thread(&[500]), &options);
    let samples = &file.profiles[0].samples;
    assert_eq!(samples.len(), 2);
    assert!(samples[0].is_empty());
    let names: Vec<&str> = samples[1]
        .iter()
        .map(|frame| file.shared.frames[*frame].name.as_str())
        .collect();
    assert_eq!(names, ["process 5:\"python\"", "thread (6): worker", "main"]);
}

/// One thread of one process, sampled at these milliseconds for 2 s at 100 Hz.
fn one_thread(at_ms: &[u64]) -> Recording {
    let process = Process {
        pid: 5,
        command_line: "python".to_owned(),
        ..Process::default()
    };
    let thread = Thread {
        process: ProcessId(0),
        tid: 6,
        name: "worker".to_owned(),
    };
    let samples: Vec<(u64, u32, u32)> = at_ms.iter().map(|at| (*at, 0, 0)).collect();
    recording(
        vec![process],
        vec![thread],
        vec![python("main", "/a.py", 2, 1)],
        &[&[0]],
        &samples,
    )
}

#[test]
fn samples_are_where_they_were_taken_and_threads_share_the_clock() {
    let mut recording = one_thread(&[10, 20, 1000, 1010, 1900]);
    let file = file(&mut recording, &RenderOptions::default());
    let thread = &file.profiles[0];
    assert_eq!(
        thread.placed(),
        [(0, 10), (10, 20), (990, 1000), (1000, 1010), (1890, 1900)]
    );
    assert!(close(thread.cpu_seconds(), 0.05));
    assert_eq!((thread.start_value, thread.end_value), (0.0, 2.0));
    for thread in &super::tests::file(&mut hand_made(), &RenderOptions::default()).profiles {
        assert_eq!((thread.start_value, thread.end_value), (0.0, 2.0));
    }
}

#[test]
fn the_jitter_of_sampling_makes_no_pauses_and_no_drift() {
    // Every interval is drawn from 7..13 ms by a fixed rule; on average 10 ms.
    let mut now = 0;
    let at_ms: Vec<u64> = (0..150u64)
        .map(|n| {
            now += 7 + (n * 5) % 7;
            now
        })
        .collect();
    let file = file(&mut one_thread(&at_ms), &RenderOptions::default());
    let thread = &file.profiles[0];
    assert!(thread.samples.iter().all(|stack| !stack.is_empty()));
    for ((_, end), at) in thread.placed().into_iter().zip(at_ms) {
        assert!(end.abs_diff(at) <= 20, "{at} is drawn at {end}");
    }
}

#[test]
fn samples_that_came_too_fast_catch_up_in_the_next_pause() {
    // 30 ms of CPU time cannot be drawn in 12 ms; after the pause everything is in its place again.
    let file = file(&mut one_thread(&[10, 11, 12, 100]), &RenderOptions::default());
    assert_eq!(
        file.profiles[0].placed(),
        [(0, 10), (10, 20), (20, 30), (90, 100)]
    );
}

#[test]
fn samples_that_keep_coming_too_fast_are_cut_to_the_time_there_was() {
    // 10 % more samples than there is time for: a clock that is off, not a thread on two processors.
    let at_ms: Vec<u64> = (1..=200).map(|n| n * 9).collect();
    let file = file(&mut one_thread(&at_ms), &RenderOptions::default());
    let thread = &file.profiles[0];
    for ((_, end), at) in thread.placed().into_iter().zip(at_ms) {
        assert!(end.abs_diff(at) <= 20, "{at} is drawn at {end}");
    }
    assert!(close(thread.cpu_seconds(), 1.82));
}

#[test]
fn samples_that_keep_coming_a_little_late_are_stretched_to_the_time_there_was() {
    let at_ms: Vec<u64> = (1..=150).map(|n| n * 11).collect();
    let file = file(&mut one_thread(&at_ms), &RenderOptions::default());
    let thread = &file.profiles[0];
    assert!(thread.samples.iter().all(|stack| !stack.is_empty()));
    for ((_, end), at) in thread.placed().into_iter().zip(at_ms) {
        assert!(end.abs_diff(at) <= 20, "{at} is drawn at {end}");
    }
    assert!(close(thread.cpu_seconds(), 1.63));
}

#[test]
fn a_thread_that_runs_half_the_time_is_drawn_half_the_time() {
    let at_ms: Vec<u64> = (1..=90).map(|n| n * 20).collect();
    let file = file(&mut one_thread(&at_ms), &RenderOptions::default());
    let thread = &file.profiles[0];
    let expected: Vec<(u64, u64)> = at_ms.iter().map(|at| (at - 10, *at)).collect();
    assert_eq!(thread.placed(), expected);
    assert!(close(thread.cpu_seconds(), 0.9));
}

#[test]
fn a_thread_that_changes_processors_makes_no_pauses() {
    // Two processors' clocks, the second 3 ms after the first; the thread moves after every sample.
    let at_ms: Vec<u64> = (1..=90).map(|n| n * 10 + 3 * (n % 2)).collect();
    let file = file(&mut one_thread(&at_ms), &RenderOptions::default());
    assert!(file.profiles[0].samples.iter().all(|stack| !stack.is_empty()));
    assert!(close(file.profiles[0].cpu_seconds(), 0.9));
}

#[test]
fn a_profile_never_ends_before_its_samples() {
    let mut recording = one_thread(&[10, 11, 12]);
    recording.duration = std::time::Duration::from_millis(12);
    assert!(close(
        file(&mut recording, &RenderOptions::default()).profiles[0].end_value,
        0.03
    ));
}

#[test]
fn a_recording_without_samples_is_a_valid_file_and_without_a_timeline_none() {
    let mut empty = one_thread(&[]);
    let options = RenderOptions::default();
    let file = file(&mut empty, &options);
    assert_eq!((file.profiles.len(), file.active_profile_index), (0, None));
    empty.timeline = None;
    let error = Speedscope
        .write(&mut empty, &options, &mut Vec::new())
        .expect_err("no timeline");
    assert!(matches!(error, OutputError::NoTimeline));
}

#[test]
fn times_beyond_anything_real_are_drawn_somewhere() {
    let moment = |time_ns| {
        Ok(Moment {
            time_ns,
            stack: StackId(0),
            weight: 0,
        })
    };
    let moments = [moment(u64::MAX), moment(0), moment(u64::MAX)];
    let chart = Chart::new(moments.into_iter(), 10);
    let entries: Vec<Entry> = chart.map(|entry| entry.expect("no error")).collect();
    assert_eq!(entries.len(), 4);
}
