//! Live: real containers, with another distribution's Python in them.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;
use tests::cgroup;
use tests::container::{self, Container, Options, PodmanContainer, Prepared, unique, unique_hexadecimal};
use tests::live::{alone, cpu_by_function, expect_stack, judge};
use tests::profiler::{Pyebpf, Recording};
use tests::python::{self, Python, Trait};
use tests::workload::{Workload, script};

/// A container of which everything must be right, and what it is called.
struct Case {
    python: &'static Python,
    name: String,
    options: Options,
    filter: Vec<String>,
    container: String,
    root_frame: String,
}

fn plain(python: &'static Python) -> Case {
    let plain = unique(&python.name.replace('.', "-"));
    Case {
        python,
        name: python.to_string(),
        options: Options::default(),
        filter: vec!["--container".to_owned(), plain.clone()],
        container: plain.clone(),
        root_frame: format!("container {plain} (runc)"),
    }
}

fn cases() -> Vec<Case> {
    let oldest = container::pythons()[0];
    let pod = format!("2c48913c-b29f-11e7-9350-{:012}", std::process::id());
    let docker = unique_hexadecimal(0xd0c0);
    let in_pod = unique_hexadecimal(0xc0de);
    let short = |id: &str| id[..12].to_owned();
    let mut cases: Vec<Case> = container::pythons().into_iter().map(plain).collect();
    cases.extend([
        Case {
            python: oldest,
            name: "as docker runs it, in a user namespace".to_owned(),
            options: Options {
                cgroup: Some(format!("/docker/{docker}")),
                user_namespace: true,
                ..Options::default()
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
                ..Options::default()
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
        unique("case")
    };
    let mut container = Container::start(&id, case.python, "known_stack", &["2"], &case.options)?;
    let filter: Vec<&str> = case.filter.iter().map(String::as_str).collect();
    let rows = Pyebpf::new([&["ps", "--format", "json"], &filter[..]].concat())?.rows()?;
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
        &["--full-filenames", "--group-by", "container,process,thread"],
    ]
    .concat();
    let recording = Recording::start(options)?;
    container.workload.release()?;
    let facts = container.workload.finish()?;
    let truth = facts.stack()?;
    let build: BTreeMap<String, Value> = facts.get("build")?;
    let recorded = recording.stop()?;
    ensure!(build["musl"] == case.python.is(Trait::Musl), "it says {build:?}");
    ensure!(
        row["libc"] == if build["musl"] == true { "musl" } else { "glibc" },
        "{row}"
    );
    let own = recorded.stacks.of_process(container.pid);
    ensure!(
        own.total() == recorded.stacks.total(),
        "{}",
        recorded.stacks.most_frequent(5)
    );
    // Whose thread id is another one in the container.
    let named = |(_, name): &(u32, String)| name == "MainThread";
    let unnamed = own.filter(|stack| !stack.thread.as_ref().is_some_and(named));
    ensure!(unnamed.total() == 0, "{:?}", unnamed.stacks.first());
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
fn a_musl_interpreter_is_right_in_a_container_that_holds_no_other_c_library() {
    let _alone = alone();
    let musl = python::all().iter().filter(|python| python.is(Trait::Musl));
    let check = |case: Case| (case.name.clone(), check(&case));
    judge(musl.map(plain).map(check).collect());
}

/// A container in another one, both at work.
struct Nested {
    /// Dropped first: it is removed by way of the outer one.
    inner: Container,
    outer: Container,
}

/// Ids of the outer and the inner one.
fn nested(ids: [&str; 2]) -> anyhow::Result<Nested> {
    let [outer, inner] = ids.map(|id| Options {
        cgroup: Some(format!("/docker/{id}")),
        ..Options::default()
    });
    let seconds = &["1.5"];
    let prepared = Prepared::new(container::pythons()[0], "known_stack", seconds, &inner)?;
    let options = Options {
        privileged: true,
        binds: vec![prepared.folder().to_owned()],
        ..outer
    };
    let python = python::for_every_user().unwrap_or_else(python::newest);
    let outer = Prepared::with_files_of_host(python, "known_stack", seconds, &options)?;
    let outer = outer.start(&unique("outer")).context("the outer one")?;
    let mut inner = prepared.start_in(&outer, "inner").context("the inner one")?;
    // The runc inside counts as it sees processes.
    let members = cgroup::members(&format!("/docker/{}/docker/{}", ids[0], ids[1]))?;
    ensure!(members.len() == 1, "in the inner container: {members:?}");
    inner.pid = members.first().copied().context("one of one")?;
    Ok(Nested { inner, outer })
}

/// Records nested containers with a filter that wants these of the outer and the inner one.
fn check_nested(ids: [&str; 2], filter: &[&str], wanted: [bool; 2]) -> anyhow::Result<String> {
    let mut nested = nested(ids)?;
    let rows = Pyebpf::new([&["ps", "--format", "json"], filter].concat())?.rows()?;
    let options = [filter, &["--full-filenames", "--group-by", "container,process"]].concat();
    let recording = Recording::start(options)?;
    let workloads = [&mut nested.outer, &mut nested.inner];
    let mut truths = Vec::new();
    for container in workloads {
        container.workload.release()?;
        truths.push((container.pid, container.workload.finish()?.stack()?));
    }
    let recorded = recording.stop()?;
    let (mut total, mut texts) = (0, Vec::new());
    for ((id, wanted), (pid, truth)) in ids.iter().zip(wanted).zip(truths) {
        let own = recorded.stacks.of_process(pid);
        let row = rows.get(&pid);
        ensure!(
            row.is_some() == wanted && row.is_none_or(|row| row["container"]["id"] == *id),
            "listed with {filter:?} is {rows:?}; the container {id} has process {pid}"
        );
        if wanted {
            let root = format!("container {} (docker)", &id[..12]);
            let strange = own.filter(|stack| stack.groups != [root.clone()]);
            ensure!(strange.total() == 0, "{root}: {:?}", strange.stacks.first());
            texts.push(expect_stack(&own, &truth, 0.95)?);
            total += own.total();
        }
    }
    ensure!(
        rows.len() == texts.len() && recorded.stacks.total() == total,
        "of others: {rows:?} {}",
        recorded.stacks.most_frequent(5)
    );
    Ok(texts.join(", "))
}

#[test]
fn nested_containers_are_told_apart_and_the_cgroup_of_the_outer_one_selects_both() {
    let _alone = alone();
    let (outer, inner) = (unique_hexadecimal(0x0a0a), unique_hexadecimal(0x1b1b));
    let cgroup = format!("/docker/{outer}");
    let cases = [
        (["--container", &outer], [true, false]),
        (["--container", &inner], [false, true]),
        (["--cgroup", &cgroup], [true, true]),
    ];
    judge(
        cases
            .iter()
            .map(|(filter, wanted)| (filter.join(" "), check_nested([&outer, &inner], filter, *wanted)))
            .collect(),
    );
}

#[test]
#[ignore = "needs podman: cargo xtask test --podman"]
fn a_container_of_podman_is_known_and_selected_by_its_name() {
    let _alone = alone();
    let check = |kind: &str, options: &[&str]| -> anyhow::Result<String> {
        let start = |name: &str| {
            PodmanContainer::start(name, container::pythons()[0], "known_stack", &["1.5"], options)
        };
        let name = unique(&format!("podman-{kind}"));
        let (mut wanted, mut other) = (start(&name)?, start(&unique("of-podman"))?);
        let filter = ["--container", &name];
        let rows = Pyebpf::new([&["ps", "--format", "json"], &filter[..]].concat())?.rows()?;
        ensure!(rows.keys().eq([&wanted.pid]), "listed with {filter:?}: {rows:?}");
        let container = &rows[&wanted.pid]["container"];
        ensure!(
            container["name"] == name && container["id"] == wanted.id && container["runtime"] == "podman",
            "{container}, podman says {}",
            wanted.id
        );
        let table = Pyebpf::new([&["ps"], &filter[..]].concat())?.run()?.success()?;
        let table = String::from_utf8(table.stdout)?;
        ensure!(table.contains(&name), "{table}");

        let options = [
            &filter[..],
            &["--full-filenames", "--group-by", "container,process"],
        ];
        let recording = Recording::start(options.concat())?;
        for container in [&mut wanted, &mut other] {
            container.workload.release()?;
        }
        let truth = wanted.workload.finish()?.stack()?;
        other.workload.finish()?;
        let recorded = recording.stop()?;
        let own = recorded.stacks.of_process(wanted.pid);
        let root = format!("container {name} (podman)");
        let strange = recorded.stacks.filter(|stack| stack.groups != [root.clone()]);
        ensure!(
            strange.total() == 0 && own.total() == recorded.stacks.total(),
            "{}",
            recorded.stacks.most_frequent(5)
        );
        expect_stack(&own, &truth, 0.95)
    };
    judge(vec![
        ("one that stays".to_owned(), check("stays", &[])),
        // Newer ones keep its name elsewhere.
        ("one that goes at its end".to_owned(), check("goes", &["--rm"])),
    ]);
}

#[test]
fn a_container_that_starts_later_is_recorded_and_nothing_of_another_one_is() {
    let _alone = alone();
    let name = unique("late");
    let recording = Recording::start(["--container", &name[..name.len() - 1]]).expect("the recording starts");
    let start = |id: &str| {
        Container::start(id, container::pythons()[0], "split", &["2"], &Options::default())
            .expect("it starts")
    };
    let (mut wanted, mut other) = (start(&name), start(&unique("other")));
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
    let name = unique("jobs");
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
    let names: Vec<String> = (0..5).map(|n| unique(&format!("churn{n}"))).collect();
    let recording = Recording::start([
        "--container",
        &unique("churn")[..17],
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
