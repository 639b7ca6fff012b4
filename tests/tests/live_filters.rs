//! Live: filters, for processes that are there, come later, or change.

use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, ensure};
use tests::cgroup::Cgroup;
use tests::live::{alone, cpu_by_function, judge};
use tests::profiler::{Pyebpf, Recorded, Recording};
use tests::python;
use tests::workload::{Workload, script};

/// A user that is not root, and no process of the host.
const NOBODY: &str = "65534";

fn record(options: &[&str], workloads: &mut [&mut Workload]) -> anyhow::Result<Recorded> {
    let recording = Recording::start(options.iter().copied())?;
    for workload in workloads.iter_mut() {
        workload.release()?;
    }
    for workload in workloads {
        workload.finish()?;
    }
    recording.stop()
}

#[test]
fn what_a_filter_excludes_is_counted_as_another_process_and_nothing_else_is() {
    let _alone = alone();
    let start = || Workload::start(python::newest(), &script("split"), &["2"]).expect("it starts");
    let (own, both) = (Cgroup::new("one").expect("v2"), Cgroup::new("both").expect("v2"));
    let id = own.directory().metadata().expect("it is there").ino().to_string();
    let mounted = own.directory().to_string_lossy().into_owned();
    let mut outcomes = Vec::new();
    for options in [
        &["--cgroup", own.path()][..],
        &["--cgroup", &id],
        &["--cgroup", &mounted, "--user", "0", "--comm", "*py*"],
        &["--cgroup", both.path(), "--exclude-pid", "OTHER"],
    ] {
        let (mut wanted, mut other) = (start(), start());
        let shared = options.contains(&"OTHER");
        let home = if shared { &both } else { &own };
        home.take_in(wanted.pid()).expect("it runs");
        if shared {
            both.take_in(other.pid()).expect("it runs");
        }
        let other_pid = other.pid().to_string();
        let options: Vec<&str> = options
            .iter()
            .map(|text| {
                if *text == "OTHER" {
                    other_pid.as_str()
                } else {
                    text
                }
            })
            .collect();
        let outcome = record(&options, &mut [&mut wanted, &mut other]).and_then(|recorded| {
            let due = |workload: &mut Workload| -> anyhow::Result<f64> {
                let cpu: f64 = cpu_by_function(workload.finish()?)?.values().sum();
                Ok(cpu * recorded.report.rate_hz)
            };
            let (due, excluded) = (due(&mut wanted)?, due(&mut other)?);
            let (own, all) = (
                recorded.stacks.of_process(wanted.pid()).total(),
                recorded.stacks.total(),
            );
            ensure!(own == all, "{} samples of others", all - own);
            ensure!(
                (own as f64 - due).abs() < 5.0 * due.sqrt() + 0.03 * due,
                "{own} samples, {due:.0} due"
            );
            ensure!(
                recorded.report.others as f64 > excluded * 0.9 - 5.0 * excluded.sqrt(),
                "{} interrupts in other processes, {excluded:.0} due",
                recorded.report.others
            );
            Ok(format!(
                "{own} samples of {due:.0} due, none of the other process"
            ))
        });
        outcomes.push((options.join(" "), outcome));
    }
    judge(outcomes);
}

/// Parts of the CPU time before and after the change that must at least, and may at most, be recorded.
struct Expected {
    before: (f64, f64),
    after: (f64, f64),
}

/// What the workload does between its two loops of so many CPU seconds.
#[derive(Clone, Copy)]
struct Change<'a> {
    what: &'a str,
    value: &'a str,
    seconds: &'a str,
}

fn changing(
    change: Change<'_>,
    who: &str,
    home: &Cgroup,
    options: &[&str],
    expected: &Expected,
) -> anyhow::Result<String> {
    let python = python::for_every_user().unwrap_or_else(python::newest);
    let Change { what, value, seconds } = change;
    let mut workload = Workload::start(python, &script("changes"), &[what, value, seconds, who])?;
    home.take_in(workload.pid())?;
    let recorded = record(options, &mut [&mut workload])?;
    let facts = workload.finish()?.clone();
    let worker: u32 = facts.get("worker")?;
    let cpu = cpu_by_function(&facts)?;
    let own = recorded.stacks.of_process(worker);
    // The child's parent may be seen, waiting.
    let astray = recorded.stacks.filter(|stack| {
        stack.pid != Some(worker) && (stack.pid != Some(workload.pid()) || stack.contains("work"))
    });
    ensure!(astray.total() == 0, "{}", astray.most_frequent(5));
    let mut texts = Vec::new();
    for (function, (least, most)) in [("before", expected.before), ("after", expected.after)] {
        let due = cpu.get(function).context("a measured function")? * recorded.report.rate_hz;
        let part = own.count(|stack| stack.contains(function)) as f64 / due;
        let chance = 5.0 / due.sqrt();
        ensure!(
            part >= least - chance && part <= most + chance,
            "{:.0} % of the samples in {function} were recorded",
            part * 100.0
        );
        texts.push(format!("{function} {:.0} %", part * 100.0));
    }
    Ok(texts.join(", "))
}

