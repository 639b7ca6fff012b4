//! What processes execute, as it is being found out by workers: one look at a process at a time, and little waiting.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::ids::ProcessKey;
use crate::inspect::{InspectFailure, Inspectors, Question, Space};
use crate::workers::Ticket;

/// How long the event loop waits for looks ...
const WAIT_AT_MOST: Duration = Duration::from_millis(40);
/// ... in this time.
const WINDOW: Duration = Duration::from_millis(250);

/// Looks that have not been answered.
#[derive(Debug)]
pub(super) struct Looks {
    open: HashMap<ProcessKey, Look>,
    /// When the window began.
    since: Instant,
    /// What of it was waited.
    waited: Duration,
    /// Looks that failed, but not because the process is gone.
    pub(super) failed: u64,
}

#[derive(Debug)]
struct Look {
    ticket: Ticket,
    /// The address for whose sake, if it is one.
    pc: Option<u64>,
    /// Its mappings have changed since it was asked for.
    is_stale: bool,
}

/// A look that was answered.
pub(super) struct Looked {
    pub(super) process: ProcessKey,
    pub(super) pc: Option<u64>,
    /// Another one is needed.
    pub(super) again: bool,
    /// What was found, if it is new.
    pub(super) found: Option<Box<Space>>,
}

impl Default for Looks {
    fn default() -> Self {
        Self {
            open: HashMap::new(),
            since: Instant::now(),
            waited: Duration::ZERO,
            failed: 0,
        }
    }
}

impl Looks {
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether a process is being looked at.
    pub(super) fn is_open(&self, process: ProcessKey) -> bool {
        self.open.contains_key(&process)
    }

    /// Asks what a process executes; `known` is what is known already. While it is being looked at, only notes that this is
    /// not enough: an older answer never comes after a newer one.
    pub(super) fn ask(
        &mut self,
        inspectors: &Inspectors,
        process: ProcessKey,
        known: Option<u64>,
        pc: Option<u64>,
    ) {
        if let Some(look) = self.open.get_mut(&process) {
            look.is_stale = true;
            return;
        }
        let ticket = inspectors.ask(&Question::Space {
            pid: process.tgid,
            known,
        });
        let look = Look {
            ticket,
            pc,
            is_stale: false,
        };
        self.open.insert(process, look);
    }

    /// Waits for the answer as long as the event loop may: not at all after many of them.
    pub(super) fn wait_for(&mut self, inspectors: &Inspectors, process: ProcessKey) {
        let Some(look) = self.open.get(&process) else {
            return;
        };
        let started = Instant::now();
        if started.saturating_duration_since(self.since) >= WINDOW {
            self.since = started;
            self.waited = Duration::ZERO;
        }
        if self.waited < WAIT_AT_MOST {
            inspectors.wait_for(look.ticket);
            self.waited += started.elapsed();
        }
    }

    /// Those that have been answered.
    pub(super) fn take(&mut self, inspectors: &Inspectors) -> Vec<Looked> {
        let mut answered = Vec::new();
        let failed = &mut self.failed;
        self.open.retain(|process, look| {
            let Some(outcome) = inspectors.take_space(look.ticket) else {
                return true;
            };
            let (found, again) = match outcome {
                Ok(found) => {
                    let is_unfinished = found.as_ref().is_some_and(|found| found.is_unfinished);
                    (found, look.is_stale || is_unfinished)
                }
                Err(failure) => {
                    log::debug!("mappings of process {}: {failure}", process.tgid);
                    *failed += u64::from(failure != InspectFailure::Gone);
                    (None, false)
                }
            };
            answered.push(Looked {
                process: *process,
                pc: look.pc,
                again,
                found,
            });
            false
        });
        answered
    }

    /// The process is gone, or became another.
    pub(super) fn forget(&mut self, inspectors: &Inspectors, process: ProcessKey) {
        if let Some(look) = self.open.remove(&process) {
            inspectors.forget(look.ticket);
        }
    }

    /// When [`Self::take`] may have something.
    pub(super) fn next(&self, inspectors: &Inspectors) -> Option<Instant> {
        // Without an open question the answer is there.
        (!self.open.is_empty()).then(|| inspectors.next_check().unwrap_or_else(Instant::now))
    }
}
