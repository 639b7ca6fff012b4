//! What two recordings look like in one file: the golden files in `testdata`.

use super::Difference;
use super::lines::{Line, Lines};
use crate::output::amounts::AmountUnit;
use crate::output::test_recording::{assert_golden, hand_made, python, recording};
use crate::output::{Encoding, Format, LineStyle, OutputError, RenderOptions};
use crate::profile::{Process, ProcessId, Recording, Thread};

/// A program that spends so many samples in two functions and in itself.
fn program(pid: u32, counts: [u32; 3]) -> Recording {
    let process = Process {
        pid,
        command_line: "python app.py".to_owned(),
        ..Process::default()
    };
    let thread = Thread {
        process: ProcessId(0),
        tid: pid,
        name: "MainThread".to_owned(),
    };
    let frames = vec![
        python("<module>", "/srv/app.py", 9, 1),
        python("hot", "/srv/app.py", 3, 2),
        python("cold; 1", "/srv/app.py", 6, 5),
    ];
    let stacks: [&[u32]; 3] = [&[0], &[0, 1], &[0, 2]];
    let samples = counts
        .iter()
        .zip(0..)
        .flat_map(|(count, stack)| (0..*count).map(move |_| (1, 0, stack)));
    recording(
        vec![process],
        vec![thread],
        frames,
        &stacks,
        &samples.collect::<Vec<_>>(),
    )
}

fn difference(counts: [[u32; 3]; 2], is_scaled: bool) -> Difference {
    let [before, after] = counts;
    let recordings = [program(7, before), program(8, after)];
    let names = ["before.pb.gz".to_owned(), "after.pb.gz".to_owned()];
    // The functions that are called, of either recording.
    Difference::of(recordings, names, is_scaled, |frame| frame % 3 != 0)
}

fn written(difference: &mut Difference, name: &str) -> Result<String, OutputError> {
    let encoding = Encoding::of(name.as_ref(), None).expect("a known extension");
    let mut out = Vec::new();
    difference.write(encoding, &RenderOptions::default(), &mut out)?;
    Ok(String::from_utf8(out).expect("UTF-8"))
}

#[test]
fn stacks_have_both_numbers_and_the_first_ones_are_scaled_to_the_second_ones() {
    let counts = [[10, 20, 70], [5, 30, 15]];
    let absolute = written(&mut difference(counts, false), "diff.folded").expect("there are samples");
    assert_eq!(
        absolute,
        "<module> (app.py:9) 10 5\n<module> (app.py:9);cold\\x3b 1 (app.py:6) 70 15\n<module> (app.py:9);hot (app.py:3) 20 30\n"
    );
    let scaled = written(&mut difference(counts, true), "diff.folded").expect("there are samples");
    assert_eq!(
        scaled,
        "<module> (app.py:9) 5 5\n<module> (app.py:9);cold\\x3b 1 (app.py:6) 35 15\n<module> (app.py:9);hot (app.py:3) 10 30\n"
    );
}

#[test]
fn what_is_in_one_of_them_only_has_a_nought_for_the_other() {
    let text = written(&mut difference([[0, 3, 0], [0, 0, 4]], false), "diff.folded").expect("samples");
    assert_eq!(
        text,
        "<module> (app.py:9);cold\\x3b 1 (app.py:6) 0 4\n<module> (app.py:9);hot (app.py:3) 3 0\n"
    );
}

#[test]
fn scaling_keeps_the_sum_whatever_is_rounded() {
    let line = |before: u64, after: u64| Line {
        stack: String::new(),
        before,
        after,
        is_changed: false,
    };
    let mut lines = Lines {
        unit: AmountUnit::Samples,
        lines: vec![line(1, 4), line(1, 3), line(1, 3), line(4, 0)],
    };
    lines.scale();
    let before: Vec<u64> = lines.lines.iter().map(|line| line.before).collect();
    assert_eq!(before, [2, 1, 1, 6]);
    let mut empty = Lines {
        unit: AmountUnit::Samples,
        lines: vec![line(7, 0)],
    };
    empty.scale();
    assert_eq!(empty.lines[0].before, 7);
}

#[test]
fn the_picture_is_as_wide_as_the_second_and_red_and_blue_where_it_changed() {
    let svg = written(&mut difference([[10, 20, 70], [10, 60, 30]], true), "diff.svg").expect("samples");
    let mut tool_tips: Vec<&str> = svg
        .split("<title>")
        .skip(1)
        .filter_map(|rest| rest.split("</title>").next())
        .collect();
    tool_tips.sort_unstable();
    assert_eq!(
        tool_tips,
        [
            "&lt;module&gt; (app.py:9) (100 samples, 100.00%; 0.00%)",
            "all (100 samples, 100%)",
            "cold\\x3b 1 (app.py:6) (30 samples, 30.00%; -40.00%)",
            "hot (app.py:3) (60 samples, 60.00%; +40.00%)",
        ]
    );
    for colour in ["rgb(255,100,100)", "rgb(100,100,255)", "rgb(250,250,250)"] {
        assert!(svg.contains(colour), "{colour}");
    }
    assert!(
        svg.contains("width: after.pb.gz; colour: change from before.pb.gz"),
        "{svg}"
    );
}

#[test]
fn nothing_after_is_no_picture() {
    let error = written(&mut difference([[1, 1, 1], [0, 0, 0]], true), "diff.svg").expect_err("nothing");
    assert!(matches!(error, OutputError::NoSamples));
}

#[test]
fn a_page_has_both_and_says_which_threads_are_whose() {
    let page = written(&mut difference([[1, 2, 3], [3, 2, 1]], true), "diff.html").expect("samples");
    let json = page
        .split("id=\"recording\">")
        .nth(1)
        .and_then(|rest| rest.split("</script>").next());
    let document: serde_json::Value = serde_json::from_str(json.expect("the block")).expect("JSON");
    let sides = &document["difference"];
    assert_eq!((&sides["second"], &sides["scaled"]), (&1.into(), &true.into()));
    assert_eq!(sides["names"][1], "after.pb.gz");
    // Equal functions of both are one.
    assert_eq!(document["functions"]["name"].as_array().map(Vec::len), Some(3));
}

#[test]
fn names_that_others_chose_are_escaped_as_in_every_flame_graph() {
    let recordings = [hand_made(), hand_made()];
    let names = ["a\u{1b}[2J".to_owned(), "b".to_owned()];
    let mut difference = Difference::of(recordings, names, true, |_| true);
    let encoding = Encoding::of("diff.folded".as_ref(), Some(Format::Raw)).expect("it is named");
    let options = RenderOptions {
        lines: LineStyle::Function,
        ..RenderOptions::default()
    };
    let mut out = Vec::new();
    difference
        .write(encoding, &options, &mut out)
        .expect("a vector takes everything");
    assert_golden("difference.txt", &String::from_utf8(out).expect("UTF-8"));
    let svg = written(&mut difference, "diff.svg").expect("samples");
    assert!(!svg.contains('\u{1b}'), "{svg}");
}
