//! What the tracker says about processes.

use std::sync::Arc;

use profiler_common::contract::process::{PROCESS_EXCLUDED, PROCESS_PYTHON};

use crate::ids::ProcessKey;
use crate::language::python::Interpreter;
use crate::proc::root::RootId;
use crate::processes::identity::Identity;

/// A process that runs a supported interpreter.
#[derive(Clone, Debug)]
pub struct TrackedProcess {
    /// Who it is; that of its parent for a child that did not change since.
    pub identity: Arc<Identity>,
    /// Whether `identity` is its parent's: a child may have changed since.
    pub is_inherited: bool,
    /// Whether the filter wants it: only then it is sampled.
    pub admitted: bool,
    /// Arguments joined by spaces.
    pub command_line: String,
    /// What it runs.
    pub interpreter: Box<Interpreter>,
    /// Its root directory.
    pub root: Option<RootId>,
}

/// A process that is sampled from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which.
    pub process: ProcessKey,
    /// Whose copy it is, for a forked child that has not changed since.
    pub parent: Option<ProcessKey>,
}

/// An interpreter that is not profiled, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RefusedProcess {
    /// One of the processes.
    pub pid: u32,
    /// How many more there are, as far as they were counted.
    pub others: usize,
    /// What it runs, and the reason.
    pub text: String,
}

/// Flags of the entry of a supported interpreter.
pub(super) fn flags_of(admitted: bool) -> u32 {
    if admitted {
        PROCESS_PYTHON
    } else {
        PROCESS_EXCLUDED
    }
}