#[test]
fn a_process_that_changes_without_exec_comes_and_goes_with_the_filter() {
    let _alone = alone();
    let (home, away) = (Cgroup::new("home").expect("v2"), Cgroup::new("away").expect("v2"));
    let (here, there) = (home.path(), away.path());
    let directory = away.directory().to_string_lossy().into_owned();
    let change = |what, value, seconds| Change { what, value, seconds };
    // A change of the user is noticed within a second of three, one of name or cgroup with the next look at events.
    let cases = [
        (
            change("name", "another", "1.5"),
            vec!["--cgroup", here, "--comm", "anoth*"],
            vec!["--cgroup", here, "--exclude-comm", "anoth*"],
            0.15,
        ),
        (
            change("cgroup", &directory, "1.5"),
            vec!["--cgroup", there],
            vec!["--cgroup", here, "--cgroup", there, "--exclude-cgroup", there],
            0.15,
        ),
        (
            change("user", NOBODY, "3"),
            vec!["--cgroup", here, "--user", NOBODY],
            vec!["--cgroup", here, "--exclude-user", NOBODY],
            0.4,
        ),
    ];
    let mut outcomes = Vec::new();
    for (change, comes, goes, latest) in cases {
        let come = Expected {
            before: (0.0, 0.0),
            after: (1.0 - latest, 1.0),
        };
        let go = Expected {
            before: (0.95, 1.0),
            after: (0.0, latest),
        };
        for who in ["self", "child"] {
            for (options, expected) in [(&comes, &come), (&goes, &go)] {
                outcomes.push((
                    format!("{} of {who}", options.join(" ")),
                    changing(change, who, &home, options, expected),
                ));
            }
        }
    }
    judge(outcomes);
}

#[test]
fn processes_that_start_later_are_found_by_their_name() {
    let _alone = alone();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let job = folder.path().join("wanted-job");
    std::os::unix::fs::symlink(python::newest().program(), &job).expect("a temporary folder");
    let code = "import time\ndef burn():\n while time.thread_time() < 0.5: pass\nburn()\n";
    let recording = Recording::start(["--comm", "wanted-*"]).expect("the recording starts");
    let run = |program: &std::path::Path| {
        let mut child = std::process::Command::new(program)
            .args(["-S", "-c", code])
            .spawn()
            .expect("it starts");
        let pid = child.id();
        assert!(child.wait().expect("it ends").success());
        pid
    };
    run(python::newest().program());
    let wanted = run(&job);
    let recorded = recording.stop().expect("the recording ends");
    let own = recorded.stacks.of_process(wanted);
    assert_eq!(
        own.total(),
        recorded.stacks.total(),
        "{}",
        recorded.stacks.most_frequent(5)
    );
    let burning = own.count(|stack| stack.contains("burn")) as f64;
    assert!(burning > 0.5 * 0.5 * recorded.report.rate_hz, "{burning} samples");
}

#[test]
fn a_filter_that_fits_nothing_is_an_error_that_names_it() {
    let _alone = alone();
    for verb in [&["ps"][..], &["record", "-d", "0.3", "-o", "/dev/null"]] {
        let arguments = [verb, &["--container", "no such container"]].concat();
        let finished = Pyebpf::new(&arguments).and_then(Pyebpf::run).expect("it runs");
        assert_eq!(finished.status.code(), Some(1), "{verb:?}: {}", finished.stderr);
        let named = "fits --container 'no such container'";
        assert!(
            finished.stderr.contains(named) && finished.hinted_command().contains("pyebpf ps"),
            "{verb:?}: {}",
            finished.stderr
        );
    }
}
