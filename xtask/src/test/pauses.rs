//! Whether this machine itself stood still. When the host of a virtual machine does not run it for half a second, that time is
//! charged to the program that was running, and no sample can be taken in it: a test of samples then fails, and nothing is
//! wrong.
//!
//! Otherwise, what the kernel accounts for on a CPU (`/proc/stat`, in hundredths of a second) adds up to the time that has
//! passed, within two hundredths. Time that the host took is counted apart ("steal") or not at all.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Over which time pauses are added up.
const WINDOW: Duration = Duration::from_secs(1);
/// Tests of samples do not allow for so much in one window.
const LONG: Duration = Duration::from_millis(200);
/// How often it is looked whether to end.
const STEP: Duration = Duration::from_millis(100);
/// Columns of `/proc/stat` that are this machine's own time: user to softirq. The next one is steal.
const OWN_COLUMNS: usize = 7;
const TICK: Duration = Duration::from_millis(10);

/// Watches the CPUs until it is asked.
pub(super) struct Watch {
    is_over: Arc<AtomicBool>,
    watcher: JoinHandle<Duration>,
}

impl Watch {
    pub(super) fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let watcher = std::thread::spawn({
            let is_over = Arc::clone(&is_over);
            move || watch(&is_over)
        });
        Self { is_over, watcher }
    }

    /// What a CPU stood still in the worst second so far, if that was long.
    pub(super) fn long_pause(self) -> Option<Duration> {
        self.is_over.store(true, Ordering::Relaxed);
        let longest = self.watcher.join().unwrap_or_default();
        (longest >= LONG).then_some(longest)
    }
}

fn watch(is_over: &AtomicBool) -> Duration {
    let mut longest = Duration::ZERO;
    let mut before = (Instant::now(), own_times());
    let mut goes_on = true;
    while goes_on {
        while goes_on && before.0.elapsed() < WINDOW {
            std::thread::sleep(STEP);
            goes_on = !is_over.load(Ordering::Relaxed);
        }
        let now = (Instant::now(), own_times());
        longest = longest.max(pause(now.0 - before.0, &before.1, &now.1));
        before = now;
    }
    longest
}

/// The time that is missing on the CPU that misses most.
fn pause(passed: Duration, before: &[(String, Duration)], now: &[(String, Duration)]) -> Duration {
    let missing = now.iter().filter_map(|(cpu, time)| {
        let (_, earlier) = before.iter().find(|(name, _)| name == cpu)?;
        Some(passed.saturating_sub(time.saturating_sub(*earlier)))
    });
    missing.max().unwrap_or_default()
}

/// The accounted time of each CPU that is online; empty when that cannot be read.
fn own_times() -> Vec<(String, Duration)> {
    parse(&fs::read_to_string("/proc/stat").unwrap_or_default())
}

fn parse(stat: &str) -> Vec<(String, Duration)> {
    let cpus = stat.lines().filter_map(|line| {
        let (cpu, columns) = line.split_once(' ')?;
        // The line `cpu` is the sum.
        let is_one = cpu.strip_prefix("cpu").is_some_and(|number| !number.is_empty());
        is_one.then(|| (cpu.to_owned(), columns))
    });
    let time = |columns: &str| {
        let ticks = columns.split_whitespace().take(OWN_COLUMNS);
        let ticks = ticks.filter_map(|ticks| ticks.parse::<u32>().ok());
        ticks.map(|ticks| TICK * ticks).sum()
    };
    cpus.map(|(cpu, columns)| (cpu, time(columns))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_that_no_cpu_accounts_for_is_a_pause() {
        let before = parse(
            "cpu  300 0 0 0 0 0 0 0 0 0\ncpu0 100 2 3 4 5 6 7 80 9 9\ncpu1 50 0 0 0 0 0 0 0 0 0\nintr 1\n",
        );
        assert_eq!(before[0], ("cpu0".to_owned(), TICK * 127));
        let passed = Duration::from_millis(500);
        let now =
            parse("cpu0 140 2 3 14 5 6 7 80 9 9\ncpu1 60 0 0 0 0 0 0 40 0 0\ncpu2 1 0 0 0 0 0 0 0 0 0\n");
        assert_eq!(pause(passed, &before, &now), Duration::from_millis(400));
        assert_eq!(pause(passed, &before, &[]), Duration::ZERO);
    }

    #[test]
    fn this_machines_own_cpus_are_watched() {
        assert!(!own_times().is_empty());
        assert!(Watch::start().long_pause().is_none_or(|pause| pause >= LONG));
    }
}
