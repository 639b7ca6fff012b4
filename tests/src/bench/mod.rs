//! Benchmarks: one file per question, each a table row or more.

mod bpf_stats;
mod filtered_out;
mod kernel_half;
mod native;
mod own_cost;
mod switches;
mod target;
mod user_half;
mod workload;

use std::time::Duration;

use anyhow::ensure;

pub use self::switches::{ECHO, echo};

use crate::python::{self, Python};

/// A group of rows.
struct Part {
    name: &'static str,
    heading: &'static str,
    run: fn(Duration) -> anyhow::Result<()>,
}

const PARTS: &[Part] = &[
    Part {
        name: "verifier",
        heading: "Kernel half: verified instructions",
        run: |_| kernel_half::verified_instructions(),
    },
    Part {
        name: "walk",
        heading: "Kernel half: a sample",
        run: kernel_half::walk,
    },
    Part {
        name: "filtered-out",
        heading: "Kernel half: an interrupt in a process that is filtered out",
        run: filtered_out::run,
    },
    Part {
        name: "native",
        heading: "Native frames",
        run: native::run,
    },
    Part {
        name: "user",
        heading: "User half",
        run: user_half::run,
    },
    Part {
        name: "own",
        heading: "A recording with little to do",
        run: own_cost::run,
    },
    Part {
        name: "switches",
        heading: "Time off the CPU",
        run: switches::run,
    },
    Part {
        name: "target",
        heading: "Target",
        run: target::run,
    },
];

/// Runs all parts, or those that are named; `seconds` is the length of one measuring window.
///
/// # Errors
/// When a part is unknown, or a program cannot be started or loaded.
pub fn run(seconds: u64, wanted: &[String]) -> anyhow::Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "benchmarks load BPF programs: run as root"
    );
    let names: Vec<&str> = PARTS.iter().map(|part| part.name).collect();
    for name in wanted {
        ensure!(
            names.contains(&name.as_str()),
            "no part {name:?}; there are {}",
            names.join(", ")
        );
    }
    for part in PARTS {
        if wanted.is_empty() || wanted.iter().any(|name| name == part.name) {
            println!("## {}\n", part.heading);
            (part.run)(Duration::from_secs(seconds))?;
            println!();
        }
    }
    Ok(())
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
