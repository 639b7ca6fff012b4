//! What the comparison says of two recordings, in each form: the golden files in `testdata`.

use clap::Parser;

use super::args::{Args, Asked};
use super::pair::Pair;
use super::{table, verdict};
use crate::cli::failure::Failure;
use crate::output::test_recording::assert_golden_in;
use crate::recordings::{Loaded, Reader, ValueType};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(words: &[&str]) -> Args {
    let words = ["diff", "before.pb.gz", "after.pb.gz"].iter().chain(words);
    Line::try_parse_from(words).expect("a command line").args
}

const BEFORE: &str = "\
process 7:\"python app.py\";<module> (/srv/v1/app.py:1);main (/srv/v1/app.py:5);parse (/srv/v1/app.py:10) 100
process 7:\"python app.py\";<module> (/srv/v1/app.py:1);main (/srv/v1/app.py:5);work (/srv/v1/app.py:20) 700
process 7:\"python app.py\";<module> (/srv/v1/app.py:1);main (/srv/v1/app.py:6);loads (/usr/lib/python3.11/json/__init__.py:3) 195
process 7:\"python app.py\";<module> (/srv/v1/app.py:1);old\u{1b}[2J (/srv/v1/app.py:40) 5
";
const AFTER: &str = "\
process 9:\"python app.py\";<module> (/srv/v2/app.py:1);main (/srv/v2/app.py:5);parse (/srv/v2/app.py:10) 300
process 9:\"python app.py\";<module> (/srv/v2/app.py:1);main (/srv/v2/app.py:5);work (/srv/v2/app.py:20) 700
process 9:\"python app.py\";<module> (/srv/v2/app.py:1);main (/srv/v2/app.py:6);loads (/usr/lib/python3.13/json/__init__.py:3) 205
process 9:\"python app.py\";<module> (/srv/v2/app.py:1);new (/srv/v2/app.py:50) 4
";

fn read(folded: &str) -> Loaded {
    let mut reader = Reader::new();
    reader.add(folded.as_bytes()).expect("folded stacks");
    reader.finish().expect("one file")
}

/// The table, and what the exit status would be.
fn compared(
    loaded: [Loaded; 2],
    words: &[&str],
    colours: bool,
) -> Result<(String, Result<u8, Failure>), Failure> {
    let args = args(words);
    let pair = Pair::of(loaded, &args)?;
    let shown = table::of(&args, &pair, &pair.comparison(&args)?)?;
    let Asked::Table(form) = args.asked()? else {
        unreachable!("{words:?}");
    };
    Ok((table::written(&shown, form, colours)?, verdict::of(&args, &shown)))
}

fn shown(words: &[&str], colours: bool) -> String {
    compared([read(BEFORE), read(AFTER)], words, colours)
        .expect("there are samples")
        .0
}

#[test]
fn the_comparison_reads_well_in_every_form() {
    for (name, words) in [
        ("functions.txt", &[][..]),
        ("absolute.txt", &["--absolute", "--top", "3"]),
        ("lines.txt", &["--lines", "--full-filenames"]),
        ("by-process.txt", &["--by", "process"]),
        ("by-module.txt", &["--by", "module"]),
        ("functions.json", &["-f", "json", "--top", "2"]),
        ("by-owner.csv", &["--by", "owner", "-f", "csv"]),
    ] {
        let text = shown(words, false);
        assert!(!text.contains('\u{1b}'), "{name}");
        assert_golden_in("cli/diff", name, &text);
    }
}

#[test]
fn only_what_chance_does_not_explain_has_a_colour() {
    let text = shown(&[], true);
    let coloured: Vec<&str> = text
        .lines()
        .filter(|line| line.contains("\u{1b}[1;3"))
        .filter_map(|line| line.split_whitespace().rev().nth(1))
        .collect();
    assert_eq!(coloured, ["parse", "work"], "{text}");
    assert!(
        text.contains("\u{1b}[1;31m") && text.contains("\u{1b}[1;34m"),
        "{text}"
    );
}

