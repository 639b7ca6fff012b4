//! Live: what the formats say about one recording, each read by a program that people open it with.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::folded::Folded;
use tests::live::alone;
use tests::profiler::{Finished, Pyebpf};
use tests::reader::{Line, Stacks, inclusive, own};
use tests::recorded::record_both;
use tests::workload::{Workload, script};
use tests::{python, reader};

/// Records one burning interpreter into a file with this name.
fn record_to(name: &str, options: &[&str]) -> (String, Finished) {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let file = folder.path().join(name);
    let mut workload = Workload::start(python::newest(), &script("split"), &["100"]).expect("it starts");
    workload.release().expect("it waits");
    let pid = workload.pid().to_string();
    let path = file.to_str().expect("temporary folders have plain names");
    let finished = Pyebpf::new([&["record", "-d", "1", "-p", &pid, "-o", path], options].concat())
        .expect("built")
        .run()
        .expect("ends in time");
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    (std::fs::read_to_string(&file).expect("written"), finished)
}

/// `N` of `Samples: N`.
fn samples(finished: &Finished) -> u64 {
    let (_, rest) = finished
        .stderr
        .split_once("Samples: ")
        .expect("the last line says so");
    rest.split(' ')
        .next()
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

#[test]
fn the_flame_graph_is_a_picture_of_all_samples() {
    let _alone = alone();
    let (svg, finished) = record_to("out.svg", &[]);
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    let document = roxmltree::Document::parse_with_options(&svg, options).expect("well-formed XML");
    assert_eq!(document.root_element().tag_name().name(), "svg");
    let titles: Vec<&str> = document
        .descendants()
        .filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "title")))
        .filter_map(|node| node.text())
        .collect();
    let all = format!("all ({} samples, 100%)", samples(&finished));
    assert!(titles.contains(&all.as_str()), "no {all:?} in {titles:?}");
    for function in [
        "red (split.py:",
        "green (split.py:",
        "blue (split.py:",
        "<module> (split.py:",
    ] {
        assert!(
            titles.iter().any(|title| title.starts_with(function)),
            "no {function} in {titles:?}"
        );
    }
}

#[test]
fn speedscope_files_have_the_shape_and_the_weights_that_py_spy_users_know() {
    let _alone = alone();
    let (json, finished) = record_to("out.json", &["-r", "200"]);
    let file: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(
        file["$schema"],
        "https://www.speedscope.app/file-format-schema.json"
    );
    let frames = file["shared"]["frames"].as_array().expect("frames");
    assert!(
        frames
            .iter()
            .any(|frame| frame["name"] == "red" && frame["file"].is_string()),
        "{frames:?}"
    );
    let (mut weight, mut count) = (0.0, 0);
    for profile in file["profiles"].as_array().expect("profiles") {
        assert_eq!(
            (&profile["type"], &profile["unit"]),
            (&Value::from("sampled"), &Value::from("seconds"))
        );
        assert!(
            profile["name"]
                .as_str()
                .is_some_and(|name| name.contains("Thread ")),
            "{}",
            profile["name"]
        );
        let stacks = profile["samples"].as_array().expect("samples");
        let weights = profile["weights"].as_array().expect("weights");
        assert_eq!(stacks.len(), weights.len());
        let mut end = 0.0;
        for (stack, seconds) in stacks.iter().zip(weights) {
            let (stack, seconds) = (
                stack.as_array().expect("a stack"),
                seconds.as_f64().expect("a number"),
            );
            for frame in stack {
                assert!(
                    frame
                        .as_u64()
                        .is_some_and(|index| (index as usize) < frames.len()),
                    "{frame}"
                );
            }
            // A sample without frames is a pause.
            if !stack.is_empty() {
                count += 1;
                weight += seconds;
            }
            end += seconds;
        }
        let end_value = profile["endValue"].as_f64().expect("a number");
        assert!(
            end <= end_value + 1e-6 && end_value < 1.5,
            "{end} of {end_value} s of a second"
        );
    }
    assert_eq!(count, samples(&finished));
    let due = count as f64 / 200.0;
    assert!(
        (weight / due - 1.0).abs() < 0.1,
        "{weight} s in {count} samples of 5 ms"
    );
}

