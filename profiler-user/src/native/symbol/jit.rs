//! Where code that a program made at run time has its names: the map that it writes for profilers. Opened and passed on by
//! workers, read by [`super::perf_map`]. Between questions no file is open.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::file::Purpose;
use crate::ids::ProcessKey;
use crate::inspect::{Arrival, FileWanted, Openings};

/// A map is looked at again when so much time has passed.
const REFRESH: Duration = Duration::from_secs(1);
/// Processes of which it is remembered when their map was looked at last.
const MAX_PROCESSES: usize = 4096;

/// When which map was given to the worker.
#[derive(Debug, Default)]
pub(super) struct JitFiles {
    looked_at: HashMap<ProcessKey, Instant>,
    generation: u32,
}

impl JitFiles {
    /// The map of a process, unless the worker (of this generation) had it a moment ago.
    pub(super) fn due(
        &mut self,
        process: ProcessKey,
        generation: u32,
        openings: &mut Openings<Purpose>,
    ) -> Option<Arrival> {
        if self.generation != generation || self.looked_at.len() >= MAX_PROCESSES {
            self.looked_at.clear();
            self.generation = generation;
        }
        let now = Instant::now();
        let last = self.looked_at.get(&process);
        if last.is_some_and(|last| now.saturating_duration_since(*last) < REFRESH) {
            return None;
        }
        let arrival = openings.get(Purpose::PerfMap(process), || FileWanted::PerfMap {
            pid: process.tgid,
        });
        if !matches!(arrival, Arrival::Late) {
            self.looked_at.insert(process, now);
        }
        Some(arrival)
    }
}
