//! What recording costs the recorded program: its throughput with and without, in alternating windows.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::median;
use super::workload::Spin;
use crate::profiler;

/// Pairs of windows.
const PAIRS: usize = 7;
/// Amplified: the cost of one sample does not depend on the rate, and at 99 Hz it drowns in noise.
const RATE_HZ: u32 = 9_973;

/// Frames as heap objects, frames behind a `_PyCFrame`, frames as they are since; each is long to measure.
const VERSIONS: [(u8, u8); 3] = [(3, 8), (3, 11), (3, 13)];

/// One row for each of [`VERSIONS`].
pub(super) fn run(window: Duration) -> anyhow::Result<()> {
    println!("30 frames, pinned, {PAIRS} pairs of windows at {RATE_HZ} Hz\n");
    println!(
        "| interpreter | options | throughput on / off | range | loss per sample us | at 99 Hz (derived) |\n|---|---|---:|---|---:|---:|"
    );
    for version in VERSIONS {
        let Some(python) = super::pythons().find(|python| (python.version.0, python.version.1) == version)
        else {
            continue;
        };
        let mut spin = Spin::start(python, 30)?;
        for options in [&[][..], &["--native"]] {
            let mut ratios = Vec::new();
            for _ in 0..PAIRS {
                ratios.push(pair(&mut spin, options, window)?);
            }
            let (low, high) = ratios
                .iter()
                .fold((f64::MAX, 0.0f64), |(low, high), r| (low.min(*r), high.max(*r)));
            let ratio = median(&mut ratios);
            let loss_us = (1.0 - ratio) * 1e6 / f64::from(RATE_HZ);
            println!(
                "| {python} | {} | {ratio:.3} | {low:.3} - {high:.3} | {loss_us:.1} | {:.5} |",
                options.join(" "),
                1.0 - loss_us * 99.0 / 1e6
            );
        }
    }
    Ok(())
}

/// Throughput with recording divided by throughput without.
fn pair(spin: &mut Spin, options: &[&str], window: Duration) -> anyhow::Result<f64> {
    let off = throughput(spin, window)?;
    let mut child = Command::new(profiler::binary()?)
        .args([
            "record",
            "-p",
            &spin.pid().to_string(),
            "-r",
            &RATE_HZ.to_string(),
        ])
        .args(options)
        .args([
            "-d",
            &(window.as_secs() + 3).to_string(),
            "-f",
            "raw",
            "-o",
            "/dev/null",
        ])
        .stderr(Stdio::null())
        .spawn()
        .context("starting pyebpf")?;
    // Loading and verifying are no part of it.
    let settle = std::time::Instant::now() + Duration::from_millis(1500);
    while std::time::Instant::now() < settle {
        spin.rounds()?;
    }
    let on = throughput(spin, window)?;
    child.wait()?;
    Ok(on / off)
}

fn throughput(spin: &mut Spin, window: Duration) -> anyhow::Result<f64> {
    let mut values = Vec::new();
    for _ in 0..window.as_millis() / 250 {
        values.push(spin.rounds()?);
    }
    Ok(median(&mut values))
}
