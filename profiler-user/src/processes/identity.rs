//! Who a process is, apart from its number: user, name, script, container. Used by the tracker (identity of samples,
//! filters) and by `ps`.

use std::sync::Arc;
use std::time::Duration;

use crate::container::{Containers, Placement};
use crate::proc::script::Script;
use crate::proc::{self, ProcessError};

/// Who a process is.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Effective user id, in this process's user namespace.
    pub user: u32,
    /// The kernel's name of its first thread.
    pub comm: String,
    /// Its arguments; empty when they were gone.
    pub arguments: Vec<String>,
    /// What its interpreter was told to run.
    pub script: Option<Script>,
    /// Its cgroups and container.
    pub placement: Arc<Placement>,
    /// Threads at this moment.
    pub threads: u32,
    /// CPU time so far, of all its threads.
    pub cpu_time: Duration,
}

/// Asks `/proc` and the files of container runtimes; remembers containers.
#[derive(Debug, Default)]
pub struct Identities {
    containers: Containers,
}

impl Identities {
    /// Who this process is now.
    ///
    /// # Errors
    /// When it is gone or may not be looked at.
    pub fn of_process(&mut self, pid: u32) -> Result<Identity, ProcessError> {
        let stat = proc::stat(pid)?;
        let arguments = proc::command_line(proc::visible_id(pid))?;
        Ok(Identity {
            user: proc::user(pid)?,
            script: Script::of_arguments(&arguments),
            placement: self.containers.of_process(pid)?,
            threads: stat.threads,
            cpu_time: stat.cpu_time(),
            comm: stat.name,
            arguments,
        })
    }
}
