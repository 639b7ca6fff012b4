//! Live: `pyebpf dump --locals` against programs that say what their variables are.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::live::{alone, judge};
use tests::matrix::packages;
use tests::profiler::Pyebpf;
use tests::python::{self, Python, Trait};
use tests::workload::{Workload, script};

/// A function, and each of its variables: name, whether it is an argument, text.
type TrueVariables = Vec<(String, Vec<(String, bool, String)>)>;

fn dump(arguments: &[&str]) -> anyhow::Result<String> {
    let all: Vec<&str> = ["dump"].iter().chain(arguments).copied().collect();
    Ok(String::from_utf8(Pyebpf::new(all)?.run()?.success()?.stdout)?)
}

fn threads(pid: u32, options: &[&str]) -> anyhow::Result<Vec<Value>> {
    let pid = pid.to_string();
    let text = dump(&[&["-p", &pid, "--json"], options].concat())?;
    Ok(serde_json::from_str(&text)?)
}

/// The variables of the thread's frame that runs this function.
fn locals<'t>(thread: &'t Value, function: &str) -> anyhow::Result<&'t Vec<Value>> {
    let frames = thread["frames"].as_array().context("no frames")?;
    let is_it = |frame: &&Value| {
        let name = frame["name"].as_str().unwrap_or_default();
        name.rsplit('.').next() == Some(function)
    };
    let frame = frames.iter().find(is_it);
    let frame = frame.with_context(|| format!("no {function} in {frames:#?}"))?;
    frame["locals"]
        .as_array()
        .with_context(|| format!("no locals in {frame:#}"))
}

fn text_of<'t>(locals: &'t [Value], name: &str) -> anyhow::Result<&'t str> {
    let local = locals.iter().find(|local| local["name"] == name);
    let local = local.with_context(|| format!("no {name} in {locals:#?}"))?;
    local["repr"]
        .as_str()
        .with_context(|| format!("no text in {local:#}"))
}

#[test]
fn variables_are_those_that_the_program_says() {
    let _alone = alone();
    let check = |python: &'static Python| -> anyhow::Result<String> {
        let mut workload = Workload::start::<&str>(python, &script("locals"), &[])?;
        let truth: TrueVariables = workload.wait_for("frames")?.get("frames")?;
        let all = threads(workload.pid(), &["-lllll"])?;
        let [thread] = all.as_slice() else {
            anyhow::bail!("{} threads", all.len());
        };
        let mut wrong = Vec::new();
        let mut right = 0;
        for (function, variables) in &truth {
            let locals = locals(thread, function)?;
            let mut found = Vec::new();
            for local in locals {
                ensure!(local["exact"] == true, "{function}: {local:#}");
                let text = |key: &str| local[key].as_str().unwrap_or("?").to_owned();
                let is_argument = local["arg"] == true;
                found.push((text("name"), is_argument, text("repr")));
            }
            found.sort();
            for one in variables.iter().filter(|one| !found.contains(one)) {
                wrong.push(format!("{function}: true  {one:?}"));
            }
            for one in found.iter().filter(|one| !variables.contains(one)) {
                wrong.push(format!("{function}: found {one:?}"));
            }
            right += found.len();
        }
        ensure!(wrong.is_empty(), "\n  {}", wrong.join("\n  "));
        ensure!(right > 70, "only {right} variables");
        Ok(format!("{right} variables"))
    };
    let outcomes = python::all()
        .iter()
        .map(|python| (python.to_string(), check(python)));
    judge(outcomes.collect());
}

#[test]
fn a_thread_that_runs_has_its_variables_too_and_says_that_they_may_be_of_later() {
    let _alone = alone();
    let check = |python: &'static Python| -> anyhow::Result<String> {
        let mut workload = Workload::start(python, &script("locals"), &["0", "with-threads"])?;
        workload.wait_for("frames")?;
        let all = threads(workload.pid(), &["-l"])?;
        let named = |name: &str| {
            let thread = all.iter().find(|thread| thread["thread_name"] == name);
            thread.with_context(|| format!("no {name} in {all:#?}"))
        };
        let burner = locals(named("burner")?, "burner")?;
        ensure!(text_of(burner, "constant")? == "7" && text_of(burner, "pair")? == "[1, 2]");
        ensure!(burner.iter().all(|local| local["exact"] == false), "{burner:#?}");
        let sleeper = locals(named("sleeper")?, "sleeper")?;
        ensure!(sleeper.iter().all(|local| local["exact"] == true), "{sleeper:#?}");
        ensure!(text_of(sleeper, "argument")? == "\"quiet\"");
        let length = |name: &str| anyhow::Ok(text_of(sleeper, name)?.chars().count());
        for name in ["text", "many", "by_name"] {
            let characters = length(name)?;
            ensure!((100..=128).contains(&characters), "{name}: {characters}");
        }
        ensure!(text_of(sleeper, "text")?.ends_with("xx...\""), "{sleeper:#?}");
        ensure!(
            text_of(sleeper, "many")?.starts_with("[0, 1, 2, ")
                && text_of(sleeper, "many")?.ends_with(", ...]")
        );
        let all = threads(workload.pid(), &["-ll"])?;
        let thread = all.iter().find(|thread| thread["thread_name"] == "sleeper");
        let more = locals(thread.context("no sleeper")?, "sleeper")?;
        let characters = text_of(more, "text")?.chars().count();
        ensure!(characters == 256, "{characters}");
        Ok("both".to_owned())
    };
    let outcomes = python::all()
        .iter()
        .map(|python| (python.to_string(), check(python)));
    judge(outcomes.collect());
}