#[test]
fn counting_by_function_and_without_lines_changes_the_frames_as_said() {
    let _alone = alone();
    let line_of = |options: &[&str]| {
        let (text, _) = record_to("out.txt", options);
        let folded = Folded::parse(&text).expect("folded stacks");
        let lines: std::collections::BTreeSet<Option<u32>> = folded
            .stacks
            .iter()
            .filter(|s| s.leaf() == "red")
            .map(|s| s.frames.last().expect("red").line)
            .collect();
        (lines, folded)
    };
    let source = std::fs::read_to_string(script("split")).expect("the workload");
    let first = source
        .lines()
        .position(|line| line.starts_with("def red"))
        .expect("red") as u32
        + 1;
    assert_eq!(line_of(&["-F"]).0, [Some(first)].into());
    assert_eq!(line_of(&["--nolineno"]).0, [None].into());
    assert!(line_of(&[]).0.contains(&Some(first + 1)));
    let (_, full) = line_of(&["--full-filenames"]);
    let red = full
        .stacks
        .iter()
        .find(|stack| stack.leaf() == "red")
        .expect("red");
    assert_eq!(
        red.frames.last().and_then(|frame| frame.file.as_deref()),
        script("split").to_str()
    );
}

fn go_pprof(arguments: &[&str], file: &Path) -> anyhow::Result<String> {
    let home = tempfile::tempdir()?;
    let mut go = Command::new("go");
    go.args(["tool", "pprof"]).args(arguments).arg(file);
    // It keeps settings and copies there.
    go.env("PPROF_TMPDIR", home.path());
    reader::output(&mut go)
}

#[test]
fn go_tool_pprof_reads_the_stacks_lines_and_labels_of_the_recording() -> anyhow::Result<()> {
    if !reader::is_here("go") {
        return Ok(());
    }
    let _alone = alone();
    let both = record_both("out.pb.gz", &[])?;
    let raw = go_pprof(&["-raw", "-symbolize=none"], &both.file)?;
    reader::ensure_same(&reader::stacks_of_go(&raw)?, &both.stacks, "pprof -raw")?;
    ensure!(raw.contains(" samples + "), "the accounts: {raw}");
    let top = go_pprof(
        &["-top", "-lines", "-nodefraction=0", "-symbolize=none"],
        &both.file,
    )?;
    ensure!(top.contains(" <module> /"), "{top}");
    let samples = samples(&both.finished);
    let all = format!("Showing nodes accounting for {samples}, 100% of {samples} total");
    ensure!(top.contains(&all), "no {all:?} in {top}");
    for (focus, is_all) in [
        (format!("-tagfocus=pid={}", both.pid), true),
        ("-tagfocus=thread=MainThread".to_owned(), true),
        ("-tagfocus=thread=nobody".to_owned(), false),
    ] {
        let top = go_pprof(
            &["-top", "-nodefraction=0", "-symbolize=none", &focus],
            &both.file,
        );
        let is_there = top.as_ref().is_ok_and(|top| top.contains(&all));
        ensure!(is_there == is_all, "{focus}: {top:?}");
    }
    Ok(())
}

/// Prints stacks of a pprof file as JSON, by the messages that `protoc` makes of the definition.
const READ_PPROF: &str = "
import gzip, json, os, sys, tempfile
from grpc_tools import protoc
definition, file = sys.argv[1:]
made = tempfile.mkdtemp()
assert protoc.main(['', '-I' + os.path.dirname(definition), '--python_out=' + made, definition]) == 0
sys.path.insert(0, made)
import profile_pb2
profile = profile_pb2.Profile()
profile.ParseFromString(gzip.open(file).read())
text = profile.string_table
functions = {function.id: function for function in profile.function}
locations = {}
for location in profile.location:
    (line,) = location.line
    function = functions[line.function_id]
    locations[location.id] = [text[function.name], text[function.filename], line.line]
stacks = []
for sample in profile.sample:
    labels = {text[label.key]: text[label.str] or label.num for label in sample.label}
    stacks.append([[locations[id] for id in reversed(sample.location_id)], list(sample.value), labels])
print(json.dumps([[[text[of.type], text[of.unit]] for of in profile.sample_type], stacks, profile.duration_nanos, profile.time_nanos]))
";

#[test]
fn pythons_protobuf_reads_every_sample_with_its_time() -> anyhow::Result<()> {
    let _alone = alone();
    let both = record_both("out.pb.gz", &["--timestamps"])?;
    let definition = Path::new(env!("CARGO_MANIFEST_DIR")).join("../third-party/pprof/profile.proto");
    let text = reader::python(
        &["grpcio-tools"],
        READ_PPROF,
        &[&definition.canonicalize()?, &both.file],
    )?;
    type Sample = (Vec<Line>, Vec<u64>, BTreeMap<String, Value>);
    type Profile = (Vec<(String, String)>, Vec<Sample>, u64, u64);
    let (types, profile, duration_ns, started_ns): Profile = serde_json::from_str(&text)?;
    let names: Vec<&str> = types.iter().flat_map(|(name, unit)| [&**name, &**unit]).collect();
    ensure!(names == ["samples", "count", "cpu", "nanoseconds"], "{names:?}");
    let mut stacks = Stacks::new();
    for (stack, values, labels) in profile {
        ensure!(values[0] == 1, "one sample: {values:?}");
        ensure!(
            labels["pid"] == both.pid && labels["thread"] == "MainThread",
            "{labels:?}"
        );
        let time = labels["end_timestamp_ns"].as_u64().context("a time")?;
        let end = started_ns + duration_ns;
        // The rings are read a little longer than the recording lasts.
        ensure!(
            (started_ns..end + 500_000_000).contains(&time),
            "{time} between {started_ns} and {end}"
        );
        *stacks.entry(stack).or_default() += 1;
    }
    reader::ensure_same(&stacks, &both.stacks, "protobuf")
}

