//! A look at a process that has been asked for and not been answered.

use crate::ids::ProcessKey;
use crate::kernel::LoadError;
use crate::workers::Ticket;

/// One look.
#[derive(Debug)]
pub(super) struct PendingLook {
    pub(super) pid: u32,
    /// How many there were since its exec.
    pub(super) attempt: usize,
    /// What it was when it was claimed.
    pub(super) claimed: Result<ProcessKey, LoadError>,
    pub(super) ticket: Ticket,
}
