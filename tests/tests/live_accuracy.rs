//! Live: no stack is impossible and no name is garbage while programs change their call chain every few microseconds, over
//! as many samples as `PYEBPF_ACCURACY_SAMPLES` says (`cargo xtask accuracy`), of all interpreters together.

use std::time::{Duration, Instant};

use tests::live::{Plan, alone, judge};
use tests::matrix::accuracy::{Accuracy, Possible};

/// Samples of an ordinary run: some seconds of all CPUs.
const FEW: u64 = 50_000;
/// Samples per second and CPU: the most that can be asked for.
const RATE_HZ: &str = "9973";
/// CPU seconds of each program and interpreter in one recording.
const SECONDS: &str = "1";
/// So that a profiler which delivers nothing ends some time.
const PATIENCE: Duration = Duration::from_secs(1800);

#[test]
fn no_stack_is_impossible_and_no_name_is_garbage_over_all_interpreters() {
    let wanted: u64 = match std::env::var("PYEBPF_ACCURACY_SAMPLES") {
        Ok(text) => text.parse().expect("a number of samples"),
        Err(_) => FEW,
    };
    let programs = [
        ("chain", Possible::of_chain().expect("marked lines")),
        ("callbacks", Possible::of_callbacks().expect("marked lines")),
    ];
    let _alone = alone();
    let start = Instant::now();
    let mut accuracy = Accuracy::default();
    let mut failures = Vec::new();
    while accuracy.samples < wanted && failures.is_empty() && start.elapsed() < PATIENCE {
        for (program, possible) in &programs {
            let plan = Plan::new(program, &[SECONDS]).options(&["-r", RATE_HZ, "--full-filenames"]);
            for (python, subject) in plan.record().expect("the recording works") {
                let added = subject.and_then(|subject| accuracy.add(&subject, possible));
                failures.extend(
                    added
                        .err()
                        .map(|error| (format!("{program} on {python}"), Err(error))),
                );
            }
        }
        eprintln!(
            "  {} of {wanted} samples after {:.0} s",
            accuracy.samples,
            start.elapsed().as_secs_f64()
        );
    }
    let enough = if accuracy.samples >= wanted {
        accuracy.verdict()
    } else {
        accuracy
            .verdict()
            .and_then(|text| anyhow::bail!("{wanted} samples were wanted: {text}"))
    };
    failures.push(("all interpreters".to_owned(), enough));
    judge(failures);
}
