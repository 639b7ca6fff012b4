//! Live: `pyebpf ps` against processes that are known.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::live::{alone, judge};
use tests::profiler::Pyebpf;
use tests::python;
use tests::workload::{Workload, script};

fn listed(arguments: &[&str]) -> anyhow::Result<String> {
    let all: Vec<&str> = ["ps"].iter().chain(arguments).copied().collect();
    Ok(String::from_utf8(Pyebpf::new(all)?.run()?.success()?.stdout)?)
}

#[test]
fn every_interpreter_is_listed_with_its_version_script_and_threads() {
    let _alone = alone();
    let workloads: Vec<_> = python::all()
        .iter()
        .map(|python| {
            (
                python,
                Workload::start(python, &script("threads100"), &["1"]).expect("it starts"),
            )
        })
        .collect();
    let json: Vec<Value> =
        serde_json::from_str(&listed(&["--format", "json"]).expect("it lists")).expect("JSON");
    let by_pid: BTreeMap<u64, &Value> = json
        .iter()
        .map(|row| (row["pid"].as_u64().unwrap_or(0), row))
        .collect();
    let table = listed(&[]).expect("it lists");
    let check = |python: &python::Python, pid: u32| -> anyhow::Result<String> {
        let row = by_pid.get(&u64::from(pid)).context("it is missing")?;
        let (major, minor, micro) = python.version;
        let libc = if python.is(python::Trait::Musl) {
            "musl"
        } else {
            "glibc"
        };
        let mark = if python.is(python::Trait::FreeThreaded) {
            "t"
        } else {
            ""
        };
        let version = format!("{major}.{minor}.{micro}{mark}");
        ensure!(
            row["version"] == version && row["supported"] == true && row["libc"] == libc,
            "{row}"
        );
        ensure!(
            row["script"] == script("threads100").to_string_lossy().as_ref(),
            "{row}"
        );
        let threads = std::fs::read_dir(format!("/proc/{pid}/task"))?.count();
        ensure!(
            row["threads"].as_u64() == Some(threads as u64) && threads > 90,
            "{threads}: {row}"
        );
        let line = table
            .lines()
            .find(|line| line.split_whitespace().next() == Some(&pid.to_string()))
            .context("it is not in the table")?;
        ensure!(
            line.contains(&version) && line.contains("threads100.py") && line.ends_with("yes"),
            "{line}"
        );
        Ok(line.to_owned())
    };
    judge(
        workloads
            .iter()
            .map(|(python, workload)| (python.to_string(), check(python, workload.pid())))
            .collect(),
    );
}

#[test]
fn a_list_without_an_interpreter_is_an_error_with_the_next_step() {
    let _alone = alone();
    let own = std::process::id().to_string();
    let finished = Pyebpf::new(["ps", "-p", &own])
        .and_then(Pyebpf::run)
        .expect("it runs");
    assert_eq!(finished.status.code(), Some(1));
    assert!(
        finished.stderr.contains("error: no Python interpreter found") && finished.stderr.contains("hint: "),
        "{}",
        finished.stderr
    );
}

#[test]
fn different_scripts_of_the_same_name_are_listed_with_their_paths() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let started = ["a", "b"].map(|name| {
        let directory = folder.path().join(name);
        std::fs::create_dir(&directory).expect("a folder");
        std::fs::copy(script("sleeping"), directory.join("app.py")).expect("a copy");
        let mut command = python::newest().command();
        command.arg("app.py").current_dir(&directory);
        command.env("PYTHONPATH", tests::workload::folder());
        let mut workload = Workload::of_command(command).expect("it starts");
        workload.wait_for("ready").expect("it is ready");
        (workload, directory.join("app.py"))
    });
    let list = |workloads: &[&Workload]| -> Vec<Value> {
        let mut arguments = vec!["--format".to_owned(), "json".to_owned()];
        for workload in workloads {
            arguments.extend(["-p".to_owned(), workload.pid().to_string()]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        serde_json::from_str(&listed(&arguments).expect("it lists")).expect("JSON")
    };
    let [(first, first_path), (second, second_path)] = &started;
    let rows = list(&[first, second]);
    let scripts = [first, second].map(|workload| {
        let own = rows.iter().find(|row| row["pid"] == workload.pid());
        own.and_then(|row| row["script"].as_str()).unwrap_or_default()
    });
    assert_eq!(
        scripts,
        [first_path.to_string_lossy(), second_path.to_string_lossy()]
    );
    assert_eq!(list(&[first])[0]["script"], "app.py");
}
