//! `pyebpf record --mode off-cpu` shows what threads wait for: one that sleeps again and again, and one that has waited since
//! before the recording began.

use anyhow::ensure;

use super::pyebpf;
use crate::folded;
use crate::plan::Python;
use crate::workload::{KNOWN_STACK, Workload};

/// How the stack of each thread ends.
const SLEEPING: &str = "<sleeping>";
const THROUGHOUT: &[&str] = &["wait_throughout", "<waiting for a lock>"];
/// Of each thread within `RECORD_SECONDS`, at least. An emulated CPU takes its time to begin and to end.
const FEWEST_MS: u64 = 3_000;

pub(super) fn run(python: &Python) -> anyhow::Result<()> {
    let workload = Workload::start_waiting(python)?;
    let pid = workload.pid().to_string();
    let text = pyebpf::record(&["--mode", "off-cpu", "--unit", "time", "--pid", &pid])?;
    let stacks = folded::parse(&text)?;
    let sleeping = [KNOWN_STACK, &[SLEEPING]].concat();
    for ending in [&sleeping, THROUGHOUT] {
        let ms = folded::count(&stacks, ending).1 / 1_000_000;
        ensure!(ms >= FEWEST_MS, "only {ms} ms end in {ending:?}: {text}");
    }
    Ok(())
}
