//! Live: who waits for the GIL, who holds it meanwhile, and how long; what the programs say of themselves is the truth.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::folded::Stack;
use tests::host;
use tests::live::{alone, judge};
use tests::profiler::{Recorded, Recording};
use tests::python::{self, Python, Trait};
use tests::workload::{Workload, script};

/// What `gil_holders.py` says of one of its threads, seconds.
#[derive(Debug, serde::Deserialize)]
struct Waited {
    tid: u32,
    waited: f64,
    second: f64,
}

/// See `live_waits.rs`: time that the host takes of a CPU looks like time that a program waited.
const MOST_TAKEN: f64 = 0.005;
const MOST_TRIES: u32 = 6;
const HELD_BY: &str = "<waiting for the GIL, held by>";
const NOT_SAMPLED: &str = "<holder not sampled>";
const SLEEPERS: usize = 3;

struct Measured {
    truth: BTreeMap<String, Waited>,
    recorded: Recorded,
    taken: f64,
}

fn has_gil(python: &Python) -> bool {
    !python.is(Trait::FreeThreaded)
}

/// Python that has a GIL which is found: up to 3.6 that takes symbols.
fn subjects() -> impl Iterator<Item = &'static Python> {
    python::all().iter().filter(|python| has_gil(python))
}

fn record(python: &'static Python, seconds: &str) -> anyhow::Result<Measured> {
    let mut workload = Workload::start(python, &script("gil_holders"), &[seconds, &SLEEPERS.to_string()])?;
    let pid = workload.pid().to_string();
    let recording = Recording::start(["--mode", "gil", "--unit", "time", "-F", "-t", "-p", &pid])?;
    let host = host::Watch::start()?;
    workload.release()?;
    let facts = workload.finish()?;
    Ok(Measured {
        truth: facts.get("waits")?,
        recorded: recording.stop()?,
        taken: host.taken()?,
    })
}

