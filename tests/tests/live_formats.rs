//! Live: what the formats say about one recording.

use serde_json::Value;
use tests::folded::Folded;
use tests::live::alone;
use tests::profiler::{Finished, Pyebpf};
use tests::python;
use tests::workload::{Workload, script};

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
