//! Live: shares of CPU time are what the programs measured of themselves.
//!
//! Thresholds: see `tests::statistics`. A correct profiler fails one of these tests less than once in 10^4 runs.

use anyhow::{Context as _, ensure};
use tests::live::{Plan, Subject, cpu_by_function};
use tests::python::Trait;
use tests::statistics::Deviations;

/// Compares the share of each function (by innermost frame) with its own clock; others are not counted.
fn shares(subject: &Subject) -> anyhow::Result<Deviations> {
    let truth = cpu_by_function(&subject.facts)?;
    let leaves = subject.stacks.leaves();
    let hits = |name: &str| leaves.get(name).copied().unwrap_or(0);
    let total: u64 = truth.keys().map(|name| hits(name)).sum();
    let cpu: f64 = truth.values().sum();
    let mut deviations = Deviations::default();
    for (name, seconds) in &truth {
        deviations.share(
            format!("{name} {:.1} %", seconds / cpu * 100.0),
            hits(name),
            total,
            seconds / cpu,
        );
    }
    Ok(deviations)
}

#[test]
fn three_functions_have_the_shares_they_measured() {
    Plan::new("split", &["3"])
        .options(&["-r", "499"])
        .check(|subject| {
            let verdict = shares(subject)?.verdict()?;
            Ok(format!("{verdict}; {}", subject.expect_samples(3.0)?))
        });
}

#[test]
fn a_program_in_step_with_the_sampling_rate_is_measured_right() {
    // Every 10 ms it does the same; without dither, 100 Hz reads 0 to 50 % for the true 20 %. Neighbouring samples are
    // not independent here, so the samples count for half as many. One interpreter, as another load breaks the rhythm.
    let newest = tests::python::newest();
    Plan::new("lock", &["12"])
        .options(&["-r", "100"])
        .only(|python| python == newest)
        .check(|subject| {
            let truth = cpu_by_function(&subject.facts)?;
            let share = truth["short"] / (truth["short"] + truth["long"]);
            ensure!(
                (0.15..0.25).contains(&share),
                "the workload lost its rhythm: {share:.3}"
            );
            let leaves = subject.stacks.leaves();
            let (short, long) = (leaves.get("short").copied(), leaves.get("long").copied());
            let (short, total) = (short.unwrap_or(0), short.unwrap_or(0) + long.unwrap_or(0));
            let mut deviations = Deviations::default();
            deviations.share(
                format!("short {:.1} %", share * 100.0),
                short / 2,
                total / 2,
                share,
            );
            let measured = short as f64 / total as f64 * 100.0;
            Ok(format!(
                "{measured:.1} % for {:.1} %; {}",
                share * 100.0,
                deviations.verdict()?
            ))
        });
}

#[test]
fn of_a_hundred_threads_only_the_busy_one_has_samples_under_its_own_name() {
    Plan::new("threads100", &["1"])
        .options(&["-t", "-r", "499"])
        .check(|subject| {
            let tid: u32 = subject.facts.get("tid")?;
            let busy = subject
                .stacks
                .filter(|stack| stack.thread.as_ref().is_some_and(|(id, _)| *id == tid));
            let named = busy.count(|stack| {
                stack
                    .thread
                    .as_ref()
                    .is_some_and(|(_, name)| name == "the-busy-one")
            });
            ensure!(
                named == busy.total(),
                "{named} of {} have the thread's name",
                busy.total()
            );
            let burning = busy.count(|stack| stack.leaf() == "burning");
            ensure!(burning * 100 >= busy.total() * 98, "{}", busy.most_frequent(5));
            let others = subject.stacks.total() - busy.total();
            ensure!(
                others * 50 <= busy.total(),
                "{others} samples of threads that wait"
            );
            let waiting = subject.stacks.filter(|stack| stack.contains("waiting")).total();
            Ok(format!(
                "{burning} samples, {waiting} of waiting threads; {}",
                subject.expect_samples(1.0)?
            ))
        });
}