#[test]
fn each_thread_waited_for_the_gil_as_long_as_its_own_clocks_say_and_for_whom() {
    let _alone = alone();
    let outcomes = subjects().map(|python| {
        let check = || -> anyhow::Result<String> {
            let mut tries = 0;
            loop {
                let measured = record(python, "6")?;
                tries += 1;
                match compare(python, &measured) {
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

fn compare(python: &Python, measured: &Measured) -> anyhow::Result<String> {
    let Measured { truth, recorded, .. } = measured;
    ensure!(truth.len() == 1 + SLEEPERS, "{truth:?}");
    let seconds = |condition: &dyn Fn(&Stack) -> bool| recorded.stacks.count(condition) as f64 / 1e9;
    let of = |stack: &Stack, tid: u32| stack.thread.as_ref().is_some_and(|thread| thread.0 == tid);
    ensure!(
        seconds(&|stack| stack.contains("wait_for_lock") || !stack.contains(HELD_BY)) == 0.0,
        "a lock is no GIL:\n{:?}",
        recorded.stacks.stacks
    );
    let sleepers = || truth.iter().filter(|(name, _)| name.starts_with("sleeper"));
    let mut said = Vec::new();
    for (name, thread) in truth {
        let waited = seconds(&|stack| of(stack, thread.tid));
        // Up to 3.1 (and in 2.7) a thread that runs gives the GIL up every 100 instructions, and takes it back at once.
        let is_enough = thread.waited > 0.5;
        ensure!(
            !is_enough || (waited / thread.waited - 1.0).abs() < 0.05,
            "{name}: {waited:.3} s of {:.3}",
            thread.waited
        );
        said.push(format!("{name} {waited:.3} of {:.3}", thread.waited));
    }
    let all: f64 = sleepers().map(|(_, thread)| thread.waited).sum();
    let second: f64 = sleepers().map(|(_, thread)| thread.second).sum();
    let at = |leaf: &str| {
        seconds(&|stack| stack.leaf() == leaf && sleepers().any(|(_, thread)| of(stack, thread.tid)))
    };
    let (of_first, of_second, of_nobody) = (at("hold_first"), at("hold_second"), at(NOT_SAMPLED));
    ensure!(
        python.version < (3, 2, 0)
            || (of_first / (all - second) - 1.0).abs() < 0.1 && (of_second / second - 1.0).abs() < 0.1,
        "held by the first line for {of_first:.3} s of {:.3}, by the second for {of_second:.3} of {second:.3}, by nobody \
         that was sampled for {of_nobody:.3}",
        all - second
    );
    ensure!(
        recorded.stderr.contains("GIL of process") && recorded.stderr.contains("held it for"),
        "the end report has the shares:\n{}",
        recorded.stderr
    );
    Ok(format!(
        "{}; first line {:.3}, second {:.3}, not sampled {of_nobody:.3}",
        said.join(", "),
        of_first / (all - second),
        of_second / second
    ))
}

#[test]
fn an_interpreter_with_a_gil_of_its_own_has_holders_of_its_own() {
    let _alone = alone();
    let outcomes = subjects()
        .filter(|python| python.version >= (3, 12, 0))
        .map(|python| (python.to_string(), own_gils(python)));
    judge(outcomes.collect());
}

fn own_gils(python: &'static Python) -> anyhow::Result<String> {
    let mut workload = Workload::start(python, &script("own_gils"), &["3"])?;
    let pid = workload.pid().to_string();
    let recording = Recording::start(["--mode", "gil", "--unit", "time", "-F", "-p", &pid])?;
    workload.release()?;
    let truth: BTreeMap<String, f64> = workload.finish()?.get("waited")?;
    let recorded = recording.stop()?;
    let seconds = |condition: &dyn Fn(&Stack) -> bool| recorded.stacks.count(condition) as f64 / 1e9;
    let mut said = Vec::new();
    for (name, true_seconds) in &truth {
        let spin = format!("spin_{name}");
        // Its innermost frame comes before that which says that it waits.
        let waits = |stack: &Stack| {
            let at = stack.frames.iter().position(|frame| frame.name == HELD_BY);
            at.and_then(|at| stack.frames.get(at.checked_sub(1)?))
                .is_some_and(|frame| frame.name == spin)
        };
        let waited = seconds(&waits);
        let by_its_own = seconds(&|stack| waits(stack) && stack.leaf() == spin);
        ensure!(
            (waited / true_seconds - 1.0).abs() < 0.1 && by_its_own > 0.9 * waited,
            "{name}: {waited:.3} s of {true_seconds:.3}, {by_its_own:.3} of that by its own threads\n{:?}",
            recorded.stacks.stacks
        );
        said.push(format!("{name} {waited:.3} of {true_seconds:.3}"));
    }
    Ok(said.join(", "))
}

#[test]
fn above_a_threshold_each_block_is_kept_once_and_nothing_else_is() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let mut workload = Workload::start(python::newest(), &script("blocks"), &["20"])?;
        let pid = workload.pid().to_string();
        let options = [
            "--mode",
            "off-cpu",
            "--threshold",
            "50ms",
            "--unit",
            "time",
            "-F",
            "-p",
            &pid,
        ];
        let recording = Recording::start(options)?;
        // It waits to be released. Such a wait has a stack once it has lasted a while.
        std::thread::sleep(Duration::from_secs(1));
        workload.release()?;
        let facts = workload.finish()?;
        let (few, many): (f64, f64) = (facts.get("few")?, facts.get("many")?);
        let recorded = recording.stop()?;
        let seconds = |condition: &dyn Fn(&Stack) -> bool| recorded.stacks.count(condition) as f64 / 1e9;
        let of_many = |stack: &Stack| stack.contains("sleep_long_of_many");
        let among_few = seconds(&|stack| stack.contains("sleep_long") && !of_many(stack));
        // Of a thread that leaves its CPU so often not every stack is taken.
        let among_many = seconds(&|stack| of_many(stack) || stack.contains("<stack not taken>"));
        let short = seconds(&|stack| stack.contains("sleep_short"));
        ensure!(
            (among_few / few - 1.0).abs() < 0.03 && (among_many / many - 1.0).abs() < 0.03 && short == 0.0,
            "{among_few:.3} s of {few:.3} among few, {among_many:.3} of {many:.3} among many, {short:.3} of short ones\n{}",
            recorded.stderr
        );
        Ok(format!(
            "{among_few:.3} s of {few:.3}, {among_many:.3} of {many:.3}"
        ))
    };
    judge(vec![("threshold".to_owned(), check())]);
}
