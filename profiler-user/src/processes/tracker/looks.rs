//! When a process that shows no interpreter is looked at again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Waiting times. The first looks follow an exec, while the dynamic loader is at work (an interpreter needs some 10 ms
/// from exec to its first line of Python, much more when it waits for a CPU); the later ones find a libpython that was
/// `dlopen`ed.
const WAITING: &[Duration] = &[
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(3),
    Duration::from_millis(6),
    Duration::from_millis(12),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
];
/// First look that does not wait for the loader.
pub(super) const LATE: usize = 10;

/// Looks to be taken, by time.
#[derive(Debug, Default)]
pub(super) struct Looks {
    due: BTreeMap<Instant, Vec<(u32, usize)>>,
}

impl Looks {
    /// Arranges look number `attempt` at a process; none when there were enough.
    pub(super) fn arrange(&mut self, pid: u32, attempt: usize) {
        if let Some(delay) = WAITING.get(attempt) {
            self.due
                .entry(Instant::now() + *delay)
                .or_default()
                .push((pid, attempt));
        }
    }

    /// Takes the looks whose time has come.
    pub(super) fn take_due(&mut self) -> Vec<(u32, usize)> {
        let now = Instant::now();
        let mut due = Vec::new();
        while let Some(entry) = self.due.first_entry() {
            if *entry.key() > now {
                break;
            }
            due.extend(entry.remove());
        }
        due
    }

    /// When the next is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.first_key_value().map(|(when, _)| *when)
    }
}
