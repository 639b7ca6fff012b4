//! Names that threads have in Python, as long as an interval may show them.
//!
//! A process may run for months and start new threads all the time; so a name is forgotten a while after its thread was last
//! sampled. When the thread is sampled again after such a time, its name is asked for again.

use std::collections::HashMap;

use crate::ids::ProcessKey;

/// Names remembered.
const MAX_NAMES: usize = 1 << 20;
/// How long a name is kept after its thread was last sampled, as far as that is known. Much longer than it takes until a
/// thread that is sampled is looked up again.
const KEPT_NS: u64 = 60_000_000_000;

/// The names of all processes' threads.
#[derive(Debug)]
pub(super) struct ThreadNames {
    processes: HashMap<ProcessKey, HashMap<u32, Known>>,
    /// Names in all of them, and how many there may be.
    len: usize,
    most: usize,
    refused: u64,
}

impl Default for ThreadNames {
    fn default() -> Self {
        Self {
            processes: HashMap::new(),
            len: 0,
            most: MAX_NAMES,
            refused: 0,
        }
    }
}

#[derive(Debug)]
struct Known {
    name: String,
    /// When it was told, or the end of the last interval that shows it (`CLOCK_MONOTONIC`).
    last_ns: u64,
}

impl ThreadNames {
    /// Takes note of a name; a later one replaces it. `now_ns` is when it is told, `CLOCK_MONOTONIC`.
    pub(super) fn insert(&mut self, process: ProcessKey, tid: u32, name: String, now_ns: u64) {
        if self.len >= self.most && self.get(process, tid).is_none() {
            self.refused += 1;
            return;
        }
        let known = Known {
            name,
            last_ns: now_ns,
        };
        let names = self.processes.entry(process).or_default();
        if names.insert(tid, known).is_none() {
            self.len += 1;
        }
    }

    /// Names that found no room: their threads keep the names that the kernel has for them.
    pub(super) fn refused(&self) -> u64 {
        self.refused
    }

    /// The name of a thread, if it is known.
    pub(super) fn get(&self, process: ProcessKey, tid: u32) -> Option<&str> {
        Some(&self.processes.get(&process)?.get(&tid)?.name)
    }

    /// An interval that ended at `end_ns` shows this thread.
    pub(super) fn note_use(&mut self, process: ProcessKey, tid: u32, end_ns: u64) {
        let names = self.processes.get_mut(&process);
        if let Some(known) = names.and_then(|names| names.get_mut(&tid)) {
            known.last_ns = known.last_ns.max(end_ns);
        }
    }

    /// The process is gone, and no interval shows it any more.
    pub(super) fn forget(&mut self, process: ProcessKey) {
        self.len -= self.processes.remove(&process).map_or(0, |names| names.len());
    }

    /// Forgets what has not been used for long before `end_ns`, the end of the interval that was taken last.
    pub(super) fn expire(&mut self, end_ns: u64) {
        let oldest_ns = end_ns.saturating_sub(KEPT_NS);
        self.processes.retain(|_, names| {
            names.retain(|_, known| known.last_ns >= oldest_ns);
            if names.capacity() > 4 * (names.len() + 8) {
                names.shrink_to_fit();
            }
            !names.is_empty()
        });
        self.len = self.processes.values().map(HashMap::len).sum();
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_without_room_are_counted_and_those_that_are_known_can_still_change() {
        let process = ProcessKey {
            tgid: 7,
            incarnation: 1,
        };
        let mut names = ThreadNames {
            most: 2,
            ..ThreadNames::default()
        };
        for (tid, name) in [(1, "one"), (2, "two"), (3, "three"), (2, "second")] {
            names.insert(process, tid, name.to_owned(), 0);
        }
        let known = [1, 2, 3].map(|tid| names.get(process, tid));
        assert_eq!(known, [Some("one"), Some("second"), None]);
        assert_eq!((names.len(), names.refused()), (2, 1));
    }
}
