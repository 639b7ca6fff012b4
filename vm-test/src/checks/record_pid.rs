//! `pyebpf record --pid` shows the stack that the program has.

use anyhow::ensure;

use super::pyebpf::{self, FEWEST_SAMPLES};
use crate::folded;
use crate::plan::Python;
use crate::workload::{KNOWN_STACK, Workload};

pub(super) fn run(python: &Python) -> anyhow::Result<()> {
    let workload = Workload::start(python)?;
    let text = pyebpf::record(&["--pid", &workload.pid().to_string()])?;
    let (total, known) = folded::count(&folded::parse(&text)?, KNOWN_STACK);
    ensure!(total >= FEWEST_SAMPLES, "only {total} samples");
    ensure!(
        known * 10 >= total * 9,
        "only {known} of {total} samples end in {KNOWN_STACK:?}: {text}"
    );
    Ok(())
}
