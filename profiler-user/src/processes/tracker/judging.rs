//! What the tracker does about children that are not recorded: see [`super::children`] for what is known of them.

use super::{Target, Tracker, looks};
use crate::inspect::{Found, InspectFailure, Look};
use crate::kernel::Kernel;

impl Tracker {
    /// Whether children are noted, but not profiled.
    pub(super) fn reports_children(&self) -> bool {
        matches!(
            self.target,
            Target::Processes {
                follow_children: false,
                ..
            }
        )
    }

    /// Makes the kernel half report the life of a child that nobody has heard of.
    pub(super) fn claim_child(&self, kernel: &mut Kernel, pid: u32) {
        if let Err(error) = kernel.claim_process(pid, self.flags()) {
            log::debug!("process {pid}: {error}");
        }
    }

    /// Notes whether a child that is not recorded runs Python.
    pub(super) fn judge_child(
        &mut self,
        kernel: &Kernel,
        pid: u32,
        attempt: usize,
        look: Result<Look, InspectFailure>,
    ) {
        match look.map(|look| look.found) {
            Ok(Found::Python(_) | Found::Refused(_)) => {
                let incarnation = kernel.current_process(pid).map(|key| key.incarnation);
                self.children.ran_python(pid, incarnation);
            }
            Ok(Found::NotPython { may_still_load: true }) if attempt + 1 < looks::LATE => {
                self.looks.arrange(pid, attempt + 1);
            }
            Ok(Found::NotPython { .. }) => {}
            Err(failure) => log::debug!("process {pid}: {failure}"),
        }
    }
}