#[test]
fn what_grew_by_more_than_is_allowed_has_a_status_of_its_own() {
    let of = |words: &[&str]| {
        compared([read(BEFORE), read(AFTER)], words, false)
            .expect("there are samples")
            .1
    };
    for words in [
        &[][..],
        &["--fail-above", "20%"],
        &["--fail-above", "15", "--by", "owner"],
    ] {
        assert_eq!(of(words).map_err(|failure| failure.message), Ok(0), "{words:?}");
    }
    for words in [
        &["--fail-above", "10"][..],
        &["--fail-above", "10", "--lines"],
        &["--fail-above", "15", "--absolute"],
    ] {
        let failure = of(words).expect_err("it grew");
        assert_eq!(failure.code, 3, "{words:?}");
        assert!(failure.message.contains("parse (app.py"), "{}", failure.message);
        assert!(failure.hint.is_some());
    }
}

#[test]
fn a_recording_without_samples_is_no_proof_that_all_is_well() {
    let empty = || read("main (app.py:1) 0\n");
    let words = ["--fail-above", "5"];
    for loaded in [[read(BEFORE), empty()], [empty(), read(AFTER)]] {
        let (text, status) = compared(loaded, &words, false).expect("a table");
        assert!(text.contains("has no samples"), "{text}");
        assert_eq!(status.map_err(|failure| failure.code), Err(1));
    }
    let failure = compared([empty(), empty()], &[], false).expect_err("nothing at all");
    assert!(
        failure.message.contains("no samples of samples/count"),
        "{}",
        failure.message
    );
}

#[test]
fn what_cannot_be_compared_is_refused_with_what_can() {
    let of = |types: &[(&str, &str)]| {
        let mut loaded = read("main (app.py:1) 5\n");
        loaded.values = vec![5; types.len()];
        loaded.types = types
            .iter()
            .map(|(name, unit)| ValueType {
                name: (*name).to_owned(),
                unit: (*unit).to_owned(),
            })
            .collect();
        loaded.default_type = types.len() - 1;
        loaded
    };
    let ours = [("samples", "count"), ("cpu", "nanoseconds")];
    let micro = [("samples", "count"), ("cpu", "microseconds")];
    for (types, words, error, hint) in [
        (
            [&ours[..], &micro[..]],
            &["--sample-type", "cpu"][..],
            "cpu is in nanoseconds in 'before.pb.gz', and in microseconds in 'after.pb.gz'",
            "--sample-type samples",
        ),
        (
            [&ours[1..], &micro[1..]],
            &[],
            "cpu is in nanoseconds in 'before.pb.gz', and in microseconds in 'after.pb.gz'",
            "record",
        ),
        (
            [&ours, &[("alloc_space", "bytes")]],
            &[],
            "have no value in common: 'before.pb.gz' has samples/count, cpu/nanoseconds, 'after.pb.gz' has alloc_space/bytes",
            "record",
        ),
        (
            [&ours, &ours[..1]],
            &["--sample-type", "cpu"],
            "'after.pb.gz' has no values called cpu",
            "--sample-type samples",
        ),
    ] {
        let [before, after] = types.map(of);
        let failure = compared([before, after], words, false).expect_err("they differ");
        assert!(failure.message.contains(error), "{}", failure.message);
        let said = failure.hint.unwrap_or_default();
        assert!(said.contains(hint), "{said}");
    }
    // What both have is compared, whatever each shows at first.
    let [before, after] = [&ours[..], &ours[..1]].map(of);
    let (text, _) = compared([before, after], &[], false).expect("samples");
    assert!(text.starts_with("samples: 5 in"), "{text}");
    // Values that are not counted have no test.
    let heap = || of(&[("alloc_space", "bytes")]);
    let (text, status) = compared([heap(), heap()], &["--fail-above", "5"], false).expect("bytes");
    assert!(text.contains("do not say how many samples"), "{text}");
    assert_eq!(status.map_err(|failure| failure.code), Err(1));
    let mut negative = heap();
    negative.values = vec![-5];
    let failure = compared([heap(), negative], &[], false).expect_err("negative");
    assert!(
        failure.message.contains("difference of two recordings already"),
        "{}",
        failure.message
    );
}

#[test]
fn numbers_of_samples_at_different_rates_are_not_compared_as_they_are() {
    let at = |period: i64| {
        let mut loaded = read(BEFORE);
        loaded.about.period = period;
        loaded
    };
    assert!(compared([at(10), at(10)], &["--absolute"], false).is_ok());
    assert!(compared([at(10), at(1)], &[], false).is_ok());
    let failure = compared([at(10), at(1)], &["--absolute"], false).expect_err("other rates");
    assert!(failure.message.contains("different rates"), "{}", failure.message);
}
