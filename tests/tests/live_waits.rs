//! Live: time off the CPU is what programs measure of themselves.
//!
//! Of a virtual machine: time that its host takes of a CPU is counted for no thread, so a program that knows how long it ran
//! takes it for time that it was blocked. A measurement with too much of that says nothing of pyebpf, and is repeated.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use tests::folded::Stack;
use tests::host;
use tests::live::{alone, judge};
use tests::profiler::{Pyebpf, Recorded, Recording};
use tests::python::{self, Python, Trait};
use tests::workload::{Workload, script};

/// What `waits.py` says of one of its threads, seconds.
#[derive(Debug, serde::Deserialize)]
struct Wait {
    tid: u32,
    blocked: f64,
    waiting: f64,
    cpu: f64,
}

/// What a recording says of them.
struct Measured {
    truth: BTreeMap<String, Wait>,
    recorded: Recorded,
    /// Share of the CPUs' time that the host took meanwhile.
    taken: f64,
}

/// See [`Measured::taken`].
const MOST_TAKEN: f64 = 0.005;
const MOST_TRIES: u32 = 6;
const WAITING: &str = "<waiting for a CPU>";
/// What the kernel half added up of each thread, exactly.
const TOTALS: &str = "pyebpf::session::open_spells=debug,profiler_user::session::open_spells=debug";

fn record(python: &'static Python, seconds: &str) -> anyhow::Result<Measured> {
    let mut workload = Workload::start(python, &script("waits"), &[seconds])?;
    let pid = workload.pid().to_string();
    let recording = Recording::start_by(
        |arguments| {
            let mut call = Pyebpf::new(arguments)?;
            call.command().env("RUST_LOG", TOTALS);
            Ok(call)
        },
        ["--mode", "off-cpu", "--unit", "time", "-F", "-p", &pid],
    )?;
    let host = host::Watch::start()?;
    workload.release()?;
    let facts = workload.finish()?;
    Ok(Measured {
        truth: facts.get("waits")?,
        recorded: recording.stop()?,
        taken: host.taken()?,
    })
}

/// Blocked and waiting nanoseconds of a thread.
fn totals(stderr: &str, tid: u32) -> anyhow::Result<(f64, f64)> {
    let start = format!("thread {tid} of process ");
    let line = stderr
        .lines()
        .find_map(|line| line.split_once(&start))
        .with_context(|| format!("nothing said of thread {tid}:\n{stderr}"))?;
    let numbers: Vec<f64> = line
        .1
        .split([' ', ':'])
        .filter_map(|word| word.parse().ok())
        .collect();
    match numbers.as_slice() {
        [_, blocked, waiting] => Ok((blocked / 1e9, waiting / 1e9)),
        _ => anyhow::bail!("not understood: {line:?}"),
    }
}

#[test]
fn each_thread_was_blocked_as_long_as_its_own_clocks_say() {
    let _alone = alone();
    let outcomes = python::all().iter().map(|python| {
        let check = || -> anyhow::Result<String> {
            let mut tries = 0;
            loop {
                let measured = record(python, "4")?;
                tries += 1;
                match compare(&measured) {
                    Err(_) if measured.taken > MOST_TAKEN && tries < MOST_TRIES => {}
                    outcome => {
                        let taken = 100.0 * measured.taken;
                        return outcome.with_context(|| format!("try {tries}, the host took {taken:.1} %"));
                    }
                }
            }
        };
        (python.to_string(), check())
    });
    judge(outcomes.collect());
}

/// Each thread against its own clocks.
fn compare(measured: &Measured) -> anyhow::Result<String> {
    let Measured { truth, recorded, .. } = measured;
    ensure!(truth.len() >= 12, "{truth:?}");
    let mut worst = 0.0f64;
    let mut said = Vec::new();
    for (kind, wait) in truth {
        let (blocked, waiting) = totals(&recorded.stderr, wait.tid)?;
        let off = (blocked - wait.blocked) / wait.blocked;
        worst = worst.max(off.abs());
        ensure!(
            off.abs() <= 0.03,
            "{kind}: {blocked:.3} s blocked of {:.3}, {waiting:.3} s waiting of {:.3}",
            wait.blocked,
            wait.waiting
        );
        let in_kind = |stack: &Stack| stack.contains(kind);
        let sampled = recorded
            .stacks
            .count(|stack| in_kind(stack) && stack.leaf() != WAITING);
        said.push(format!("{kind} {:.3}", sampled as f64 / 1e9 / wait.blocked));
    }
    Ok(format!(
        "{:.2} % off at most; sampled / true: {}",
        worst * 100.0,
        said.join(", ")
    ))
}

#[test]
fn waiting_for_the_gil_is_told_from_waiting_for_a_lock() {
    let _alone = alone();
    let outcomes = python::all()
        .iter()
        .map(|python| (python.to_string(), gil(python)));
    judge(outcomes.collect());
}

