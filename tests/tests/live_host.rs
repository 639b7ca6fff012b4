//! Live: a whole host at once, with `--all`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rustix::process::Signal;
use tests::live::{alone, cpu_by_function, judge};
use tests::profiler::{Recorded, Recording};
use tests::python;
use tests::statistics::Deviations;
use tests::status;
use tests::workload::{Facts, Workload, script};

/// A process of the mixed host: what it is for people, its id, what it reported.
struct Process {
    name: String,
    pid: u32,
    facts: Facts,
}

/// Every interpreter with its own split, a storm of short jobs, and a hundred threads of which one is busy.
fn mixed_host() -> anyhow::Result<(Vec<Process>, Recorded)> {
    let mut workloads = Vec::new();
    for python in python::all() {
        workloads.push((
            format!("split on {python}"),
            Workload::start(python, &script("split"), &["4"])?,
        ));
    }
    let newest = python::newest();
    for way in ["fork", "exec"] {
        let storm = Workload::start(newest, &script("children"), &["0.02", "100", way])?;
        workloads.push((format!("{way} storm"), storm));
    }
    workloads.push((
        "threads100".to_owned(),
        Workload::start(newest, &script("threads100"), &["4"])?,
    ));

    let recording = Recording::start(["--all"])?;
    for (_, workload) in &mut workloads {
        workload.release()?;
    }
    let mut processes = Vec::new();
    for (name, workload) in &mut workloads {
        let facts = workload.finish().with_context(|| name.clone())?.clone();
        processes.push(Process {
            name: name.clone(),
            pid: workload.pid(),
            facts,
        });
    }
    Ok((processes, recording.stop()?))
}

/// Shares inside one process, and its samples against those due.
fn compare(process: &Process, recorded: &Recorded) -> anyhow::Result<Deviations> {
    let mut deviations = Deviations::default();
    let rate = recorded.report.rate_hz;
    if let Ok(children) = process.facts.get::<Vec<(u32, f64)>>("children") {
        let pids: BTreeSet<u32> = children.iter().map(|(pid, _)| *pid).collect();
        let due = children.iter().map(|(_, seconds)| seconds).sum::<f64>() * rate;
        let named = recorded
            .stacks
            .count(|stack| stack.leaf() == "short_job" && stack.pid.is_some_and(|pid| pids.contains(&pid)));
        // Five of a hundred samples may be missing from children that are so short (see `live_children`).
        deviations.count(format!("{}: short_job", process.name), named, due * 0.975);
        return Ok(deviations);
    }
    let stacks = recorded.stacks.of_process(process.pid);
    let command = stacks.stacks.first().and_then(|stack| stack.process.clone());
    let command = command.with_context(|| format!("no samples of process {}", process.pid))?;
    ensure!(
        command.contains(".py"),
        "the root frame does not show the command line: {command}"
    );
    let truth = cpu_by_function(&process.facts)?;
    let leaves = stacks.leaves();
    let hits = |name: &str| leaves.get(name).copied().unwrap_or(0);
    let total: u64 = truth.keys().map(|name| hits(name)).sum();
    let cpu: f64 = truth.values().sum();
    for (name, seconds) in &truth {
        ensure!(hits(name) > 0, "{name} does not appear: {leaves:?}");
        deviations.count(
            format!("{}: {name}, samples", process.name),
            hits(name),
            seconds * rate,
        );
        if truth.len() > 1 {
            deviations.share(
                format!("{}: {name}, share", process.name),
                hits(name),
                total,
                seconds / cpu,
            );
        }
    }
    Ok(deviations)
}

#[test]
fn on_a_mixed_host_every_busy_function_is_under_its_process_with_its_share() {
    let _alone = alone();
    let (processes, recorded) = mixed_host().expect("the recording works");
    let mut all = Deviations::default();
    let mut outcomes = Vec::new();
    for process in &processes {
        let outcome = compare(process, &recorded).map(|deviations| {
            let text = format!("largest deviation {:.1} sigma", deviations.largest());
            all.extend(deviations);
            text
        });
        outcomes.push((process.name.clone(), outcome));
    }
    outcomes.push(("all shares and samples".to_owned(), all.verdict()));
    outcomes.push((
        "functions under another process".to_owned(),
        nothing_astray(&processes, &recorded),
    ));
    outcomes.push(("accounting".to_owned(), accounting(&recorded)));
    judge(outcomes);
}

/// Functions of the workloads occur under the processes of the workloads only.
fn nothing_astray(processes: &[Process], recorded: &Recorded) -> anyhow::Result<String> {
    for (name, function) in [("split", "red"), ("split", "blue"), ("threads100", "burning")] {
        let own: BTreeSet<u32> = processes
            .iter()
            .filter(|process| process.name.starts_with(name))
            .map(|process| process.pid)
            .collect();
        let astray = recorded
            .stacks
            .filter(|stack| stack.contains(function) && !stack.pid.is_some_and(|pid| own.contains(&pid)));
        ensure!(astray.total() == 0, "{}", astray.most_frequent(5));
    }
    Ok("none".to_owned())
}

