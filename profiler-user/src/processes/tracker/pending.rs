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
    pub(super) purpose: Purpose,
    pub(super) ticket: Ticket,
}

/// Why it is looked at.
#[derive(Debug)]
pub(super) enum Purpose {
    /// To profile it: with what it was when it was claimed.
    Record(Result<ProcessKey, LoadError>),
    /// To count it: nobody asked for children.
    Child,
}
