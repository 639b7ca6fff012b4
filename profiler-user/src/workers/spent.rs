//! How long a worker has been at a question. Time in which it waits for a CPU is not its fault, nor the culprit's: on a
//! crowded host everybody waits.

use std::fs;
use std::time::{Duration, Instant};

use crate::proc;

/// What the first look counts, at most.
const FIRST_AT_MOST: Duration = Duration::from_millis(5);

/// Time spent, by what it was spent on.
#[derive(Debug, Default)]
pub(super) struct Spent {
    /// Waiting in the kernel for something other than a CPU.
    pub(super) blocked: Duration,
    /// On a CPU.
    pub(super) computed: Duration,
    last: Option<Sight>,
}

/// What was seen of a process: of all its threads. Most workers have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sight {
    /// Before and after it was read: on a crowded host the reader, too, may wait for a CPU in between.
    began: Instant,
    ended: Instant,
    /// CPU time so far.
    cpu: Duration,
    /// Time so far in which it could run and had no CPU.
    delay: Duration,
    /// A thread of it runs or could run.
    is_runnable: bool,
}

impl Spent {
    /// Adds what the process `pid` has spent since the last look; at the first one, since `started`.
    pub(super) fn look(&mut self, pid: u32, started: Instant) {
        if let Some(now) = sight(pid) {
            self.add(now, started);
        }
    }

    fn add(&mut self, now: Sight, started: Instant) {
        match self.last.replace(now) {
            // It is blocked now. What it did before is not known: it may have waited for a CPU.
            None if !now.is_runnable => {
                self.blocked += now.began.saturating_duration_since(started).min(FIRST_AT_MOST);
            }
            None => {}
            Some(last) => {
                let cpu = now.cpu.saturating_sub(last.cpu);
                self.computed += cpu;
                if !now.is_runnable {
                    let delay = now.delay.saturating_sub(last.delay);
                    // Less than what the two numbers before cover, so that too little counts, not too much.
                    let passed = now.began.saturating_duration_since(last.ended);
                    self.blocked += passed.saturating_sub(cpu + delay);
                }
            }
        }
    }
}

/// CPU time of a process so far.
pub(super) fn cpu_time(pid: u32) -> Option<Duration> {
    Some(sight(pid)?.cpu)
}

fn sight(pid: u32) -> Option<Sight> {
    let began = Instant::now();
    let threads = proc::threads(pid).ok()?;
    // The states first: if none of them waits for a CPU then, the times below contain all their waiting so far.
    let states: Vec<_> = threads.iter().filter_map(|tid| proc::stat(*tid).ok()).collect();
    let times: Vec<_> = threads.iter().filter_map(|tid| times(*tid)).collect();
    let cpu = times.iter().map(|(cpu, _)| *cpu).sum();
    Some(Sight {
        began,
        cpu: if times.is_empty() {
            states.first()?.cpu_time()
        } else {
            cpu
        },
        delay: times.iter().map(|(_, delay)| *delay).sum(),
        is_runnable: states.iter().any(|thread| thread.state == 'R'),
        ended: Instant::now(),
    })
}

/// For how long a thread has been on a CPU, and for how long it has waited for one.
fn times(tid: u32) -> Option<(Duration, Duration)> {
    // "CPU time, time waited for a CPU, stretches of time on a CPU", nanoseconds (`CONFIG_SCHED_INFO`).
    let text = fs::read_to_string(format!("/proc/{tid}/schedstat")).ok()?;
    let mut numbers = text
        .split_ascii_whitespace()
        .map(|number| number.parse().ok().map(Duration::from_nanos));
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// What counts after looks at these times, each with CPU time, waiting time and whether it could run.
    fn spent(looks: &[(u32, u32, u32, bool)]) -> (Duration, Duration) {
        let started = Instant::now();
        let mut spent = Spent::default();
        for (at, cpu, delay, is_runnable) in looks {
            let now = Sight {
                began: started + *at * MS,
                ended: started + *at * MS,
                cpu: *cpu * MS,
                delay: *delay * MS,
                is_runnable: *is_runnable,
            };
            spent.add(now, started);
        }
        (spent.blocked, spent.computed)
    }

    #[test]
    fn waiting_for_a_cpu_counts_as_nothing() {
        assert_eq!(
            spent(&[(5, 0, 0, true), (500, 0, 0, true)]),
            (Duration::ZERO, Duration::ZERO)
        );
        // It had one for a moment in between, and is blocked since.
        assert_eq!(spent(&[(5, 0, 0, true), (500, 5, 480, false)]), (10 * MS, 5 * MS));
    }

    #[test]
    fn being_blocked_and_computing_count() {
        assert_eq!(
            spent(&[(5, 1, 0, false), (105, 1, 0, false)]),
            (105 * MS, Duration::ZERO)
        );
        assert_eq!(
            spent(&[(5, 5, 0, true), (105, 105, 0, true)]),
            (Duration::ZERO, 100 * MS)
        );
    }

    #[test]
    fn a_process_that_burns_and_one_that_sleeps_are_told_apart() {
        let mut burning = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("a shell");
        let mut sleeping = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .expect("sleep");
        let started = Instant::now();
        let (mut busy, mut idle) = (Spent::default(), Spent::default());
        while started.elapsed() < Duration::from_secs(20) && busy.computed < 100 * MS {
            std::thread::sleep(10 * MS);
            busy.look(burning.id(), started);
            idle.look(sleeping.id(), started);
        }
        for child in [&mut burning, &mut sleeping] {
            child.kill().expect("it is ours");
            child.wait().expect("it is ours");
        }
        assert!(busy.computed >= 100 * MS, "{busy:?}");
        assert!(idle.computed < 50 * MS && idle.blocked >= 50 * MS, "{idle:?}");
    }
}
