//! Live: `pyebpf dump` against programs that say what their threads are doing.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::live::{alone, judge};
use tests::profiler::Pyebpf;
use tests::python::{self, Python};
use tests::workload::{TrueFrame, Workload, script};

fn dump(arguments: &[&str]) -> anyhow::Result<String> {
    let all: Vec<&str> = ["dump"].iter().chain(arguments).copied().collect();
    Ok(String::from_utf8(Pyebpf::new(all)?.run()?.success()?.stdout)?)
}

fn threads(pids: &[u32], options: &[&str]) -> anyhow::Result<Vec<Value>> {
    let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
    let pids = pids.join(",");
    let arguments = [&["-p", &pids, "--json"], options].concat();
    Ok(serde_json::from_str(&dump(&arguments)?)?)
}

fn at_rest(python: &'static Python) -> anyhow::Result<(u32, BTreeMap<String, Vec<TrueFrame>>, Workload)> {
    let mut workload = Workload::start::<&str>(python, &script("at_rest"), &[])?;
    let stacks = workload.wait_for("stacks")?.get("stacks")?;
    Ok((workload.pid(), stacks, workload))
}

/// The frames as the program says them.
fn frames(thread: &Value) -> anyhow::Result<Vec<TrueFrame>> {
    let frames = thread["frames"].as_array().context("no frames")?;
    let frame = |frame: &Value| {
        let text = |key: &str| {
            frame[key]
                .as_str()
                .map(str::to_owned)
                .context("a text is missing")
        };
        let line = u32::try_from(frame["line"].as_u64().context("no line")?)?;
        Ok(TrueFrame(text("name")?, text("filename")?, line))
    };
    frames.iter().map(frame).collect()
}

#[test]
fn every_thread_is_shown_once_where_it_is_and_what_it_does() {
    let _alone = alone();
    let programs: Vec<_> = python::all()
        .iter()
        .map(|python| (python, at_rest(python)))
        .collect();
    let pids: Vec<u32> = programs
        .iter()
        .filter_map(|(_, program)| Some(program.as_ref().ok()?.0))
        .collect();
    let all = threads(&pids, &[]).expect("a dump");
    let check =
        |python: &Python, pid: u32, truth: &BTreeMap<String, Vec<TrueFrame>>| -> anyhow::Result<String> {
            let of_it: Vec<&Value> = all.iter().filter(|thread| thread["pid"] == pid).collect();
            ensure!(
                of_it.len() == truth.len(),
                "{} threads of {}",
                of_it.len(),
                truth.len()
            );
            for (name, stack) in truth {
                let thread = of_it.iter().find(|thread| thread["thread_name"] == name.as_str());
                let thread = thread.with_context(|| format!("no thread {name}: {of_it:#?}"))?;
                ensure!(thread["exact"] == true, "{thread:#}");
                let found = frames(thread)?;
                ensure!(found == *stack, "{name}:\n  found {found:?}\n  true  {stack:?}");
                let (active, state) = match name.as_str() {
                    "burner" if python.is(python::Trait::FreeThreaded) => (true, "active"),
                    "burner" => (true, "active+gil"),
                    _ => (false, "idle"),
                };
                ensure!(
                    thread["active"] == active && thread["state"] == state,
                    "{thread:#}"
                );
                let waiting_for = match name.as_str() {
                    "burner" => Value::Null,
                    "locked" => "a lock".into(),
                    "MainThread" => "to read".into(),
                    _ => "sleeping".into(),
                };
                ensure!(thread["waiting_for"] == waiting_for, "{thread:#}");
            }
            Ok(format!("{} threads", truth.len()))
        };
    let outcomes = programs.iter().map(|(python, program)| {
        let verdict = match program {
            Ok((pid, truth, _)) => check(python, *pid, truth),
            Err(error) => Err(anyhow::anyhow!("{error:#}")),
        };
        (python.to_string(), verdict)
    });
    judge(outcomes.collect());
}

#[test]
fn people_read_what_py_spy_prints() {
    let _alone = alone();
    let python = python::newest();
    let (pid, stacks, _workload) = at_rest(python).expect("it starts");
    let text = dump(&["-p", &pid.to_string(), "--full-filenames"]).expect("a dump");
    let mut lines = text.lines();
    let (major, minor, micro) = python.version;
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with(&format!("Process {pid}: "))),
        "{text}"
    );
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with(&format!("Python v{major}.{minor}.{micro} ("))),
        "{text}"
    );
    assert_eq!(lines.next(), Some(""), "{text}");
    let header = format!("Thread {pid} (idle): \"MainThread\"");
    assert_eq!(lines.next(), Some(&*header), "{text}");
    for TrueFrame(name, file, line) in &stacks["MainThread"] {
        assert_eq!(
            lines.next(),
            Some(&*format!("    {name} ({file}:{line})")),
            "{text}"
        );
    }
    assert!(text.contains(": \"sleeper\"\n"), "{text}");
}

#[test]
fn children_are_shown_with_subprocesses_each_once() {
    let _alone = alone();
    let mut workload = Workload::start(python::newest(), &script("prefork"), &["5"]).expect("it starts");
    workload.release().expect("it is there");
    let count = |options: &[&str]| -> anyhow::Result<usize> {
        let all = threads(&[workload.pid()], options)?;
        let mut ids: Vec<u64> = all
            .iter()
            .filter_map(|thread| thread["os_thread_id"].as_u64())
            .collect();
        ids.sort_unstable();
        let several = ids.len();
        ids.dedup();
        ensure!(ids.len() == several, "a thread twice: {ids:?}");
        let mut pids: Vec<u64> = all.iter().filter_map(|thread| thread["pid"].as_u64()).collect();
        pids.dedup();
        Ok(pids.len())
    };
    assert_eq!(count(&[]).expect("a dump"), 1);
    assert_eq!(count(&["-s"]).expect("a dump"), 3);
    // So that its children do not outlive it.
    workload.finish().expect("it ends");
}

#[test]
fn what_cannot_be_shown_is_said_with_what_to_do() {
    let _alone = alone();
    for (arguments, status, says) in [
        (&["dump"][..], 2, "nothing to show"),
        (&["dump", "-p", "4194303"], 1, "4194303"),
        (&["dump", "-p", &std::process::id().to_string()], 1, "Python"),
        (&["dump", "--comm", "no-such-program"], 1, "no-such-program"),
        (&["dump", "--all", "-p", "1"], 2, "--all"),
    ] {
        let finished = Pyebpf::new(arguments).expect("built").run().expect("it ends");
        assert_eq!(finished.status.code(), Some(status), "{}", finished.stderr);
        assert_eq!(finished.lines("error:").len(), 1, "{}", finished.stderr);
        assert_eq!(finished.lines("hint:").len(), 1, "{}", finished.stderr);
        assert!(finished.lines("error:")[0].contains(says), "{}", finished.stderr);
    }
}
