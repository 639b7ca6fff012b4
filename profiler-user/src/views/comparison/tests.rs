//! Two recordings side by side: their numbers, and what of them is more than chance.

use super::{Comparison, Scale, align};
use crate::recordings::{Loaded, Reader};
use crate::views::{Grouping, Selection};

fn read(folded: &str) -> Loaded {
    let mut reader = Reader::new();
    reader.add(folded.as_bytes()).expect("folded stacks");
    reader.finish().expect("one file")
}

/// `hot` took 20 %, then 40 %; `main` is on every stack; `rare` comes and goes.
const BEFORE: &str = "\
thread (1): Main;main (app.py:1);cold (app.py:20) 790
thread (1): Main;main (app.py:1);hot (app.py:10) 150
thread (1): Main;main (app.py:1);hot (app.py:10);hot (app.py:11) 50
thread (1): Main;main (app.py:1);rare (app.py:30) 10
";
const AFTER: &str = "\
thread (7): Main;main (app.py:1);cold (app.py:20) 600
thread (7): Main;main (app.py:1);hot (app.py:10) 300
thread (7): Main;main (app.py:1);hot (app.py:10);hot (app.py:11) 100
thread (7): Main;main (app.py:1);rare (app.py:30) 12
";

/// Name, own before and after, total before and after, whether own and total are significant.
type Seen = (String, [i64; 2], [i64; 2], bool, bool);

fn functions(before: &str, after: &str, scale: Scale) -> Vec<Seen> {
    let (mut before, mut after) = (read(before), read(after));
    align(&mut before, &mut after);
    let selections = [Selection::new(&before, 0, &[]), Selection::new(&after, 0, &[])];
    let comparison = Comparison::new(selections, [0, 0], scale);
    let rows = comparison.functions();
    let seen = rows.iter().map(|row| {
        (
            row.what.name.to_owned(),
            [row.own.before, row.own.after],
            [row.total.before, row.total.after],
            row.own.is_significant(),
            row.total.is_significant(),
        )
    });
    seen.collect()
}

#[test]
fn what_changed_comes_first_and_is_told_from_what_chance_explains() {
    let rows = functions(BEFORE, AFTER, Scale::Shares);
    let named = |row: &Seen| (row.0.clone(), row.1, row.2, row.3, row.4);
    let row = |name: &str, own, total, is_own, is_total| (name.to_owned(), own, total, is_own, is_total);
    assert_eq!(
        rows.iter().map(named).collect::<Vec<_>>(),
        [
            row("cold", [790, 600], [790, 600], true, true),
            row("hot", [200, 400], [200, 400], true, true),
            row("rare", [10, 12], [10, 12], false, false),
            row("main", [0, 0], [1000, 1012], false, false),
        ]
    );
}

#[test]
fn shares_do_not_change_when_a_recording_is_longer_and_numbers_do() {
    let twice = BEFORE.replace(" 790", " 1580").replace(" 150\n", " 300\n");
    let twice = twice.replace(" 50\n", " 100\n").replace(" 10\n", " 20\n");
    let rows = functions(BEFORE, &twice, Scale::Shares);
    assert!(rows.iter().all(|row| !row.3 && !row.4), "{rows:?}");
    let rows = functions(BEFORE, &twice, Scale::Absolute);
    let significant: Vec<&str> = rows
        .iter()
        .filter(|row| row.3 || row.4)
        .map(|row| &*row.0)
        .collect();
    assert_eq!(significant, ["cold", "hot", "main"]);
}

#[test]
fn a_recording_without_samples_proves_nothing() {
    let empty = "main (app.py:1) 0\n";
    for (before, after) in [(BEFORE, empty), (empty, BEFORE)] {
        let rows = functions(before, after, Scale::Shares);
        assert_eq!(rows.len(), 4);
        assert!(rows.iter().all(|row| !row.3 && !row.4), "{rows:?}");
    }
    assert!(functions(empty, empty, Scale::Shares).is_empty());
}

#[test]
fn the_more_is_looked_at_the_more_it_takes_to_be_seen() {
    // One function of a few, and the same one of a thousand others that did not change.
    let one = |hits: u32| {
        format!(
            "main (a.py:1);f (a.py:2) {hits}\nmain (a.py:1);g (a.py:3) {}\n",
            1000 - hits
        )
    };
    let others: String = (0..1000)
        .map(|at| format!("main (a.py:1);h{at} (a.py:9) 1\n"))
        .collect();
    let is_seen = |others: &str| {
        let [before, after] = [100, 155].map(|hits| one(hits) + others);
        let rows = functions(&before, &after, Scale::Absolute);
        rows.iter().any(|row| row.0 == "f" && row.3)
    };
    assert!(is_seen("") && !is_seen(&others));
}

#[test]
fn groups_meet_by_what_they_are_called_and_percentages_are_those_of_each_whole() {
    let (mut before, mut after) = (read(BEFORE), read(AFTER));
    align(&mut before, &mut after);
    let selections = [Selection::new(&before, 0, &[]), Selection::new(&after, 0, &[])];
    let comparison = Comparison::new(selections, [0, 0], Scale::Shares);
    let by = Grouping::Label("thread".to_owned());
    let rows = comparison.groups([&by, &by]).expect("there are threads");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].what.as_deref(), Some("Main"));
    assert_eq!((rows[0].own.before, rows[0].own.after), (1000, 1012));
    assert_eq!(comparison.totals(), [1000, 1012]);
    let rows = comparison.functions();
    let hot = rows
        .iter()
        .find(|row| row.what.name == "hot")
        .expect("it is there");
    let [before, after] = comparison
        .percent(&hot.own)
        .map(|percent| (percent * 100.0).round());
    assert_eq!((before, after), (2000.0, 3953.0));
    assert!(
        comparison
            .groups([&Grouping::named("task"), &Grouping::named("task")])
            .is_err()
    );
}

#[test]
fn time_in_pieces_of_different_length_is_as_uncertain_as_its_pieces_are_few() {
    use crate::recordings::{LabelSet, LabelSetId, Row, ValueType};
    let value = |name: &str, unit: &str| ValueType {
        name: name.to_owned(),
        unit: unit.to_owned(),
    };
    // `hot` waits for `pieces` times, a thousand seconds in all or twice that; `main` for as long as before.
    let waits = |pieces: i64, seconds: i64| {
        let mut loaded = read("main (a.py:1) 1\nhot (a.py:2) 1\n");
        loaded.types = vec![value("off-cpu-samples", "count"), value("off-cpu", "nanoseconds")];
        loaded.values = vec![1_000, 1_000_000_000_000, pieces, seconds * 1_000_000_000];
        loaded.labels = vec![LabelSet::default()];
        loaded
            .rows
            .iter_mut()
            .for_each(|row: &mut Row| row.labels = LabelSetId(0));
        loaded
    };
    let is_seen = |pieces: i64| {
        let (before, after) = (waits(pieces, 1_000), waits(pieces, 2_000));
        let selections = [Selection::new(&before, 1, &[]), Selection::new(&after, 1, &[])];
        let comparison = Comparison::new(selections, [1, 1], Scale::Shares);
        let rows = comparison.functions();
        rows.iter()
            .any(|row| row.what.name == "hot" && row.own.is_significant())
    };
    assert!(is_seen(1_000) && !is_seen(3));
}
