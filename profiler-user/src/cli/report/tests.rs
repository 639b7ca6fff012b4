//! What each view says of one recording, in each form: the golden files in `testdata`.

use clap::Parser;

use super::args::Args;
use super::look;
use crate::cli::sheet::{Value, ViewForm, written};
use crate::output::test_recording::{assert_golden_in, hand_made};
use crate::output::{Encoding, RenderOptions};
use crate::recordings::{Loaded, Reader};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn args(words: &[&str]) -> Args {
    let words = ["report", "cpu.pb.gz"].iter().chain(words);
    Line::try_parse_from(words).expect("a command line").args
}

/// The recording that every format is tested with, as `record` writes it.
fn loaded() -> Loaded {
    let encoding = Encoding::of("cpu.pb.gz".as_ref(), None).expect("pprof");
    let mut bytes = Vec::new();
    encoding
        .write(&mut hand_made(), &RenderOptions::default(), &mut bytes)
        .expect("a vector takes everything");
    let mut reader = Reader::new();
    reader.add(&*bytes).expect("our own file");
    reader.finish().expect("one file")
}

fn shown(words: &[&str], form: ViewForm, colours: bool) -> String {
    let sheet = look::at(&args(words), &loaded()).expect("there are samples");
    written(&sheet, form, colours).expect("it can be written")
}

#[test]
fn every_view_reads_well() {
    for (name, words) in [
        ("functions.txt", &["--functions"][..]),
        (
            "functions-time.txt",
            &["--sample-type", "cpu", "--top", "4", "--full-filenames"],
        ),
        ("tree.txt", &["--tree", "--min", "0"]),
        ("tree-no-fold.txt", &["--tree", "--no-fold", "--min", "15"]),
        ("lines.txt", &["--lines"]),
        ("callers.txt", &["--callers", "fib"]),
        ("callees.txt", &["--callees", "main"]),
        ("by-process.txt", &["--by", "process"]),
        ("by-thread.txt", &["--by", "thread"]),
        ("by-module.txt", &["--by", "module"]),
        ("by-owner.txt", &["--by", "owner"]),
        ("by-user-label.txt", &["--by", "tid", "--label", "process=app"]),
    ] {
        let text = shown(words, ViewForm::Text, false);
        assert!(!text.contains('\u{1b}'), "{name}");
        assert_golden_in("cli/report", name, &text);
    }
}

#[test]
fn views_for_programs_have_whole_names_and_numbers() {
    for (name, words, form) in [
        (
            "functions.json",
            &["--functions", "--top", "5"][..],
            ViewForm::Json,
        ),
        ("tree.json", &["--tree", "--min", "20"], ViewForm::Json),
        ("by-owner.json", &["--by", "owner"], ViewForm::Json),
        ("functions.csv", &["--functions"], ViewForm::Csv),
        ("lines.csv", &["--lines", "--top", "3"], ViewForm::Csv),
    ] {
        assert_golden_in("cli/report", name, &shown(words, form, false));
    }
}

#[test]
fn colours_change_nothing_but_the_colours() {
    for words in [&["--functions"][..], &["--tree", "--min", "0"]] {
        let plain = shown(words, ViewForm::Text, false);
        let coloured = shown(words, ViewForm::Text, true);
        assert!(coloured.contains('\u{1b}'));
        let mut rest = coloured.as_str();
        let mut without = String::new();
        while let Some((text, order)) = rest.split_once("\u{1b}[") {
            without.push_str(text);
            rest = order.split_once('m').expect("the end of a colour").1;
        }
        without.push_str(rest);
        let trimmed = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n");
        assert_eq!(trimmed(&without), trimmed(&plain));
    }
}

#[test]
fn own_shares_add_up_to_a_hundred_and_the_tree_to_all_samples() {
    let loaded = loaded();
    let all: i64 = (0..loaded.rows.len()).map(|row| loaded.values(row)[0]).sum();
    for words in [&["--functions", "--top", "1000"][..], &["--tree", "--min", "0"]] {
        let sheet = look::at(&args(words), &loaded).expect("there are samples");
        let at = sheet
            .table
            .columns
            .iter()
            .position(|column| column.key == Some("own"));
        let at = at.expect("every view has it");
        let own = sheet.table.rows.iter().map(|row| match row[at] {
            Value::Amount(own) => own,
            ref other => unreachable!("{other:?}"),
        });
        assert_eq!((own.sum::<i64>(), sheet.total), (all, all), "{words:?}");
    }
}

#[test]
fn what_is_not_there_is_an_error_with_what_there_is() {
    for (words, error, hint) in [
        (
            &["--by", "task"][..],
            "no sample says which task it belongs to",
            "command, pid, thread, tid",
        ),
        (
            &["--label", "user=x"],
            "no sample has a label user",
            "command, pid, thread, tid",
        ),
        (
            &["--label", "process=zzz"],
            "no samples: none has these labels",
            "--by process",
        ),
        (&["--callers", "fi"], "no function is called fi", "fib"),
        (
            &["--sample-type", "faults"],
            "no values called faults",
            "--sample-type cpu",
        ),
    ] {
        let failure = look::at(&args(words), &loaded()).expect_err("it is not there");
        let said = failure.hint.unwrap_or_default();
        assert!(
            failure.message.contains(error) && said.contains(hint),
            "{}: {said}",
            failure.message
        );
    }
}
