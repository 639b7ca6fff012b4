//! What the pipeline is told about processes, since it looks at none itself.

use crate::ids::ProcessKey;
use crate::language::python::Interpreter;
use crate::native::unwind::Located;
use crate::proc::root::RootId;
use crate::profile::Process;

/// What the pipeline must be told about the process of a sample at the moment the sample is added.
pub trait Surroundings {
    /// What it runs.
    fn interpreter(&self, process: ProcessKey) -> Option<&Interpreter>;
    /// Its root directory.
    fn root(&self, process: ProcessKey) -> Option<RootId>;
    /// Where an address of it is.
    fn locate(&self, process: ProcessKey, address: u64) -> Option<Located<'_>>;
    /// What to remember of it. Asked once for each process and interval.
    fn describe(&mut self, process: ProcessKey) -> Process;
}