#[test]
fn interpreters_made_and_ended_at_the_same_address_keep_their_own_samples() {
    // Those with musl have no `ctypes`, which tells where the interpreters are.
    Plan::new("interpreter_churn", &["1.5"])
        .only(|python| python.version >= (3, 12, 0) && !python.is(Trait::Musl))
        .options(&["-r", "997"])
        .check(|subject| {
            let truth = cpu_by_function(&subject.facts)?;
            let addresses: usize = subject.facts.get("addresses")?;
            ensure!(
                addresses * 4 < truth.len(),
                "the workload re-used too few addresses: {addresses}"
            );
            let inside = subject
                .stacks
                .filter(|stack| stack.frames.iter().any(|frame| frame.name.starts_with("outer_")));
            let misplaced = inside.filter(|stack| {
                let mut names = stack.frames.iter().map(|frame| frame.name.as_str());
                let outer = names.find_map(|name| name.strip_prefix("outer_"));
                let inner = names.find_map(|name| name.strip_prefix("inner_"));
                inner.is_some() && inner != outer
            });
            ensure!(
                misplaced.total() == 0,
                "in another interpreter's place:\n{}",
                misplaced.most_frequent(5)
            );
            let leaves = inside.leaves();
            let mut deviations = Deviations::default();
            for (name, seconds) in &truth {
                // Each function is a few samples only, so a wrong name is many sigma.
                let due = subject.due(*seconds);
                deviations.count(
                    format!("{name}, {due:.0} due"),
                    leaves.get(name.as_str()).copied().unwrap_or(0),
                    due,
                );
            }
            Ok(format!(
                "{} functions at {addresses} addresses; {}",
                truth.len(),
                deviations.verdict()?
            ))
        });
}

#[test]
fn functions_made_and_freed_at_the_same_addresses_keep_their_own_samples() {
    Plan::new("code_reuse", &["3"])
        // Free-threaded builds never free a code object.
        .only(|python| !python.is(Trait::FreeThreaded))
        .options(&["-r", "997", "--full-filenames"])
        .check(|subject| {
            let truth = cpu_by_function(&subject.facts)?;
            let places: std::collections::BTreeMap<String, (String, u32, u64)> =
                subject.facts.get("places")?;
            let addresses: usize = subject.facts.get("addresses")?;
            ensure!(
                addresses * 4 < truth.len(),
                "the workload re-used too few addresses: {addresses}"
            );
            let made = subject.stacks.filter(|stack| stack.leaf().starts_with("made_"));
            let misplaced = made.filter(|stack| {
                let leaf = stack.frames.last().expect("it has a leaf");
                let place = places.get(&leaf.name);
                // The line of the loop, or that of the `def`.
                let lines = place.map_or(0..=0, |place| place.1 - 1..=place.1);
                leaf.file.as_ref() != place.map(|place| &place.0)
                    || !leaf.line.is_some_and(|line| lines.contains(&line))
            });
            ensure!(
                misplaced.total() == 0,
                "in another function's place:\n{}",
                misplaced.most_frequent(5)
            );
            let leaves = made.leaves();
            let mut deviations = Deviations::default();
            for (name, seconds) in &truth {
                // Each function is a few samples only, so a wrong name is many sigma.
                let due = subject.due(*seconds);
                deviations.count(
                    format!("{name}, {due:.0} due"),
                    leaves.get(name.as_str()).copied().unwrap_or(0),
                    due,
                );
            }
            ensure!(
                made.total() * 100 >= subject.stacks.total() * 90,
                "{}",
                subject.stacks.most_frequent(8)
            );
            let verdict = deviations.verdict().with_context(|| {
                let others = subject.stacks.filter(|stack| !stack.leaf().starts_with("made_"));
                format!("{:?}\n{}", subject.report, others.most_frequent(8))
            })?;
            Ok(format!("{} at {addresses} addresses; {verdict}", truth.len()))
        });
}

#[test]
fn as_many_samples_arrive_as_the_rate_says() {
    let newest = tests::python::newest();
    for (rate, seconds) in [(10.0, "6"), (99.0, "3"), (1000.0, "2")] {
        let text = format!("{rate}");
        Plan::new("split", &[seconds])
            .options(&["-r", &text])
            .only(|python| python == newest)
            .check(|subject| {
                let achieved = subject.report.rate_hz;
                // A few samples more or less at the ends of a short recording are not a fault.
                let tolerance = 0.04 + 4.0 / (rate * seconds.parse::<f64>()?);
                ensure!(
                    (achieved / rate - 1.0).abs() < tolerance,
                    "{achieved} samples a second for {rate}"
                );
                Ok(format!(
                    "{achieved} samples a second for {rate}; {}",
                    subject.expect_samples(seconds.parse()?)?
                ))
            });
    }
}