#[test]
fn callgrind_annotate_reads_the_cost_of_functions_and_lines() -> anyhow::Result<()> {
    if !reader::is_here("callgrind_annotate") {
        return Ok(());
    }
    let _alone = alone();
    let both = record_both("out.callgrind", &[])?;
    let annotate = |options: &[&str]| {
        let mut command = Command::new("callgrind_annotate");
        command.args(["--threshold=100", "--show=Samples"]).args(options);
        // It shortens paths beneath the current folder.
        command.current_dir(std::env::temp_dir());
        reader::output(command.arg(&both.file))
    };
    // 1,234 (12.3%)  FILE:FUNCTION [OBJECT]
    let functions = |text: &str| -> BTreeMap<(String, String), u64> {
        let function = |line: &str| {
            let (count, rest) = line.trim().split_once(" (")?;
            let (_, place) = rest.split_once(")  ")?;
            let (file, name) = place.rsplit_once(':')?;
            let name = name.strip_suffix(" [???]").unwrap_or(name);
            let file = if file == "???" { "" } else { file };
            let count = count.replace(',', "").parse().ok()?;
            Some(((name.to_owned(), file.to_owned()), count))
        };
        text.lines().filter_map(function).collect()
    };
    let exclusive = functions(&annotate(&["--auto=no"])?);
    let nonzero: BTreeMap<_, _> = exclusive.into_iter().filter(|(_, count)| *count > 0).collect();
    reader::ensure_same(&nonzero, &own(&both.stacks), "own costs")?;
    let with_callees = functions(&annotate(&["--auto=no", "--inclusive=yes"])?);
    reader::ensure_same(&with_callees, &inclusive(&both.stacks), "inclusive costs")?;
    let source = annotate(&["--auto=yes"])?;
    let by_line = |name: &str| -> u64 {
        let of_name = both
            .stacks
            .iter()
            .filter(|(stack, _)| stack.last().is_some_and(|leaf| leaf.0 == name));
        of_name.map(|(_, count)| count).sum()
    };
    let loops: u64 = ["red", "green", "blue"].into_iter().map(by_line).sum();
    let annotated = source
        .lines()
        .filter(|line| line.ends_with("while clock() < end: pass"))
        .filter_map(|line| {
            line.trim()
                .split(' ')
                .next()?
                .replace(',', "")
                .parse::<u64>()
                .ok()
        });
    reader::ensure_same(&annotated.sum(), &loops, "annotated lines")
}

/// Prints functions of a profile as JSON, read by Python's own module.
const READ_PSTATS: &str = "
import json, pstats, sys
stats = pstats.Stats(sys.argv[1])
functions = []
for (file, line, name), (cc, nc, tt, ct, callers) in stats.stats.items():
    functions.append([name, file, nc, round(tt * 1e9), round(ct * 1e9), sum(caller[2] for caller in callers.values())])
print(json.dumps([round(stats.total_tt * 1e9), functions]))
";

#[test]
fn pythons_pstats_reads_the_time_of_functions() -> anyhow::Result<()> {
    let _alone = alone();
    let both = record_both("out.pstats", &["--unit", "time"])?;
    let text = reader::python(&[], READ_PSTATS, &[&both.file])?;
    type Functions = Vec<(String, String, u64, u64, u64, f64)>;
    let (total, functions): (u64, Functions) = serde_json::from_str(&text)?;
    reader::ensure_same(&total, &both.stacks.values().sum(), "total time")?;
    let function = |name: &String, file: &String| (name.clone(), file.clone());
    let with_callees = functions
        .iter()
        .map(|(name, file, _, _, ct, _)| (function(name, file), *ct));
    reader::ensure_same(
        &with_callees.collect(),
        &inclusive(&both.stacks),
        "cumulative time",
    )?;
    let exclusive = functions
        .iter()
        .filter(|(_, _, _, tt, ..)| *tt > 0)
        .map(|(name, file, _, tt, ..)| (function(name, file), *tt));
    reader::ensure_same(&exclusive.collect(), &own(&both.stacks), "own time")
}

