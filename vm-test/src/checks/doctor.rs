//! `pyebpf doctor` loads every program, calls this kernel fit, and finds a running interpreter.

use anyhow::{Context as _, ensure};

use super::pyebpf;
use crate::console;
use crate::plan::Plan;
use crate::workload::Workload;

/// Prints how many instructions the verifier looked at.
const VERIFIER_STATS: &str = "/usr/lib/verifier_stats.so";

pub(super) fn run(plan: &Plan) -> anyhow::Result<()> {
    let python = plan.pythons.first().context("there is no Python")?;
    let workload = Workload::start(python)?;
    let output = pyebpf::run_with(&["doctor"], &[("LD_PRELOAD", VERIFIER_STATS)])?;
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines() {
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
