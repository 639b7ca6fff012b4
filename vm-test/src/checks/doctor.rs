//! `pyebpf doctor` loads every program, calls this kernel fit, and finds a running interpreter.

use anyhow::{Context as _, ensure};

use super::pyebpf;
use crate::console;
use crate::plan::Plan;
use crate::workload::Workload;

pub(super) fn run(plan: &Plan) -> anyhow::Result<()> {
    let python = plan.pythons.first().context("there is no Python")?;
    let workload = Workload::start(python)?;
    let output = pyebpf::run(&["doctor"])?;
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines() {
        // Among them the verifier's instruction counts on this kernel.
        console::say(format_args!("  {line}"));
    }
    let pid = workload.pid().to_string();
    let found = text.lines().any(|line| {
        line.split_whitespace().next() == Some(&pid)
            && line.contains(&python.version)
            && !line.contains("not supported")
    });
    ensure!(
        found,
        "process {pid} is Python {}, and doctor does not say so",
        python.version
    );
    Ok(())
}
