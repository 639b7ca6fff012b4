//! CPU time and memory of the recording process itself.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;

use super::workload::Spin;
use crate::{profiler, python, status};

/// One row per rate: CPU per sample falls as fixed costs are shared. What a sample costs beyond them is the difference to
/// the first row.
pub(super) fn run(window: Duration) -> anyhow::Result<()> {
    let python = python::newest();
    println!("{python}, 30 frames, `record -f raw`\n");
    println!(
        "| rate Hz | samples | own CPU us per sample | us per further sample | own CPU, share of one core | peak resident memory MiB |"
    );
    println!("|---:|---:|---:|---:|---:|---:|");
    let mut first = None;
    for rate in [99, 997, 9_973] {
        let spin = Spin::start(python, 30)?;
        let cost = measure(&spin, rate, window * 3)?;
        let base = *first.get_or_insert(cost);
        let more = cost.samples - base.samples;
        let further = (more > 0.0).then(|| format!("{:.1}", (cost.cpu_s - base.cpu_s) * 1e6 / more));
        println!(
            "| {rate} | {} | {:.1} | {} | {:.2} % | {:.1} |",
            cost.samples,
            cost.cpu_s * 1e6 / cost.samples.max(1.0),
            further.unwrap_or_default(),
            cost.cpu_s / (window * 3).as_secs_f64() * 100.0,
            cost.peak_mib
        );
    }
    Ok(())
}

/// What a recording cost.
#[derive(Clone, Copy)]
struct Cost {
    samples: f64,
    cpu_s: f64,
    peak_mib: f64,
}

fn measure(spin: &Spin, rate: u32, duration: Duration) -> anyhow::Result<Cost> {
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
    Ok(Cost {
        samples: number_before(&text, " samples +").context("the end report")?,
        cpu_s: number_after(&text, "own CPU time ").context("the end report")?,
        peak_mib: peak,
    })
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
