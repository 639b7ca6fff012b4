//! Where code that a program made at run time has its names: the map that it writes for profilers. Opened here, read by the
//! worker ([`super::perf_map`]). Between questions no file is open.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};

use crate::ids::ProcessKey;
use crate::proc;
use crate::proc::root::Root;

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
    /// The map of a process, unless the worker (of this generation) had it a moment ago, or there is none.
    pub(super) fn due(&mut self, process: ProcessKey, root: &Root, generation: u32) -> Option<File> {
        if self.generation != generation || self.looked_at.len() >= MAX_PROCESSES {
            self.looked_at.clear();
            self.generation = generation;
        }
        let now = Instant::now();
        let last = self.looked_at.get(&process);
        if last.is_some_and(|last| now.saturating_duration_since(*last) < REFRESH) {
            return None;
        }
        self.looked_at.insert(process, now);
        open(process.tgid, root)
    }
}

/// The map is named by the process id in the process's own pid namespace, and is read only if it is the process's own:
/// `/tmp` is everybody's, and a link in it leads anywhere.
pub(super) fn open(pid: u32, root: &Root) -> Option<File> {
    let inner = proc::innermost_id(pid).ok()?;
    let found = root.find_file_itself(format!("/tmp/perf-{inner}.map")).ok()?;
    let file = found.open().ok()?;
    let owner = file.metadata().ok()?.uid();
    (owner == proc::user(pid).ok()?).then_some(file)
}
