//! Benchmarks: one file per question, each a table row or more.

mod bpf_stats;
mod filtered_out;
mod kernel_half;
mod native;
mod target;
mod user_half;
mod workload;

use std::time::Duration;

use anyhow::ensure;

use crate::python::{self, Python};

/// Runs everything; `seconds` is the length of one measuring window.
///
/// # Errors
/// When a program cannot be started or loaded.
pub fn run(seconds: u64) -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "benchmarks load BPF programs: run as root"
    );
    let window = Duration::from_secs(seconds);
    println!("## Kernel half\n");
    kernel_half::verified_instructions()?;
    kernel_half::walk(window)?;
    filtered_out::run(window)?;
    println!("\n## Native frames\n");
    native::run(window)?;
    println!("\n## User half\n");
    user_half::run(window)?;
    println!("\n## Target\n");
    target::run(window)
}

/// Interpreters whose language the measured program is written in.
fn pythons() -> impl Iterator<Item = &'static Python> {
    python::all().iter().filter(|python| python.version >= (3, 6, 0))
}

/// The middle value; 0 for none.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        len if len % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}
