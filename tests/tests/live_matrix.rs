//! Live: the same programs on every interpreter. Each test is one recording; every sample inside a burn must have exactly the
//! stack that the program says it has, and there are as many as its clock says.

use std::collections::BTreeSet;

use tests::matrix::{CASES, check, check_at, check_gil_state, files};

#[test]
fn every_program_of_the_matrix_is_a_case() {
    let cases: BTreeSet<String> = CASES.iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(cases, files().expect("the folder of the programs"));
    let text = include_str!("live_matrix.rs");
    for case in CASES {
        assert!(
            text.contains(&format!("{:?}", case.name)),
            "no test runs {}",
            case.name
        );
    }
}

#[test]
fn calls_of_every_kind_of_function_have_their_exact_stack() {
    check(&["recursion", "methods", "closures", "c_callbacks", "construction"]);
}

#[test]
fn two_thousand_frames_are_whole() {
    check_at(199, &["deep_stack"]);
}

#[test]
fn code_that_the_interpreter_calls_by_itself_has_its_exact_stack() {
    check(&["operators", "class_bodies", "context_managers", "exceptions"]);
}

#[test]
fn code_made_while_the_program_runs_and_odd_names_have_their_exact_stack() {
    check(&[
        "executed_text",
        "reused_code",
        "unicode_names",
        "unicode_paths",
        "lines",
    ]);
}

#[test]
fn programs_started_as_a_module_or_as_text_have_their_exact_stack() {
    check(&["started_with_m", "started_with_c"]);
}

#[test]
fn generators_coroutines_and_comprehensions_have_their_exact_stack() {
    check(&[
        "generators",
        "yield_from",
        "comprehensions",
        "coroutines",
        "asyncio_tasks",
    ]);
}

#[test]
fn greenlets_have_the_stack_of_the_one_that_runs() {
    check(&["greenlets", "gevent_tasks"]);
}

#[test]
fn threads_children_and_subinterpreters_have_each_their_own_stack() {
    check(&[
        "threads",
        "named_thread",
        "children",
        "subinterpreters",
        "own_gil",
        "moved_interpreter",
    ]);
}

#[test]
fn c_code_that_released_the_gil_and_garbage_collection_keep_the_python_stack() {
    check(&["released_gil", "garbage_collection"]);
}

#[test]
fn only_burns_that_hold_the_gil_have_samples_with_gil() {
    check_gil_state(&["released_gil", "recursion"]);
}
