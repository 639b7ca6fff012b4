//! Tests of the numbers.

use profiler_common::contract::sources::Source::{OffCpu, OnCpu, PageFaults};

use super::super::amounts::{Amounts, Measured};
use super::super::groups::Scope;
use super::super::test_part::{Did, part};
use super::{MAX_FUNCTIONS, Model, Place, TOO_MANY_FUNCTIONS};

const MS: u64 = 1_000_000;

fn model(parts: &[(u64, &[Did<'_>])]) -> Model {
    let mut model = Model::new(Measured::new(&[OnCpu, OffCpu, PageFaults]));
    for (lasted, did) in parts {
        model.add(&part(*lasted, did));
    }
    model
}

/// Amounts of the last interval and so far.
fn of(model: &Model, name: &str) -> (Amounts, Amounts) {
    let is_it = |place: &Place| {
        model
            .function(place.function)
            .is_some_and(|(known, _)| known.name == name)
    };
    let mut found = model.functions().filter(|(place, _)| is_it(place));
    let (_, tally) = found.next().expect("it was seen");
    assert!(found.next().is_none(), "{name} is there twice");
    (tally.of(model.interval()), tally.all)
}

#[test]
fn shares_are_of_one_cpu_in_the_last_interval_and_times_are_of_all() {
    let model = model(&[
        (
            1_000,
            &[(OnCpu, 7, 2, 400, "main fib"), (OnCpu, 7, 3, 100, "main")],
        ),
        (500, &[(OnCpu, 7, 2, 250, "main fib")]),
    ]);
    let (last, all) = of(&model, "fib");
    assert_eq!(
        (last.own, last.total, all.own, all.total),
        (250 * MS, 250 * MS, 650 * MS, 650 * MS)
    );
    assert!((model.percent(last.own) - 50.0).abs() < 1e-9);
    let (last, all) = of(&model, "main");
    assert_eq!(
        (last.own, last.total, all.own, all.total),
        (0, 250 * MS, 100 * MS, 750 * MS)
    );
    // Thread 3 did not hold the GIL.
    assert_eq!((last.gil, all.gil), (250 * MS, 650 * MS));
    assert_eq!((model.threads, model.processes, model.samples), (1, 1, 3));
}

#[test]
fn what_calls_itself_counts_once_but_each_line_for_itself() {
    let model = model(&[(1_000, &[(OnCpu, 7, 2, 10, "main:9 fib:3 fib:3 fib:2")])]);
    let (_, fib) = of(&model, "fib");
    assert_eq!((fib.own, fib.total), (10 * MS, 10 * MS));
    let lines: Vec<_> = model
        .lines()
        .map(|(place, tally)| (place.line, tally.all.own / MS, tally.all.total / MS))
        .collect();
    assert_eq!(lines, [(Some(9), 0, 10), (Some(3), 0, 10), (Some(2), 10, 10)]);
}

#[test]
fn callers_add_up_to_what_a_function_took() {
    let model = model(&[(
        1_000,
        &[
            (OnCpu, 7, 2, 10, "main fib fib"),
            (OnCpu, 7, 2, 20, "main load fib"),
            (OnCpu, 7, 2, 5, "main load"),
        ],
    )]);
    let named = |calls: Vec<(usize, Amounts)>| -> Vec<(String, u64)> {
        let name = |id| model.function(id).expect("known").0.name.clone();
        calls
            .into_iter()
            .map(|(id, amounts)| (name(id), amounts.total / MS))
            .collect()
    };
    let id = |name: &str| {
        let mut ids = (0..).map_while(|id| model.function(id).map(|(function, _)| (id, function)));
        ids.find(|(_, function)| function.name == name).expect("known").0
    };
    let pair = |name: &str, time| (name.to_owned(), time);
    let (callers, callees) = model.calls(id("fib"));
    assert_eq!(
        (named(callers), named(callees)),
        (vec![pair("load", 20), pair("main", 10)], vec![])
    );
    let (_, callees) = model.calls(id("main"));
    assert_eq!(named(callees), [pair("load", 25), pair("fib", 10)]);
}

#[test]
fn waiting_belongs_to_the_function_that_waits_and_faults_are_no_time() {
    let model = model(&[(
        1_000,
        &[
            (OffCpu, 7, 3, 900, "main get <sleeping>"),
            (OnCpu, 7, 3, 50, "main get"),
            (PageFaults, 7, 3, 1, "main get"),
        ],
    )]);
    let (get, _) = of(&model, "get");
    assert_eq!((get.own, get.total, get.waiting), (950 * MS, 950 * MS, 900 * MS));
    assert_eq!(get.faults, MS);
    assert_eq!(model.functions().count(), 2);
}

#[test]
fn the_functions_of_one_process_are_those_it_ran_and_the_tree_stays() {
    let did: &[Did<'_>] = &[(OnCpu, 7, 2, 30, "main fib"), (OnCpu, 9, 4, 40, "main load")];
    let mut model = model(&[(1_000, did)]);
    let all = part(1_000, did);
    let scope = Scope::Process {
        container: "web-1".to_owned(),
        pid: 9,
    };
    model.set_scope(scope.clone(), &all);
    assert_eq!(of(&model, "load").1.own, 40 * MS);
    assert_eq!(of(&model, "load").0, Amounts::default());
    assert_eq!(model.functions().count(), 2);
    model.add(&all);
    assert_eq!(of(&model, "load").0.own, 40 * MS);
    assert_eq!(of(&model, "load").1.own, 80 * MS);
    let tree = model
        .groups
        .tree(model.interval(), |one, other| one.name.cmp(&other.name));
    let names: Vec<_> = tree.iter().map(|(_, group)| &*group.name).collect();
    let expected = [
        "host",
        "7 python3 app7.py",
        "2 worker",
        "web-1",
        "9 python3 app9.py",
        "4 worker",
    ];
    assert_eq!(names, expected);
    assert_eq!(tree[0].1.tally.all.total, 60 * MS);
    assert_eq!(model.groups.name(&scope), Some("9 python3 app9.py"));
}

#[test]
fn functions_without_room_are_counted_under_a_name_that_says_so() {
    let names: Vec<String> = (0..MAX_FUNCTIONS + 10).map(|n| format!("f{n}")).collect();
    let did: Vec<Did<'_>> = names.iter().map(|name| (OnCpu, 7, 2, 1, &**name)).collect();
    let model = model(&[(1_000, &did)]);
    assert_eq!(model.functions().count(), MAX_FUNCTIONS + 1);
    assert_eq!(of(&model, TOO_MANY_FUNCTIONS).1.own, 10 * MS);
}

#[test]
fn the_last_minute_is_told_second_by_second() {
    let mut model = model(&[]);
    for second in 0..90 {
        let busy = if second < 85 { 1_000 } else { 500 };
        model.add(&part(1_000, &[(OnCpu, 7, 2, busy, "main")]));
    }
    let history = model.history(None);
    assert_eq!(history.len(), 60);
    assert!(
        (history[54] - 1.0).abs() < 1e-9 && (history[55] - 0.5).abs() < 1e-9,
        "{history:?}"
    );
    assert_eq!(model.history(Some(0)), history);
}
