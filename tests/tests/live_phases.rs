//! Live: programs that repeat themselves in step with the sampling rate, again and again.
//!
//! One run says little: its error is chance for the most part. Many runs together say whether the draws of the sampling
//! period cost accuracy, which they would where a period stayed in force for too long.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use tests::live::{alone, cpu_by_function};
use tests::profiler::Recording;
use tests::python;
use tests::workload::{Workload, script};

/// The rate that the programs are in step with.
const RATE_HZ: &str = "100";
/// Lengths of the programs' periods, milliseconds: one sample, half of one, two and three of them.
const PERIODS_MS: [u32; 4] = [10, 5, 20, 30];
/// Lengths of the recordings, seconds.
const LENGTHS_S: [u32; 2] = [12, 2];
/// Runs of each.
const RUNS: usize = 16;
/// Programs that are recorded at the same time; the machine has a CPU for each.
const AT_ONCE: usize = 2;

#[test]
#[ignore = "ten minutes, with nothing beside it: part of the full tests"]
fn programs_in_step_with_the_rate_are_measured_as_well_as_chance_allows() {
    let _alone = alone();
    let mut errors = Vec::new();
    for length in LENGTHS_S {
        for period in PERIODS_MS {
            let mut of_kind = Vec::new();
            while of_kind.len() < RUNS {
                of_kind.extend(record(length, period).expect("the recording works"));
            }
            println!(
                "{length} s, a period of {period} ms: {:.2} sigma RMS, largest {:.1}",
                root_mean_square(&of_kind),
                largest(&of_kind)
            );
            errors.extend(of_kind);
        }
    }
    let (rms, largest) = (root_mean_square(&errors), largest(&errors));
    println!("{} runs: {rms:.2} sigma RMS, largest {largest:.1}", errors.len());
    assert!(rms <= 1.2, "{rms:.2} sigma");
    assert!(largest <= 4.5, "{largest:.1} sigma");
}

/// The errors of the share of `short`, sigma.
fn record(length_s: u32, period_ms: u32) -> anyhow::Result<Vec<f64>> {
    let python = python::newest();
    let arguments = [length_s, period_ms].map(|number| number.to_string());
    let mut programs = Vec::new();
    let mut options: Vec<String> = ["-r", RATE_HZ].map(str::to_owned).into();
    for _ in 0..AT_ONCE {
        let program = Workload::start(python, &script("lock"), &arguments)?;
        options.extend(["-p".to_owned(), program.pid().to_string()]);
        programs.push(program);
    }
    let recording = Recording::start(options)?;
    // Not in step with each other's start.
    for program in &mut programs {
        std::thread::sleep(Duration::from_millis(fastrand::u64(0..100)));
        program.release()?;
    }
    let mut truths = Vec::new();
    for program in &mut programs {
        let truth = cpu_by_function(program.finish()?)?;
        let of = |name: &str| truth.get(name).copied().context("the program timed it");
        truths.push((program.pid(), of("short")? / (of("short")? + of("long")?)));
    }
    let recorded = recording.stop()?;
    truths
        .into_iter()
        .map(|(pid, truth)| {
            ensure!(
                (0.15..0.25).contains(&truth),
                "the program lost its rhythm: {truth:.3}"
            );
            let stacks = recorded.stacks.of_process(pid);
            let leaves = stacks.leaves();
            let hits = |name: &str| leaves.get(name).copied().unwrap_or(0) as f64;
            let (short, total) = (hits("short"), hits("short") + hits("long"));
            ensure!(total > 0.0, "no samples");
            Ok((short - truth * total) / (truth * (1.0 - truth) * total).sqrt())
        })
        .collect()
}

fn root_mean_square(errors: &[f64]) -> f64 {
    let sum: f64 = errors.iter().map(|error| error * error).sum();
    (sum / errors.len() as f64).sqrt()
}

fn largest(errors: &[f64]) -> f64 {
    errors.iter().map(|error| error.abs()).fold(0.0, f64::max)
}
