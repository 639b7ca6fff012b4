//! What pyebpf takes: all its processes together, and its BPF maps.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(60);
/// How many looks come between two looks at the maps, of which there are many.
const MAPS_EVERY: u32 = 8;

/// Looks again and again.
#[derive(Debug)]
pub struct MemoryWatch {
    is_over: Arc<AtomicBool>,
    peak_bytes: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl MemoryWatch {
    /// From now on, at this process and its descendants.
    #[must_use]
    pub fn start(pid: u32) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let peak_bytes = Arc::new(AtomicU64::new(0));
        let (over, peak) = (Arc::clone(&is_over), Arc::clone(&peak_bytes));
        let thread = std::thread::spawn(move || {
            let mut maps = 0;
            for look in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                if look % MAPS_EVERY == 0 {
                    maps = map_bytes(pid).max(maps);
                }
                let own: u64 = family(pid).into_iter().map(proportional_bytes).sum();
                peak.fetch_max(own + maps, Ordering::Relaxed);
                std::thread::sleep(INTERVAL);
            }
        });
        Self {
            is_over,
            peak_bytes,
            thread,
        }
    }

    /// The most that it was at one time.
    #[must_use]
    pub fn peak_bytes(self) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        let _ = self.thread.join();
        self.peak_bytes.load(Ordering::Relaxed)
    }
}

/// A process and its descendants.
#[must_use]
pub fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(parent) = all.get(next) {
        // Each thread has the children that it has started (proc(5)).
        for task in fs::read_dir(format!("/proc/{parent}/task"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let text = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(
                text.split_whitespace()
                    .filter_map(|word| word.parse::<u32>().ok()),
            );
        }
        next += 1;
    }
    all
}

/// The process's share of what it has in memory.
fn proportional_bytes(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// What the maps take that a process has open, each once.
fn map_bytes(pid: u32) -> u64 {
    let mut maps = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name))?;
            value.trim().parse::<u64>().ok()
        };
        if let (Some(id), Some(bytes)) = (field("map_id:"), field("memlock:")) {
            maps.insert(id, bytes);
        }
    }
    maps.values().sum()
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::{MemoryWatch, family};

    #[test]
    fn memory_of_children_is_counted() {
        let mut child = Command::new("sleep").arg("60").spawn().expect("sleep");
        let own = std::process::id();
        assert!(family(own).contains(&child.id()));
        let watch = MemoryWatch::start(own);
        std::thread::sleep(Duration::from_millis(200));
        assert!(watch.peak_bytes() > 1 << 20);
        child.kill().expect("it runs");
        child.wait().expect("a status");
    }
}
