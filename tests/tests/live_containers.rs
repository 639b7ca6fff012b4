//! Live: real containers, with another distribution's Python in them.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::container::{self, Container, Options};
use tests::live::{alone, cpu_by_function, expect_stack, judge};
use tests::profiler::{Pyebpf, Recording};
use tests::python::{self, Python};
use tests::workload::{Workload, script};

/// A name that no other container of this machine has.
fn id(name: &str) -> String {
    format!("pyebpf-test-{name}-{}", std::process::id())
}

/// `--format json` of `pyebpf ps`, by process.
fn listed(arguments: &[&str]) -> anyhow::Result<BTreeMap<u32, Value>> {
    let all = [&["ps", "--format", "json"], arguments].concat();
    let rows: Vec<Value> = serde_json::from_slice(&Pyebpf::new(all)?.run()?.success()?.stdout)?;
    let by_pid = |row: Value| Some((u32::try_from(row["pid"].as_u64()?).ok()?, row));
    Ok(rows.into_iter().filter_map(by_pid).collect())
}

/// A container of which everything must be right, and what it is called.
struct Case {
    python: &'static Python,
    name: String,
    options: Options,
    filter: Vec<String>,
    container: String,
    root_frame: String,
}

fn cases() -> Vec<Case> {
    let oldest = container::pythons()[0];
    let pod = format!("2c48913c-b29f-11e7-9350-{:012}", std::process::id());
    let docker = format!(
        "{:064x}",
        0xd0c0_0000_0000_0000_u64 + u64::from(std::process::id())
    );
    let in_pod = format!(
        "{:064x}",
        0xc0de_0000_0000_0000_u64 + u64::from(std::process::id())
    );
    let short = |id: &str| id[..12].to_owned();
    let plain = |python: &'static Python| {
        let plain = id(&python.name.replace('.', "-"));
        Case {
            python,
            name: python.to_string(),
            options: Options::default(),
            filter: vec!["--container".to_owned(), plain.clone()],
            container: plain.clone(),
            root_frame: format!("container {plain} (runc)"),
        }
    };
    let mut cases: Vec<Case> = container::pythons().into_iter().map(plain).collect();
    cases.extend([
        Case {
            python: oldest,
            name: "as docker runs it, in a user namespace".to_owned(),
            options: Options {
                cgroup: Some(format!("/docker/{docker}")),
                user_namespace: true,
            },
            filter: vec![
                "--container".to_owned(),
                docker[..60].to_owned(),
                "--user".to_owned(),
                "100000".to_owned(),
            ],
            container: docker.clone(),
            root_frame: format!("container {} (docker)", short(&docker)),
        },
        Case {
            python: oldest,
            name: "as kubernetes runs it, in a pod".to_owned(),
            options: Options {
                cgroup: Some(format!("/kubepods/burstable/pod{pod}/{in_pod}")),
                user_namespace: false,
            },
            filter: vec!["--pod".to_owned(), pod],
            container: in_pod.clone(),
            root_frame: format!("container {} (containerd)", short(&in_pod)),
        },
    ]);
    cases
}

fn check(case: &Case) -> anyhow::Result<String> {
    let id = if case.container.starts_with("pyebpf") {
        case.container.clone()
    } else {
        id("case")
    };
    let mut container = Container::start(&id, case.python, "known_stack", &["2"], &case.options)?;
    let filter: Vec<&str> = case.filter.iter().map(String::as_str).collect();
    let rows = listed(&filter)?;
    ensure!(
        rows.keys().eq([&container.pid]),
        "listed with {filter:?}: {rows:?}"
    );
    let row = &rows[&container.pid];
    let (major, minor, _) = case.python.version;
    ensure!(row["container"]["id"] == case.container, "{row}");
    ensure!(
        row["version"]
            .as_str()
            .is_some_and(|text| text.starts_with(&format!("{major}.{minor}."))),
        "{row}"
    );
    ensure!(row["script"] == "/workloads/known_stack.py", "{row}");

    let options = [
        &filter[..],
        &["--full-filenames", "--group-by", "container,process"],
    ]
    .concat();
    let recording = Recording::start(options)?;
    container.workload.release()?;
    let truth = container.workload.finish()?.stack()?;
    let recorded = recording.stop()?;
    let own = recorded.stacks.of_process(container.pid);
    ensure!(
        own.total() == recorded.stacks.total(),
        "{}",
        recorded.stacks.most_frequent(5)
    );
    let strange = own.filter(|stack| stack.groups != [case.root_frame.clone()]);
    ensure!(strange.total() == 0, "{:?}", strange.stacks.first());
    expect_stack(&own, &truth, 0.95)
}

