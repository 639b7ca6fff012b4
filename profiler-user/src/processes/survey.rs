//! What runs on this host, looked at once: for `doctor` and `ps`. The tracker asks the same and goes on watching.

use crate::language::python::{Finding, InspectError, Inspector};
use crate::proc;

/// What each of these processes turned out to be; of every process when none is given.
pub fn findings(pids: &[u32]) -> impl Iterator<Item = (u32, Result<Finding, InspectError>)> + use<> {
    let pids = if pids.is_empty() {
        proc::pids().unwrap_or_default()
    } else {
        pids.to_vec()
    };
    let mut inspector = Inspector::default();
    pids.into_iter()
        .map(move |pid| (pid, inspect(&mut inspector, pid)))
}

/// What a process is, also when its first thread has exited.
///
/// # Errors
/// As [`Inspector::inspect`].
pub fn inspect(inspector: &mut Inspector, pid: u32) -> Result<Finding, InspectError> {
    let found = inspector.inspect(pid);
    if let Ok(Finding::Python(_) | Finding::Refused(_)) = found {
        return found;
    }
    match proc::visible_id(pid) {
        id if id == pid => found,
        thread => inspector.inspect(thread),
    }
}
