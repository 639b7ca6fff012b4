//! CPU time and memory of the recording process itself.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::workload::Spin;
use crate::{profiler, python, status};

/// One row per rate: CPU per sample falls as fixed costs are shared.
pub(super) fn run(window: Duration) -> anyhow::Result<()> {
    let python = python::newest();
    println!("{python}, 30 frames, `record -f raw`\n");
    println!(
        "| rate Hz | samples | own CPU us per sample | own CPU, share of one core | peak resident memory MiB |"
    );
    println!("|---:|---:|---:|---:|---:|");
    for rate in [99, 997, 9_973] {
        let spin = Spin::start(python, 30)?;
        row(&spin, rate, window * 3)?;
    }
    Ok(())
}

fn row(spin: &Spin, rate: u32, duration: Duration) -> anyhow::Result<()> {
    let seconds = duration.as_secs().to_string();
    let child = Command::new(profiler::binary()?)
        .args([
            "record",
            "-p",
            &spin.pid().to_string(),
            "-r",
            &rate.to_string(),
            "-d",
            &seconds,
        ])
        .args(["-f", "raw", "-o", "/dev/null"])
        .stderr(Stdio::piped())
        .spawn()
        .context("starting pyebpf")?;
    std::thread::sleep(duration - Duration::from_millis(300));
    let peak = peak_memory_mib(child.id());
    let output = child.wait_with_output()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let samples = number_before(&text, " samples +").context("the end report")?;
    let cpu_s = number_after(&text, "own CPU time ").context("the end report")?;
    println!(
        "| {rate} | {samples} | {:.1} | {:.2} % | {peak:.1} |",
        cpu_s * 1e6 / samples.max(1.0),
        cpu_s / duration.as_secs_f64() * 100.0
    );
    Ok(())
}

fn peak_memory_mib(pid: u32) -> f64 {
    // 0 once it has ended.
    status::kib(pid, "VmHWM").unwrap_or(0) as f64 / 1024.0
}

fn number_after(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?.1.split_whitespace().next()?.parse().ok()
}

fn number_before(text: &str, mark: &str) -> Option<f64> {
    text.split_once(mark)?
        .0
        .split_whitespace()
        .next_back()?
        .parse()
        .ok()
}
