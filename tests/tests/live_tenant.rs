//! Live: programs that make work for pyebpf without end, as anybody can. They cost nobody else anything, and the recording
//! ends in time.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use tests::live::{alone, cpu_by_function, judge};
use tests::profiler::Recording;
use tests::python::{self, Python};
use tests::workload::{Workload, script};

/// How long the end of a recording may take beside such a program.
const END_AT_MOST: Duration = Duration::from_secs(3);

/// One whose threads have no names for the kernel: those in Python have to be looked up.
fn without_thread_names() -> anyhow::Result<&'static Python> {
    let older = |python: &&Python| {
        let (major, minor, _) = python.version;
        major == 3 && (8..14).contains(&minor)
    };
    let newest = python::all()
        .iter()
        .filter(older)
        .max_by_key(|python| python.version);
    newest.context("a Python from 3.8 to 3.13")
}

/// Records an innocent program and one with new functions in every stack.
fn beside_functions_without_end(options: &[&str]) -> anyhow::Result<String> {
    let python = without_thread_names()?;
    let mut guilty = Workload::start(python, &script("definitions"), &["4", "1900", "0.01"])?;
    let mut innocent = Workload::start(python, &script("split"), &["3"])?;
    let mut named = Workload::start(python, &script("threads100"), &["0.5"])?;
    let recording = Recording::start(["--all", "-r", "99", "-t"].iter().chain(options))?;
    for workload in [&mut guilty, &mut innocent, &mut named] {
        workload.release()?;
    }
    let cpu = cpu_by_function(innocent.finish()?)?;
    named.finish()?;
    guilty.finish()?;
    let stopping = Instant::now();
    let recorded = recording.stop()?;
    let ending = stopping.elapsed();
    ensure!(ending < END_AT_MOST, "the end took {ending:?}");
    let due = cpu.values().sum::<f64>() * recorded.report.rate_hz;
    let own = recorded.stacks.of_process(innocent.pid());
    let found = own.count(|stack| ["red", "green", "blue"].contains(&stack.leaf())) as f64;
    ensure!(
        found >= 0.97 * due - 4.0 * due.sqrt() && found <= 1.02 * due + 5.0 * due.sqrt(),
        "{found} samples, {due:.0} due"
    );
    let dropped = "samples dropped: the ring buffer was full";
    ensure!(!recorded.stderr.contains(dropped), "{}", recorded.stderr);
    let busy = recorded.stacks.of_process(named.pid());
    let busy = busy.filter(|stack| stack.leaf() == "burning");
    let has_name = |(_, name): &(u32, String)| name == "the-busy-one";
    let of_thread = busy.count(|stack| stack.thread.as_ref().is_some_and(has_name));
    ensure!(
        of_thread > 0 && of_thread == busy.total(),
        "{}",
        busy.most_frequent(5)
    );
    let reason = "frames: <too many new functions>";
    ensure!(recorded.stderr.contains(reason), "{}", recorded.stderr);
    Ok(format!(
        "{found} of {due:.0} samples, {of_thread} with the name of their thread; the end took {ending:?}"
    ))
}

#[test]
fn functions_without_end_cost_others_no_sample_and_no_name() {
    let _alone = alone();
    judge(vec![(
        "python frames".to_owned(),
        beside_functions_without_end(&[]),
    )]);
}