#[test]
fn numbers_of_numpy_are_what_py_spy_shows() {
    let _alone = alone();
    let pythons = python::all().iter().filter(|python| !python.is(Trait::Musl));
    let check = |python: &'static Python| -> anyhow::Result<String> {
        let modules = [packages::folder("numpy", python)?];
        let mut workload = Workload::spawn::<&str>(python, &script("numpy_locals"), &[], &modules)?;
        let addresses: BTreeMap<String, u64> = workload.wait_for("addresses")?.get("addresses")?;
        let all = threads(workload.pid(), &["-l"])?;
        let main = all.iter().find(|thread| thread["thread_name"] == "MainThread");
        let locals = locals(main.context("no main thread")?, "variables")?;
        for (name, expected) in [
            ("arg1", "\"foo\""),
            ("arg2", "None"),
            ("arg3", "True"),
            ("a_list", "[-1234, 5678]"),
            ("a_tuple", "(\"a\", \"b\", \"c\")"),
            ("number", "123456789123456789"),
            ("ratio", "3.1415"),
            ("yes", "true"),
            ("int8", "-3"),
            ("int16", "42"),
            ("int32", "43"),
            ("int64", "-44"),
            ("uint8", "45"),
            ("uint16", "46"),
            ("uint32", "7"),
            ("uint64", "9223372036854775808"),
            ("single", "0.1"),
            ("double", "0.7"),
            ("empty", "\"\""),
        ] {
            let found = text_of(locals, name)?;
            ensure!(found == expected, "{name}: {found}");
        }
        for name in ["half", "long_double", "complex_single", "complex_double"] {
            let found = text_of(locals, name)?;
            let address = format!(" at {:#x}>", addresses.get(name).context("no address")?);
            ensure!(
                found.starts_with("<numpy.") && found.ends_with(&address),
                "{name}: {found}"
            );
        }
        let a_dict = text_of(locals, "a_dict")?;
        let either = [
            "{\"a\": False, \"b\": (1, 2, 3)}",
            "{\"b\": (1, 2, 3), \"a\": False}",
        ];
        ensure!(either.contains(&a_dict), "{a_dict}");
        ensure!(
            text_of(locals, "chinese")?.starts_with("\"测试1测"),
            "{locals:#?}"
        );
        ensure!(
            text_of(locals, "long_pair")?.starts_with("(\"-----"),
            "{locals:#?}"
        );
        let array = text_of(locals, "array")?;
        ensure!(
            array.starts_with("<numpy.ndarray of float64, shape (3, 4), at 0x"),
            "{array}"
        );
        let vector = text_of(locals, "vector")?;
        ensure!(
            vector.starts_with("<numpy.ndarray of int16, shape (5,), at 0x"),
            "{vector}"
        );
        Ok(format!("{} variables", locals.len()))
    };
    judge(
        pythons
            .map(|python| (python.to_string(), check(python)))
            .collect(),
    );
}

#[test]
fn people_read_arguments_and_locals_beneath_each_frame() {
    let _alone = alone();
    let mut workload = Workload::start::<&str>(python::newest(), &script("locals"), &[]).expect("it starts");
    workload.wait_for("frames").expect("it is ready");
    let pid = workload.pid().to_string();
    let text = dump(&["-p", &pid, "--locals"]).expect("a dump");
    let lines: Vec<&str> = text.lines().collect();
    let at = lines
        .iter()
        .position(|line| line.contains("closures (locals.py:"));
    let at = at.unwrap_or(lines.len());
    assert!(at + 5 < lines.len(), "no such frame:\n{text}");
    assert_eq!(
        lines[at + 1..at + 5],
        [
            "        Arguments:",
            "            captured: \"captured\"",
            "            plain: \"kept\"",
            "            later: None",
        ],
        "{text}"
    );
    assert_eq!(lines[at + 5], "        Locals:", "{text}");
    assert!(!text.contains("unset"), "{text}");
    let plain = dump(&["-p", &pid]).expect("a dump");
    assert!(
        !plain.contains("Arguments:") && !plain.contains("captured"),
        "{plain}"
    );
}
