//! What runs on this host, looked at once: for `doctor` and `ps`. The tracker does the same and goes on watching.

use crate::interpreter::{Finding, InspectError, Inspector};
use crate::process;

/// What each of these processes turned out to be; of every process when none is given.
pub fn findings(pids: &[u32]) -> impl Iterator<Item = (u32, Result<Finding, InspectError>)> + use<> {
    let pids = if pids.is_empty() {
        process::pids().unwrap_or_default()
    } else {
        pids.to_vec()
    };
    let mut inspector = Inspector::default();
    pids.into_iter().map(move |pid| (pid, inspector.inspect(pid)))
}
