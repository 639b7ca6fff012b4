//! Who a process is, apart from its number: user, name, script, container. Used by the tracker (identity of samples,
//! filters) and by `ps`.

use std::sync::Arc;
use std::time::Duration;

use crate::container::{Containers, Placement};
use crate::inspect::About;
use crate::proc::script::Script;

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
    /// The process that started it; 0 when that is not visible.
    pub parent: u32,
    /// Its cgroups and container.
    pub placement: Arc<Placement>,
    /// Threads at this moment.
    pub threads: u32,
    /// CPU time so far, of all its threads.
    pub cpu_time: Duration,
}

/// Knows from cgroups and the files of container runtimes where a process is; remembers containers.
#[derive(Debug, Default)]
pub struct Identities {
    containers: Containers,
}

impl Identity {
    /// Takes over what only its parent knows.
    pub fn adopt(&mut self, parent: &Self) {
        if let (Some(script), Some(parent)) = (&mut self.script, &parent.script) {
            script.adopt(parent);
        }
    }
}

impl Identities {
    /// Who the process is that an inspector has described like this.
    pub fn of(&mut self, about: About) -> Identity {
        Identity {
            user: about.user,
            script: Script::of_arguments(&about.arguments, &about.directory),
            parent: about.parent,
            placement: self.containers.locate(&about.cgroup),
            threads: about.threads,
            cpu_time: about.cpu_time,
            comm: about.comm,
            arguments: about.arguments,
        }
    }
}