/// Samples written = samples delivered; nothing lost; as many interrupts as the clock says.
fn accounting(recorded: &Recorded) -> anyhow::Result<String> {
    let report = recorded.report;
    report.check()?;
    ensure!(
        recorded.stacks.total() == report.samples,
        "{} written: {report:?}",
        recorded.stacks.total()
    );
    ensure!(report.dropped == 0, "{report:?}");
    // The rate is that of busy CPUs. A CPU on which nothing is recorded keeps the period that was drawn last, which may be 0.7
    // of the mean (`SPREAD_PERMILLE`).
    let most = 99.0 * f64::from(report.cpus) * report.seconds;
    let busy = report.interrupts - report.idle;
    ensure!(
        (busy as f64) < most * 1.05 && (report.interrupts as f64) < most / 0.7 * 1.05,
        "{most:.0} interrupts at the rate: {report:?}"
    );
    ensure!((report.rate_hz / 99.0 - 1.0).abs() < 0.1, "{report:?}");
    Ok(format!(
        "{} interrupts, {} samples, {most:.0} interrupts at the rate",
        report.interrupts, report.samples
    ))
}

#[test]
fn the_accounting_of_a_busy_host_adds_up() {
    let _alone = alone();
    let mut workload =
        Workload::start(python::newest(), &script("split"), &["2"]).expect("the workload starts");
    let recording = Recording::start(["--all"]).expect("the recording starts");
    workload.release().expect("the workload waits");
    workload.finish().expect("the workload works");
    let recorded = recording.stop().expect("the recording ends");
    judge(vec![("accounting".to_owned(), accounting(&recorded))]);
}

#[test]
fn samples_lost_while_the_profiler_cannot_run_are_counted() {
    let _alone = alone();
    let mut workload =
        Workload::start(python::newest(), &script("recursion"), &["4", "1500"]).expect("it starts");
    let recording =
        Recording::start(["-p", &workload.pid().to_string(), "-r", "999"]).expect("the recording starts");
    workload.release().expect("the workload waits");
    // 24 KiB a sample, 96 MB in all: three times what the ring has room for at this rate.
    recording.signal(Signal::STOP).expect("it runs");
    workload.finish().expect("the workload works");
    recording.signal(Signal::CONT).expect("it is stopped");
    let recorded = recording
        .stop()
        .expect("the recording ends, and its accounting adds up");
    let report = recorded.report;
    assert!(report.dropped > 1000 && report.samples > 0, "{report:?}");
    assert_eq!(recorded.stacks.total(), report.samples, "{report:?}");
    assert!(
        recorded.stderr.contains("ring buffer was full"),
        "{}",
        recorded.stderr
    );
    let whole = recorded.stacks.count(|stack| stack.frames.len() >= 1500);
    let broken = recorded.stacks.filter(|stack| {
        stack.contains("down") && stack.frames.first().is_none_or(|frame| frame.name != "<module>")
    });
    assert_eq!(
        broken.total(),
        0,
        "cut stacks among {whole} whole ones:\n{}",
        broken.most_frequent(5)
    );
}

#[test]
fn a_recorded_program_is_never_stopped_or_traced() {
    let _alone = alone();
    let mut workload = Workload::start(python::newest(), &script("threads100"), &["2"]).expect("it starts");
    let pid = workload.pid();
    let recording = Recording::start(["-p", &pid.to_string(), "-r", "997"]).expect("the recording starts");
    workload.release().expect("the workload waits");
    let end = Instant::now() + Duration::from_millis(1500);
    let mut looks = 0;
    while Instant::now() < end {
        let value = |name: &str| status::field(pid, name).expect("it runs");
        assert_eq!(value("TracerPid"), "0");
        let state = value("State");
        assert!(!state.starts_with(['T', 't']), "{state}");
        looks += 1;
    }
    workload.finish().expect("the workload works");
    let recorded = recording.stop().expect("the recording ends");
    assert!(
        looks > 100 && recorded.stacks.total() > 500,
        "{looks} looks, {} samples",
        recorded.stacks.total()
    );
}

#[test]
fn a_command_line_with_the_separators_of_the_format_stays_one_frame() {
    let _alone = alone();
    let code = "import time\nx = 1; end = time.thread_time() + 1\nwhile time.thread_time() < end: pass # ; \"a\" 7\n";
    let recording = Recording::start(["--all"]).expect("the recording starts");
    let mut child = python::newest()
        .command()
        .args(["-c", code])
        .spawn()
        .expect("it starts");
    let pid = child.id();
    child.wait().expect("it ends");
    let recorded = recording
        .stop()
        .expect("the recording ends, and every line is a folded stack");
    let own = recorded.stacks.of_process(pid);
    let burning = own.count(|stack| stack.frames.len() == 1 && stack.leaf() == "<module>");
    assert!(
        burning * 10 > own.total() * 8 && burning > 50,
        "{burning} samples:\n{}",
        own.most_frequent(5)
    );
}