fn gil(python: &'static Python) -> anyhow::Result<String> {
    let mut workload = Workload::start(python, &script("gil"), &["2"])?;
    let pid = workload.pid().to_string();
    let recording = Recording::start(["--mode", "off-cpu", "--unit", "time", "-F", "-p", &pid])?;
    workload.release()?;
    let truth: BTreeMap<String, Wait> = workload.finish()?.get("waits")?;
    let recorded = recording.stop()?;
    let seconds = |function: &str, leaf: &str| {
        let is_it = |stack: &Stack| stack.contains(function) && stack.leaf() == leaf;
        recorded.stacks.count(is_it) as f64 / 1e9
    };
    let (of_gil, lock) = ("<waiting for the GIL>", "<waiting for a lock>");
    let named = recorded.stacks.count(|stack| stack.leaf() == of_gil) as f64 / 1e9;
    if python.is(Trait::FreeThreaded) {
        ensure!(named == 0.0, "{named:.3} s of a GIL that it does not have");
        return Ok("it has no GIL".to_owned());
    }
    let wanted: f64 = truth.values().map(|wait| wait.blocked).sum();
    let (spun, spun_at_locks) = (seconds("spin", of_gil), seconds("spin", lock));
    // Each wait is shorter than 10 ms, and is counted as so much or not at all.
    let sigma = (wanted * 0.01).sqrt();
    // 2.7 hands it over thousands of times a second: few of these waits stand for all.
    let is_as_long = python.version < (3, 0, 0) && spun > 0.0 || (spun - wanted).abs() < 4.5 * sigma;
    // The second condition variable of the GIL, at which a thread waits for a moment that has just given it up.
    let most_at_locks = if python.is(Trait::Musl) {
        0.02 * wanted
    } else {
        0.0
    };
    ensure!(
        is_as_long && spun_at_locks <= most_at_locks,
        "{spun:.3} s of {wanted:.3} waiting for the GIL, {spun_at_locks:.3} for locks"
    );
    // The first thread waits for one all the time, and a thread of its own, too.
    for function in ["wait_for_lock", "<module>"] {
        let (at_locks, at_gil) = (seconds(function, lock), seconds(function, of_gil));
        ensure!(
            at_locks > 1.9 && at_gil < 0.1,
            "{function}: {at_locks:.3} s at locks, {at_gil:.3} s waiting for the GIL"
        );
    }
    Ok(format!("{spun:.3} s of {wanted:.3}"))
}

#[test]
fn a_long_sleep_is_found_in_a_thread_that_switches_all_the_time() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let mut said = Vec::new();
        for _ in 0..5 {
            let mut workload = Workload::start(python::newest(), &script("rare_sleep"), &["1"])?;
            let pid = workload.pid().to_string();
            let recording = Recording::start(["--mode", "off-cpu", "--unit", "time", "-F", "-p", &pid])?;
            workload.release()?;
            let switches: u64 = workload.finish()?.get("switches")?;
            let recorded = recording.stop()?;
            let seconds = |name: &str| {
                recorded
                    .stacks
                    .count(|stack| stack.contains(name) && stack.leaf() != WAITING) as f64
                    / 1e9
            };
            let slept = seconds("long_sleep");
            ensure!(
                (slept - 1.0).abs() < 0.02,
                "{slept:.3} s of a sleep of a second:\n{}",
                recorded.stderr
            );
            said.push(format!("{switches} switches, slept {slept:.3} s"));
        }
        Ok(said.join("; "))
    };
    judge(vec![("rare sleep".to_owned(), check())]);
}

#[test]
fn a_thread_that_is_blocked_throughout_is_counted_with_all_of_its_time() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let workload = Workload::start(python::newest(), &script("rare_sleep"), &["1"])?;
        let pid = workload.pid().to_string();
        let recording = Recording::start(["--mode", "off-cpu", "--unit", "time", "--threads", "-p", &pid])?;
        std::thread::sleep(std::time::Duration::from_secs(2));
        let recorded = recording.stop()?;
        let by_thread: Vec<f64> = {
            let mut sums = BTreeMap::new();
            for stack in &recorded.stacks.stacks {
                let thread = stack.thread.as_ref().context("threads were asked for")?.0;
                *sums.entry(thread).or_insert(0.0) += stack.count as f64 / 1e9;
            }
            sums.into_values().collect()
        };
        // The first thread waits for a line, the other one for a lock.
        ensure!(
            by_thread.len() == 2 && by_thread.iter().all(|seconds| (1.9..3.0).contains(seconds)),
            "{by_thread:?}"
        );
        let has = |function: &str| {
            let stacks = recorded.stacks.stacks.iter();
            stacks
                .filter(|stack| stack.contains(function))
                .any(|stack| stack.leaf() == "<waiting for a lock>")
        };
        ensure!(
            has("wait_all_the_time")
                && recorded.stacks.count(|stack| stack.contains("<stack not taken>")) == 0,
            "read from outside: {:?}",
            recorded.stacks.stacks
        );
        Ok(format!("{by_thread:.3?}"))
    };
    judge(vec![("blocked throughout".to_owned(), check())]);
}

#[test]
fn wall_time_is_time_on_the_cpu_and_off_it() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let mut workload = Workload::start(python::newest(), &script("waits"), &["3"])?;
        let pid = workload.pid().to_string();
        let recording = Recording::start(["--mode", "wall", "--unit", "time", "-F", "-p", &pid])?;
        workload.release()?;
        let truth: BTreeMap<String, Wait> = workload.finish()?.get("waits")?;
        let recorded = recording.stop()?;
        let mut total = (0.0, 0.0);
        for (kind, wait) in &truth {
            total.0 += recorded.stacks.count(|stack| stack.contains(kind)) as f64 / 1e9;
            total.1 += wait.blocked + wait.waiting + wait.cpu;
        }
        let ratio = total.0 / total.1;
        ensure!((ratio - 1.0).abs() < 0.05, "{:.3} s of {:.3}", total.0, total.1);
        Ok(format!("{:.3} s of {:.3}", total.0, total.1))
    };
    judge(vec![("wall".to_owned(), check())]);
}
