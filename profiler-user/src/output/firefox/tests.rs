//! What a reader finds in the file: the tables followed from samples to names, as the viewer follows them.

use std::collections::BTreeMap;

use profiler_common::contract::sources::Source;
use serde_json::Value;

use super::{Document, Firefox, Shared};
use crate::output::test_recording::{assert_golden, hand_made, python, recording};
use crate::output::{LineStyle, Measure, Output as _, RenderOptions};
use crate::profile::timeline::Timeline;
use crate::profile::{Process, ProcessId, Recording, Thread};

fn text(recording: &mut Recording, options: &RenderOptions) -> String {
    let mut out = Vec::new();
    Firefox
        .write(recording, options, &mut out)
        .expect("a vector takes everything");
    String::from_utf8(out).expect("UTF-8")
}

fn profile(recording: &mut Recording, options: &RenderOptions) -> Value {
    serde_json::from_str(&text(recording, options)).expect("JSON")
}

fn in_time() -> RenderOptions {
    RenderOptions {
        measure: Measure::Time,
        ..RenderOptions::default()
    }
}

fn threads(profile: &Value) -> &[Value] {
    profile["threads"].as_array().expect("an array")
}

/// The entries of a column; `None` for null.
fn column<T>(table: &Value, name: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<Option<T>> {
    let values = table[name].as_array().expect(name).iter();
    values
        .map(|value| (!value.is_null()).then(|| read(value).expect(name)))
        .collect()
}

fn indexes(table: &Value, name: &str) -> Vec<Option<usize>> {
    column(table, name, |value| value.as_u64().map(|index| index as usize))
}

fn row(table: &Value, name: &str, at: usize) -> Option<usize> {
    table[name][at].as_u64().map(|index| index as usize)
}

/// Name, file and line of each frame of a stack, outermost first.
fn frames(profile: &Value, stack: usize) -> Vec<(String, Option<String>, Option<usize>)> {
    let shared = &profile["shared"];
    let text = |at: usize| shared["stringArray"][at].as_str().expect("a text").to_owned();
    let mut frames = Vec::new();
    let mut next = Some(stack);
    while let Some(node) = next {
        let frame = row(&shared["stackTable"], "frame", node).expect("a frame");
        let function = row(&shared["frameTable"], "func", frame).expect("a function");
        let functions = &shared["funcTable"];
        let source = row(functions, "source", function);
        frames.push((
            text(row(functions, "name", function).expect("a name")),
            source.map(|source| text(row(&shared["sources"], "filename", source).expect("a file"))),
            row(&shared["frameTable"], "line", frame),
        ));
        next = row(&shared["stackTable"], "prefix", node);
    }
    frames.reverse();
    frames
}

/// What each thread has of each stack, by thread id.
type Sums = BTreeMap<(u64, Vec<(String, Option<String>, Option<usize>)>), f64>;

fn sums(profile: &Value) -> Sums {
    let mut sums = Sums::new();
    for thread in threads(profile) {
        let tid = thread["tid"].as_u64().expect("a number");
        let stacks = indexes(&thread["samples"], "stack");
        let weights = column(&thread["samples"], "weight", Value::as_f64);
        for (stack, weight) in stacks.into_iter().zip(weights) {
            let weight = weight.expect("a number");
            match stack {
                Some(stack) => *sums.entry((tid, frames(profile, stack))).or_default() += weight,
                None => assert_eq!(weight, 0.0, "a pause"),
            }
        }
    }
    sums
}

fn sums_of_recording(recording: &Recording, value: impl Fn(u64, u64) -> f64) -> Sums {
    let mut sums = Sums::new();
    for count in &recording.profiles[0].counts {
        let frames = recording.stack(count.stack).iter().map(|id| recording.frame(*id));
        let frame = |frame: &crate::profile::Frame| {
            let line = frame.line.map(|line| line as usize);
            (frame.name.clone(), frame.file.clone(), line)
        };
        let key = (
            recording.thread(count.thread).tid.into(),
            frames.map(frame).collect::<Vec<_>>(),
        );
        *sums.entry(key).or_default() += value(count.samples, count.weight);
    }
    sums
}

/// Time, and whether there is a stack.
fn times(thread: &Value) -> Vec<(f64, bool)> {
    let times = column(&thread["samples"], "time", Value::as_f64);
    let stacks = indexes(&thread["samples"], "stack");
    let times = times.into_iter().map(|time| time.expect("a number"));
    times.zip(stacks.iter().map(Option::is_some)).collect()
}

fn thread(profile: &Value, tid: u64) -> &Value {
    let mut threads = threads(profile).iter();
    threads.find(|thread| thread["tid"] == tid).expect("the thread")
}

#[test]
fn the_bytes_are_these() {
    let mut recording = hand_made();
    recording.accounts = vec!["15 interrupts = 15 samples".to_owned()];
    assert_golden(
        "plain.firefox.json",
        &text(&mut recording, &RenderOptions::default()),
    );
}

#[test]
fn tables_have_columns_of_one_length_and_indexes_that_lead_somewhere() {
    let profile = profile(&mut hand_made(), &RenderOptions::default());
    let shared = &profile["shared"];
    let tables = shared.as_object().expect("an object").iter();
    let tables = tables
        .filter(|(_, table)| table.is_object())
        .map(|(_, table)| table);
    let samples = threads(&profile).iter().map(|thread| &thread["samples"]);
    let markers = threads(&profile).iter().map(|thread| &thread["markers"]);
    for table in tables.chain(samples).chain(markers) {
        let length = table["length"].as_u64().expect("a length") as usize;
        for (name, column) in table.as_object().expect("an object") {
            if let Some(column) = column.as_array() {
                assert_eq!(column.len(), length, "{name}");
            }
        }
    }
    let length = |table: &str| shared[table]["length"].as_u64().expect("a length") as usize;
    let texts = shared["stringArray"].as_array().expect("an array").len();
    let categories = profile["meta"]["categories"].as_array().expect("an array").len();
    for (table, name, length) in [
        ("stackTable", "frame", length("frameTable")),
        ("frameTable", "func", length("funcTable")),
        ("frameTable", "category", categories),
        ("funcTable", "name", texts),
        ("funcTable", "source", length("sources")),
        ("sources", "filename", texts),
        ("resourceTable", "name", texts),
    ] {
        let mut indexes = indexes(&shared[table], name).into_iter().flatten();
        assert!(indexes.all(|index| index < length), "{table}.{name}");
    }
    let resources = column(&shared["funcTable"], "resource", Value::as_i64);
    let known = |resource: i64| usize::try_from(resource).is_ok_and(|at| at < length("resourceTable"));
    let mut resources = resources.into_iter().flatten();
    assert!(resources.all(|resource| resource == -1 || known(resource)));
    let prefixes = indexes(&shared["stackTable"], "prefix");
    let mut prefixes = prefixes.iter().enumerate();
    assert!(prefixes.all(|(at, prefix)| prefix.is_none_or(|prefix| prefix < at)));
    for thread in threads(&profile) {
        let stacks = indexes(&thread["samples"], "stack");
        assert!(stacks.iter().flatten().all(|stack| *stack < length("stackTable")));
    }
}

#[test]
fn every_thread_has_the_samples_and_the_time_of_its_stacks() {
    let mut recording = hand_made();
    let samples = sums(&profile(&mut recording, &RenderOptions::default()));
    assert_eq!(
        samples,
        sums_of_recording(&recording, |samples, _| samples as f64)
    );
    let time = profile(&mut recording, &in_time());
    assert_eq!(
        sums(&time),
        sums_of_recording(&recording, |_, weight| weight as f64 / 1e6)
    );
    let types = threads(&time)
        .iter()
        .map(|thread| &thread["samples"]["weightType"]);
    assert!(types.clone().count() == 4 && types.into_iter().all(|of| of == "tracing-ms"));
}

#[test]
fn samples_begin_when_their_time_begins_and_pauses_are_empty() {
    let profile = profile(&mut hand_made(), &RenderOptions::default());
    let one = thread(&profile, 100);
    assert_eq!(
        times(one),
        [
            (0.0, true),
            (10.0, true),
            (20.0, true),
            (30.0, true),
            (41.0, true),
            (50.0, true),
            (50.0, false),
            (990.0, true),
            (1000.0, true),
            (1013.0, true),
            (1013.0, false),
        ]
    );
    let used = column(&one["samples"], "threadCPUDelta", Value::as_u64);
    let used_ms: Vec<u64> = used.into_iter().flatten().map(|ns| ns / 1_000_000).collect();
    assert_eq!(used_ms, [0, 10, 10, 10, 10, 9, 0, 0, 10, 10, 0]);
    assert_eq!(
        times(thread(&profile, 9)),
        [
            (0.0, false),
            (1490.0, true),
            (1500.0, true),
            (1510.0, true),
            (1510.0, false)
        ]
    );
    assert_eq!(profile["meta"]["interval"], 10.0);
    assert_eq!(profile["meta"]["profilingEndTime"], 2000.0);
}

#[test]
fn events_last_a_period_each_and_weigh_what_they_stand_for() {
    let mut recording = hand_made();
    let mut other = Timeline::new().expect("a temporary file");
    let mut timeline = recording.timeline.take().expect("it has one");
    for tick in timeline.read().expect("readable") {
        let mut tick = tick.expect("readable");
        tick.source = Source::PageFaults;
        tick.weight = 7;
        other.push(tick);
    }
    recording.timeline = Some(other);
    recording.profiles[0].source = Source::PageFaults;
    for count in &mut recording.profiles[0].counts {
        count.weight = 7 * count.samples;
    }
    let profile = profile(&mut recording, &in_time());
    assert_eq!(
        sums(&profile),
        sums_of_recording(&recording, |_, weight| weight as f64)
    );
    let thread = thread(&profile, 9);
    assert_eq!(
        times(thread),
        [
            (0.0, false),
            (1500.0, false),
            (1500.0, true),
            (1510.0, true),
            (1520.0, true),
            (1520.0, false)
        ]
    );
    assert_eq!(thread["samples"]["weightType"], "samples");
    assert!(thread["samples"]["threadCPUDelta"].is_null());
    assert_eq!(thread["name"], "Thread 9 (page faults)");
}

#[test]
fn without_an_order_of_time_every_stack_is_there_once() {
    let recording = hand_made();
    let options = RenderOptions::default();
    let document = Document {
        recording: &recording,
        lanes: None,
        shared: Shared::of(&recording, &options),
        measure: Measure::Samples,
    };
    let mut out = Vec::new();
    document.write(&mut out).expect("a vector takes everything");
    let profile = serde_json::from_slice(&out).expect("JSON");
    assert_eq!(
        sums(&profile),
        sums_of_recording(&recording, |samples, _| samples as f64)
    );
}

#[test]
fn a_stack_without_frames_counts() {
    let mut recording = hand_made();
    recording.stacks[2] = Box::default();
    let sums = sums(&profile(&mut recording, &RenderOptions::default()));
    assert_eq!(sums.values().sum::<f64>(), recording.samples() as f64);
    let frames = vec![("<no frames>".to_owned(), None, None)];
    assert_eq!(sums[&(105, frames)], 2.0);
}

#[test]
fn processes_with_one_id_are_two_and_each_has_one_main_thread() {
    let process = |pid, command_line: &str| Process {
        pid,
        command_line: command_line.to_owned(),
        ..Process::default()
    };
    let thread = |process, tid, name: &str| Thread {
        process: ProcessId(process),
        tid,
        name: name.to_owned(),
    };
    let mut recording = recording(
        vec![process(7, "python a.py"), process(7, "python b.py")],
        vec![thread(0, 7, "main"), thread(0, 8, ""), thread(1, 7, "main")],
        vec![python("a", "/a.py", 1, 1)],
        &[&[0]],
        &[(10, 0, 0), (10, 1, 0), (500, 2, 0)],
    );
    let profile = profile(&mut recording, &RenderOptions::default());
    let fact = |thread: &Value| {
        let text = |key: &str| thread[key].as_str().expect("a text").to_owned();
        let is_main = thread["isMainThread"].as_bool().expect("a bool");
        (text("pid"), text("name"), text("processName"), is_main)
    };
    let facts: Vec<_> = threads(&profile).iter().map(fact).collect();
    let expected = |pid: &str, name: &str, command: &str, is_main| {
        (pid.to_owned(), name.to_owned(), command.to_owned(), is_main)
    };
    assert_eq!(
        facts,
        [
            expected("7", "main", "python a.py", true),
            expected("7.1", "main", "python b.py", true),
            expected("7", "Thread 8", "python a.py", false),
        ]
    );
}

#[test]
fn frames_have_the_category_of_their_owner_and_the_lines_that_were_asked_for() {
    let mut recording = hand_made();
    let mut category = |name: &str, options: &RenderOptions| {
        let profile = profile(&mut recording, options);
        let shared = &profile["shared"];
        let texts = shared["stringArray"].as_array().expect("an array");
        let text = texts.iter().position(|text| text == name).expect("the name");
        let functions = indexes(&shared["funcTable"], "name");
        let function = functions
            .iter()
            .position(|at| *at == Some(text))
            .expect("the function");
        let frames = indexes(&shared["frameTable"], "func");
        let frame = frames
            .iter()
            .position(|at| *at == Some(function))
            .expect("the frame");
        let category = row(&shared["frameTable"], "category", frame).expect("a category");
        let label = profile["meta"]["categories"][category]["name"]
            .as_str()
            .expect("a text");
        (label.to_owned(), row(&shared["frameTable"], "line", frame))
    };
    let plain = RenderOptions::default();
    let owner = |label: &str, line| (label.to_owned(), line);
    assert_eq!(category("main", &plain), owner("Python: program", Some(70)));
    assert_eq!(category("dot", &plain), owner("Python: packages", Some(9)));
    assert_eq!(category("inflate", &plain), owner("native", Some(622)));
    assert_eq!(category("do_syscall_64", &plain), owner("kernel", None));
    assert_eq!(category("<native thread>", &plain), owner("no code", None));
    let lines = |lines| RenderOptions {
        lines,
        ..RenderOptions::default()
    };
    let first = lines(LineStyle::Function);
    assert_eq!(category("main", &first), owner("Python: program", Some(60)));
    let none = lines(LineStyle::None);
    assert_eq!(category("main", &none), owner("Python: program", None));
}
