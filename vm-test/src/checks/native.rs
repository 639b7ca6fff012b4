//! `pyebpf record --native` unwinds to the start of the thread, and puts Python where it belongs.

use anyhow::ensure;

use super::pyebpf::{self, FEWEST_SAMPLES};
use crate::folded;
use crate::plan::Python;
use crate::workload::{KNOWN_STACK, Workload};

/// Where a native stack was cut, a frame says why.
const CUT: &str = "<native: ";

pub(super) fn run(python: &Python) -> anyhow::Result<()> {
    let workload = Workload::start(python)?;
    let text = pyebpf::record(&["--native", "--pid", &workload.pid().to_string()])?;
    let stacks = folded::parse(&text)?;
    let (total, known) = folded::count_within(&stacks, KNOWN_STACK);
    ensure!(total >= FEWEST_SAMPLES, "only {total} samples");
    ensure!(
        known * 10 >= total * 9,
        "only {known} of {total} samples show {KNOWN_STACK:?}: {text}"
    );
    let cut = folded::count_with_frame(&stacks, |frame| frame.starts_with(CUT));
    ensure!(
        cut * 10 <= total,
        "{cut} of {total} native stacks are cut off: {text}"
    );
    Ok(())
}
