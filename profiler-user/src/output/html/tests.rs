//! What is in the page, as a program reads it. How it looks in a browser: `tests/tests/live_html.rs`.

use serde_json::Value;

use super::{Html, SCRIPTS, STYLE, columns, digest};
use crate::output::test_recording::hand_made;
use crate::output::{Group, LineStyle, Output as _, OutputError, RenderOptions};
use crate::profile::{Frame, Recording};

fn written(recording: &mut Recording, options: &RenderOptions) -> String {
    let mut out = Vec::new();
    Html.write(recording, options, &mut out)
        .expect("a vector takes everything");
    String::from_utf8(out).expect("UTF-8")
}

fn data(page: &str) -> Value {
    let (_, block) = page.split_once("id=\"recording\">").expect("the block");
    let (json, _) = block.split_once("</script>").expect("its end");
    serde_json::from_str(json).expect("JSON")
}

fn numbers(of: &Value) -> Vec<u64> {
    columns::read(of.as_str().expect("a column"))
}

#[test]
fn the_sums_are_those_of_the_recording_and_every_index_leads_somewhere() {
    let mut recording = hand_made();
    let data = data(&written(&mut recording, &RenderOptions::default()));
    let counts = &data["counts"];
    assert_eq!(
        numbers(&counts["samples"]).iter().sum::<u64>(),
        recording.samples()
    );
    assert_eq!(
        numbers(&counts["weight"]).iter().sum::<u64>(),
        recording.profiles[0].weight()
    );
    let lines = numbers(&data["nodes"]["line"]);
    assert!(
        numbers(&counts["node"])
            .iter()
            .all(|node| *node < lines.len() as u64)
    );
    let functions = numbers(&data["lines"]["function"]);
    assert!(lines.iter().all(|line| *line < functions.len() as u64));
    let names = data["functions"]["name"].as_array().expect("names");
    assert!(functions.iter().all(|function| *function < names.len() as u64));
    for (node, up) in numbers(&data["nodes"]["up"]).into_iter().enumerate() {
        assert!(up <= node as u64);
    }
    assert!(
        numbers(&counts["slice"])
            .iter()
            .all(|slice| *slice < data["time"]["slices"].as_u64().expect("slices"))
    );
}

#[test]
fn what_is_not_known_is_not_in_the_page() {
    let mut recording = hand_made();
    recording.timeline = None;
    let options = RenderOptions {
        lines: LineStyle::Function,
        ..RenderOptions::default()
    };
    let data = data(&written(&mut recording, &options));
    assert!(data["time"].is_null() && data["counts"]["slice"].is_null());
    assert_eq!(data["has_lines"], false);
    let keys: Vec<&str> = data["facets"]
        .as_array()
        .expect("facets")
        .iter()
        .filter_map(|facet| facet["key"].as_str())
        .collect();
    assert_eq!(keys, ["process", "thread"], "one user, one script, no container");
}

#[test]
fn roots_are_those_that_were_asked_for() {
    let options = RenderOptions {
        roots: vec![Group::User, Group::Process],
        ..RenderOptions::default()
    };
    let data = data(&written(&mut hand_made(), &options));
    assert_eq!(data["roots"], serde_json::json!(["user", "process"]));
    assert_eq!(data["facets"][0]["key"], "user");
}

#[test]
fn a_time_line_that_is_not_whole_is_left_out() {
    let mut recording = hand_made();
    recording.profiles[0].counts[0].samples += 1;
    let data = data(&written(&mut recording, &RenderOptions::default()));
    assert!(data["time"].is_null());
    assert_eq!(
        numbers(&data["counts"]["samples"]).iter().sum::<u64>(),
        recording.samples()
    );
}

#[test]
fn names_are_data_and_never_markup() {
    let evil = "</script><img src=x onerror=alert(1)><!--&lt;\u{202e}";
    let mut recording = hand_made();
    let honest = written(&mut recording, &RenderOptions::default());
    recording.title = evil.to_owned();
    recording.host = evil.to_owned();
    recording.accounts = vec![evil.to_owned()];
    recording.frames.iter_mut().for_each(|frame| {
        *frame = Frame {
            name: evil.to_owned() + &"x".repeat(4_000),
            file: Some(evil.to_owned()),
            short_file: Some(evil.to_owned()),
            ..frame.clone()
        }
    });
    recording.threads[0].name = evil.to_owned();
    recording.processes[0].command_line = evil.to_owned();
    recording.processes[0].user = evil.to_owned();
    let page = written(&mut recording, &RenderOptions::default());
    for tag in ["<script", "</script", "<img", "<!--", "onerror"] {
        let outside = |page: &str| {
            let (before, block) = page.split_once("id=\"recording\">").expect("the block");
            let (json, after) = block.split_once("</script>").expect("its end");
            assert!(!json.contains(['<', '>', '&', '\u{202e}']));
            before.matches(tag).count() + after.matches(tag).count()
        };
        assert_eq!(outside(&page), outside(&honest), "{tag}");
    }
    let data = data(&page);
    let name = data["functions"]["name"][0].as_str().expect("a name");
    assert!(name.starts_with("</script><img src=x onerror=alert(1)><!--&lt;\\u202e"));
    let xs = name
        .trim_end_matches('…')
        .chars()
        .rev()
        .take_while(|c| *c == 'x')
        .count();
    assert_eq!(xs, 1_000 - evil.chars().count(), "{name}");
}

#[test]
fn the_policy_names_the_script_and_the_style_and_nothing_else() {
    let page = written(&mut hand_made(), &RenderOptions::default());
    let policy = format!(
        "content=\"default-src 'none'; script-src '{}'; style-src '{}'; base-uri 'none'; form-action 'none'\"",
        digest::source(&SCRIPTS.concat()),
        digest::source(STYLE),
    );
    assert!(page.contains(&policy), "{policy}");
    for text in SCRIPTS.iter().chain([&STYLE]) {
        // Neither ends its element, and none turns text into markup or asks for anything.
        for word in [
            "</",
            "<!--",
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "fetch(",
            "import(",
            "http",
            "url(",
        ] {
            assert!(!text.contains(word), "{word}");
        }
    }
}

#[test]
fn a_recording_without_samples_is_no_page() {
    let mut recording = hand_made();
    recording.profiles.clear();
    let written = Html.write(&mut recording, &RenderOptions::default(), &mut Vec::new());
    assert!(matches!(written, Err(OutputError::NoSamples)));
}
