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
