//! `pyebpf record --all` shows every interpreter at once, each under its own process.

use anyhow::{Context as _, ensure};

use super::pyebpf;
use crate::folded;
use crate::plan::Plan;
use crate::workload::{KNOWN_STACK, Workload};

/// Several programs share two emulated CPUs.
const FEWEST_SAMPLES: u64 = 10;

pub(super) fn run(plan: &Plan) -> anyhow::Result<()> {
    let workloads = plan
        .pythons
        .iter()
        .map(Workload::start)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let text = pyebpf::record(&["--all"])?;
    for (python, workload) in plan.pythons.iter().zip(&workloads) {
        let stacks = folded::of_process(folded::parse(&text)?, workload.pid());
        let (total, known) = folded::count(&stacks, KNOWN_STACK);
        let what = || format!("process {} of Python {}", workload.pid(), python.version);
        ensure!(
            total >= FEWEST_SAMPLES,
            "{}: only {total} samples in: {text}",
            what()
        );
        ensure!(
            known * 10 >= total * 9,
            "{}: only {known} of {total} end in {KNOWN_STACK:?}: {text}",
            what()
        );
    }
    workloads.first().map(|_| ()).context("there is no Python")
}
