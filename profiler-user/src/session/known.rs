//! What a session knows of processes before it runs.

use super::Session;
use crate::inspect::Inspectors;
use crate::processes::tracker::RefusedProcess;

impl Session {
    /// Those who look at processes, for further questions while it runs.
    #[must_use]
    pub fn inspectors(&self) -> Inspectors {
        self.tracker.inspectors()
    }

    /// Processes profiled now.
    #[must_use]
    pub fn processes(&self) -> usize {
        self.tracker.alive()
    }

    /// The arguments of a process that is profiled now.
    #[must_use]
    pub fn command_line(&self, pid: u32) -> Option<String> {
        let process = self.tracker.get(self.tracker.current(pid)?)?;
        Some(process.command_line.clone())
    }

    /// Interpreters found but not profiled.
    pub fn refusals(&self) -> impl Iterator<Item = RefusedProcess> {
        self.tracker.refusals()
    }

    /// Children of recorded processes that ran Python and are not recorded, because nobody asked for children.
    #[must_use]
    pub fn unrecorded_children(&self) -> u64 {
        self.tracker.unrecorded_children()
    }
}