const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator
schema, file = (json.load(open(path)) for path in sys.argv[1:])
Draft202012Validator.check_schema(schema); Draft202012Validator(schema).validate(file)
";

#[test]
fn the_json_is_as_its_schema_says_and_has_the_stacks_of_the_recording() -> anyhow::Result<()> {
    let _alone = alone();
    let both = record_both("out.pyebpf.json", &[])?;
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pyebpf.schema.json");
    reader::python(
        &["jsonschema", "typing_extensions"],
        VALIDATE,
        &[&schema, &both.file],
    )?;
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&both.file)?)?;
    let mut stacks = Stacks::new();
    for count in file["profiles"][0]["counts"].as_array().context("counts")? {
        let index = |value: &Value| value.as_u64().unwrap_or(u64::MAX) as usize;
        let stack = file["stacks"][index(&count["stack"])]
            .as_array()
            .context("a stack")?;
        let line = |frame: &Value| {
            let frame = &file["frames"][index(frame)];
            let text = |key: &str| frame[key].as_str().unwrap_or_default().to_owned();
            (text("name"), text("file"), frame["line"].as_u64().unwrap_or(0))
        };
        *stacks.entry(stack.iter().map(line).collect()).or_default() +=
            count["samples"].as_u64().context("a number")?;
    }
    reader::ensure_same(&stacks, &both.stacks, "JSON")
}

/// Mozilla publishes no schema: the tests have one of what its viewer needs.
#[test]
fn the_firefox_profile_is_as_its_viewer_needs_it_and_has_the_stacks_of_the_recording() -> anyhow::Result<()> {
    let _alone = alone();
    let both = record_both("out.firefox.json", &[])?;
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("formats/firefox-profile.schema.json");
    reader::python(
        &["jsonschema", "typing_extensions"],
        VALIDATE,
        &[&schema, &both.file],
    )?;
    let file: Value = serde_json::from_str(&std::fs::read_to_string(&both.file)?)?;
    let pids = file["threads"].as_array().context("threads")?.iter();
    let pids: Vec<&Value> = pids.map(|thread| &thread["pid"]).collect();
    ensure!(pids == [&both.pid.to_string()], "{pids:?}");
    reader::ensure_same(&reader::stacks_of_firefox(&file)?, &both.stacks, "the profile")
}

#[test]
fn trace_events_end_what_they_begin_and_last_as_long_as_the_samples() -> anyhow::Result<()> {
    let _alone = alone();
    let both = record_both("out.chrometrace.json", &[])?;
    let events: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&both.file)?)?;
    let (mut open, mut since_us, mut own_us) = (Vec::new(), 0.0, BTreeMap::new());
    for event in &events {
        let name = event["name"].as_str().context("a name")?;
        ensure!(event["pid"] == both.pid && event["tid"] == both.pid, "{event}");
        if event["ph"] == "M" {
            continue;
        }
        let now_us = event["ts"].as_f64().context("a time")?;
        if let Some(leaf) = open.last() {
            *own_us.entry(*leaf).or_insert(0.0) += now_us - since_us;
        }
        since_us = now_us;
        if event["ph"] == "B" {
            ensure!(
                event["args"]["line"].is_u64() && event["args"]["filename"].is_string(),
                "{event}"
            );
            open.push(name);
        } else {
            ensure!(
                event["ph"] == "E" && open.pop() == Some(name),
                "ends what has begun: {event}"
            );
        }
    }
    ensure!(open.is_empty(), "{open:?}");
    let by_name = own(&both.stacks);
    for name in ["red", "green", "blue"] {
        let count: u64 = by_name
            .iter()
            .filter(|((of, _), _)| of == name)
            .map(|(_, count)| count)
            .sum();
        let due_us = count as f64 * 1e6 / 499.0;
        let us = own_us.get(name).copied().unwrap_or(0.0);
        ensure!(
            (us / due_us - 1.0).abs() < 0.1,
            "{name}: {us} us, {count} samples"
        );
    }
    Ok(())
}

#[test]
fn files_are_compressed_as_their_names_say() -> anyhow::Result<()> {
    let _alone = alone();
    for (name, program) in [("out.folded.gz", "gzip"), ("out.folded.zst", "zstd")] {
        if !reader::is_here(program) {
            continue;
        }
        let both = record_both(name, &[])?;
        let text = reader::output(Command::new(program).arg("-dc").arg(&both.file))?;
        let total = Folded::parse(&text)?.total();
        reader::ensure_same(&total, &both.stacks.values().sum(), program)?;
    }
    Ok(())
}
