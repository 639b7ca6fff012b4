//! What others ask the tracker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Arrival, RefusedProcess, Target, TrackedProcess, Tracker};
use crate::ids::ProcessKey;
use crate::proc::{self, is_alive};
use crate::processes::halt::Halt;

impl Tracker {
    /// When [`Self::poll`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        let late = (!self.pending.is_empty()).then(|| self.inspectors.next_check());
        self.looks.next().into_iter().chain(late.flatten()).min()
    }

    /// A profiled process, even shortly after its end.
    #[must_use]
    pub fn get(&self, key: ProcessKey) -> Option<&TrackedProcess> {
        self.tracked.get(&key)
    }

    /// The profiled process that has this id now.
    #[must_use]
    pub fn current(&self, pid: u32) -> Option<ProcessKey> {
        self.current.get(&pid).copied()
    }

    /// Every profiled process.
    pub fn all_current(&self) -> impl Iterator<Item = ProcessKey> {
        self.current.values().copied()
    }

    /// A profiled process, for somebody who will remember what it is called: looked at again if it is a forked child that
    /// is still there.
    pub fn describe(&mut self, key: ProcessKey) -> Option<&TrackedProcess> {
        let is_there = self.current.get(&key.tgid) == Some(&key);
        if is_there
            && self.tracked.get(&key)?.is_inherited
            && let Some(about) = self.inspectors.about(key.tgid)
        {
            let identity = Arc::new(self.identify(about));
            let process = self.tracked.get_mut(&key)?;
            process.identity = identity;
            process.is_inherited = false;
        }
        self.tracked.get(&key)
    }

    /// Processes profiled now.
    #[must_use]
    pub fn alive(&self) -> usize {
        let admitted = |key: &&ProcessKey| self.tracked.get(key).is_some_and(|process| process.admitted);
        self.current.values().filter(admitted).count()
    }

    /// Those of them that somebody has stopped or frozen.
    #[must_use]
    pub fn halted(&self) -> Vec<(u32, Halt)> {
        let admitted = |key: &&ProcessKey| self.tracked.get(key).is_some_and(|process| process.admitted);
        let current = self.current.values().filter(admitted);
        let mut halted: Vec<_> = current
            .filter_map(|key| Some((key.tgid, Halt::of(key.tgid)?)))
            .collect();
        halted.sort_by_key(|(pid, _)| *pid);
        halted
    }

    /// CPU time that they have used since they were looked at, as far as that is known.
    #[must_use]
    pub fn cpu_used(&self) -> Duration {
        let used = |key: &ProcessKey| {
            let process = self
                .tracked
                .get(key)
                .filter(|process| process.admitted && !process.is_inherited)?;
            let now = proc::stat(key.tgid).ok()?.cpu_time();
            Some(now.saturating_sub(process.identity.cpu_time))
        };
        self.current.values().filter_map(used).sum()
    }

    /// Whether nothing that was asked for is left: all given processes ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.target {
            Target::All => false,
            Target::Processes { pids, .. } => {
                self.current.is_empty() && !pids.iter().any(|pid| is_alive(*pid))
            }
        }
    }

    /// Processes that ended; their samples have been read once this is called after a drain. They are forgotten.
    pub fn take_ended(&mut self) -> Vec<ProcessKey> {
        for key in &self.ended {
            self.tracked.remove(key);
        }
        std::mem::take(&mut self.ended)
    }

    /// Processes that have begun to be sampled since this was last asked.
    pub fn take_arrived(&mut self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrived)
    }

    /// Children of recorded processes that ran Python and are not recorded, because nobody asked for children.
    #[must_use]
    pub fn unrecorded_children(&self) -> u64 {
        self.children.count()
    }

    /// Interpreters found but not profiled.
    pub fn refusals(&self) -> impl Iterator<Item = RefusedProcess> {
        self.refusals.iter()
    }
}
