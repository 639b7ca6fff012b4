//! Live: events other than the CPU clock are counted as the kernel counts them, and time is what the program spent.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use tests::live::{Plan, alone, cpu_by_function, judge};
use tests::profiler::Recording;
use tests::workload::{Workload, script};

/// Page faults by innermost function, as recorded.
fn by_function(leaves: &BTreeMap<&str, u64>, name: &str) -> u64 {
    leaves.get(name).copied().unwrap_or(0)
}

/// Records one run with three events at once; the program's own counts, and what was recorded of each event.
fn record_faults() -> anyhow::Result<(BTreeMap<String, u64>, Vec<BTreeMap<String, u64>>)> {
    let python = tests::python::newest();
    let mut workload = Workload::start(python, &script("faults"), &[] as &[&str])?;
    let pid = workload.pid().to_string();
    let recordings = ["page-faults", "minor-faults", "major-faults"]
        .map(|event| Recording::start(["-F", "--event", event, "-p", &pid]));
    workload.release()?;
    let truth: BTreeMap<String, u64> = workload.finish()?.get("faults")?;
    let mut recorded = Vec::new();
    for recording in recordings {
        let recorded_event = recording?.stop()?;
        ensure!(recorded_event.report.dropped == 0, "{}", recorded_event.stderr);
        let leaves = recorded_event.stacks.leaves();
        let named = truth
            .keys()
            .map(|name| (name.clone(), by_function(&leaves, name)));
        recorded.push(named.collect());
    }
    Ok((truth, recorded))
}

#[test]
fn page_faults_of_each_function_are_those_that_the_kernel_counted_for_it() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let (truth, recorded) = record_faults()?;
        let [all, minor, major] = recorded.as_slice() else {
            anyhow::bail!("three events were recorded")
        };
        for name in ["write_pages", "read_pages", "fill_list"] {
            let due = truth.get(name).copied().context("the program counted it")?;
            ensure!(
                (all[name], minor[name] + major[name]) == (due, due),
                "{name}: {due} counted by the kernel, {} page faults, {} minor and {} major ones recorded",
                all[name],
                minor[name],
                major[name]
            );
        }
        ensure!(
            truth["write_pages"] >= 100 && major["read_pages"] > 0,
            "{truth:?}"
        );
        Ok(format!("{truth:?}"))
    };
    judge(vec![("faults".to_owned(), check())]);
}

#[test]
fn faults_that_the_kernel_takes_by_itself_raise_no_event() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let (truth, recorded) = record_faults()?;
        let (counted, seen) = (truth["populate"], recorded[0]["populate"]);
        // `docs/events.md` says so: MAP_POPULATE counts for the process, but no event says where.
        ensure!(
            seen * 20 < counted,
            "{counted} counted by the kernel, {seen} recorded"
        );
        Ok(format!("{counted} counted, {seen} recorded"))
    };
    judge(vec![("populate".to_owned(), check())]);
}

#[test]
fn time_by_function_is_the_cpu_time_that_the_program_measured() {
    let newest = tests::python::newest();
    Plan::new("split", &["4"])
        .options(&["-r", "499", "-F", "--unit", "time"])
        .only(|python| python == newest)
        .check(|subject| {
            let truth = cpu_by_function(&subject.facts)?;
            let leaves = subject.stacks.leaves();
            let mut sum = (0.0, 0.0);
            for (name, seconds) in &truth {
                let measured = by_function(&leaves, name) as f64 / 1e9;
                // Counting: each sample stands for about a period, and there are as many as fit into the time.
                let period = 1.0 / 499.0;
                let counting = 4.0 * (seconds * period).sqrt();
                ensure!(
                    (measured - seconds).abs() <= 0.01 * seconds + counting,
                    "{name}: {measured:.3} s for {seconds:.3} s"
                );
                sum = (sum.0 + measured, sum.1 + seconds);
            }
            Ok(format!("{:.3} s for {:.3} s", sum.0, sum.1))
        });
}