#[test]
fn stacks_and_identity_are_right_in_containers_of_another_distribution() {
    let _alone = alone();
    judge(
        cases()
            .iter()
            .map(|case| (case.name.clone(), check(case)))
            .collect(),
    );
}

#[test]
fn a_container_that_starts_later_is_recorded_and_nothing_of_another_one_is() {
    let _alone = alone();
    let name = id("late");
    let recording = Recording::start(["--container", &name[..name.len() - 1]]).expect("the recording starts");
    let start = |id: &str| {
        Container::start(id, container::pythons()[0], "split", &["2"], &Options::default())
            .expect("it starts")
    };
    let (mut wanted, mut other) = (start(&name), start(&id("other")));
    let mut outside = Workload::start(python::newest(), &script("split"), &["2"]).expect("it starts");
    for workload in [&mut wanted.workload, &mut other.workload, &mut outside] {
        workload.release().expect("it waits");
    }
    let cpu: f64 = cpu_by_function(wanted.workload.finish().expect("it works"))
        .expect("timed")
        .values()
        .sum();
    other.workload.finish().expect("it works");
    outside.finish().expect("it works");
    let recorded = recording.stop().expect("the recording ends");
    let (own, all) = (
        recorded.stacks.of_process(wanted.pid).total(),
        recorded.stacks.total(),
    );
    assert_eq!(own, all, "{}", recorded.stacks.most_frequent(5));
    let due = cpu * recorded.report.rate_hz;
    assert!(
        (own as f64 - due).abs() < 5.0 * due.sqrt() + 0.03 * due,
        "{own} samples, {due:.0} due"
    );
}

#[test]
fn jobs_of_20_ms_in_a_container_are_under_its_name() {
    let _alone = alone();
    let name = id("jobs");
    let mut container = Container::start(
        &name,
        container::pythons()[0],
        "children",
        &["0.02", "100", "exec"],
        &Options::default(),
    )
    .expect("it starts");
    let recording = Recording::start(["--container", &name, "-r", "999"]).expect("the recording starts");
    container.workload.release().expect("it waits");
    let facts = container.workload.finish().expect("it works");
    let children: Vec<(u32, f64)> = facts.get("children").expect("reported");
    let recorded = recording.stop().expect("the recording ends");
    let due = children.iter().map(|(_, seconds)| seconds).sum::<f64>() * recorded.report.rate_hz;
    let named = recorded.stacks.count(|stack| stack.leaf() == "short_job") as f64;
    assert!(named > 0.95 * due - 3.0 * due.sqrt(), "{named} of {due:.0} due");
}

#[test]
fn containers_that_come_and_go_are_each_under_their_own_name() {
    let _alone = alone();
    let names: Vec<String> = (0..5).map(|n| id(&format!("churn{n}"))).collect();
    let recording = Recording::start([
        "--container",
        &id("churn")[..17],
        "--group-by",
        "container",
        "-r",
        "499",
    ])
    .expect("the recording starts");
    let mut cpu = Vec::new();
    for name in &names {
        let mut container = Container::start(
            name,
            container::pythons()[0],
            "split",
            &["0.4"],
            &Options::default(),
        )
        .expect("it starts");
        container.workload.release().expect("it waits");
        let facts = container.workload.finish().expect("it works");
        cpu.push(cpu_by_function(facts).expect("timed").values().sum::<f64>());
    }
    let recorded = recording.stop().expect("the recording ends");
    let outcomes = names.iter().zip(cpu).map(|(name, cpu)| {
        let root = format!("container {name} (runc)");
        let named = recorded.stacks.count(|stack| stack.groups.iter().eq([&root])) as f64;
        let due = cpu * recorded.report.rate_hz;
        let outcome = if named > 0.95 * due - 3.0 * due.sqrt() {
            Ok(format!("{named} of {due:.0}"))
        } else {
            Err(anyhow::anyhow!("{named} of {due:.0} due"))
        };
        (name.clone(), outcome)
    });
    judge(outcomes.collect());
}

#[test]
fn in_a_container_without_the_hosts_pids_pyebpf_says_which_flag_is_missing() {
    let _alone = alone();
    let finished = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc"])
        .arg(tests::profiler::binary().expect("built"))
        .args(["record", "--all", "-d", "1"])
        .output()
        .context("unshare")
        .expect("it runs");
    let text = String::from_utf8_lossy(&finished.stderr);
    assert_eq!(finished.status.code(), Some(1), "{text}");
    assert!(
        text.contains("pid namespace") && text.contains("--pid=host"),
        "{text}"
    );
}
