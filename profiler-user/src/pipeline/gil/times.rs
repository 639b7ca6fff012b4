//! How long each thread waited for the GIL and held it, for the end report.

use std::collections::HashMap;
use std::time::Duration;

use crate::ids::ProcessKey;
use crate::profile::Process;
use crate::wire::assembly::Sample;

/// Threads told apart.
const MAX_THREADS: usize = 1 << 16;
/// Processes that are reported, and threads of each: those that waited longest.
const MAX_REPORTED: usize = 5;

/// Times of all threads.
#[derive(Debug, Default)]
pub(crate) struct GilTimes {
    processes: HashMap<ProcessKey, OfProcess>,
    /// Threads in all of them.
    threads: usize,
    /// Of threads that found no room.
    others: Times,
}

#[derive(Debug)]
struct OfProcess {
    process: Process,
    threads: HashMap<u32, OfThread>,
}

#[derive(Debug)]
struct OfThread {
    times: Times,
    comm: [u8; 16],
}

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    waited_ns: u64,
    held_ns: u64,
}

impl Times {
    fn add(&mut self, other: Self) {
        self.waited_ns = self.waited_ns.saturating_add(other.waited_ns);
        self.held_ns = self.held_ns.saturating_add(other.held_ns);
    }

    fn of_all(all: impl Iterator<Item = Self>) -> Self {
        let mut sum = Self::default();
        all.for_each(|times| sum.add(times));
        sum
    }
}

/// What is reported of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GilShare {
    /// As the initial pid namespace counts.
    pub pid: u32,
    /// Its arguments.
    pub command_line: String,
    /// How long its threads waited for the GIL, all together.
    pub waited: Duration,
    /// How long they held it, as far as they were sampled.
    pub held: Duration,
    /// Those of its threads that waited longest.
    pub threads: Vec<GilThread>,
    /// Further threads that waited or held it.
    pub others: usize,
}

/// The same of a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GilThread {
    /// As the initial pid namespace counts.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// How long it waited for the GIL.
    pub waited: Duration,
    /// How long it held it.
    pub held: Duration,
}

/// What is reported of all processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GilShares {
    /// Those whose threads waited longest.
    pub processes: Vec<GilShare>,
    /// Further processes whose threads waited.
    pub others: usize,
    /// How long threads waited that found no room to be told apart.
    pub untold: Duration,
}

impl GilTimes {
    /// A thread waited for the GIL.
    pub(crate) fn waited(&mut self, sample: &Sample, weight_ns: u64, describe: impl FnOnce() -> Process) {
        let times = Times {
            waited_ns: weight_ns,
            held_ns: 0,
        };
        self.add(sample, times, describe);
    }

    /// A thread held it.
    pub(crate) fn held(&mut self, sample: &Sample, weight_ns: u64, describe: impl FnOnce() -> Process) {
        let times = Times {
            waited_ns: 0,
            held_ns: weight_ns,
        };
        self.add(sample, times, describe);
    }

    fn add(&mut self, sample: &Sample, times: Times, describe: impl FnOnce() -> Process) {
        let known = self.processes.get_mut(&sample.process);
        if let Some(thread) = known.and_then(|process| process.threads.get_mut(&sample.tid)) {
            thread.times.add(times);
            thread.comm = sample.comm;
            return;
        }
        if self.threads >= MAX_THREADS {
            self.others.add(times);
            return;
        }
        self.threads += 1;
        let process = self.processes.entry(sample.process).or_insert_with(|| OfProcess {
            process: describe(),
            threads: HashMap::new(),
        });
        let thread = OfThread {
            times,
            comm: sample.comm,
        };
        process.threads.insert(sample.tid, thread);
    }

    /// What is reported; `name` says what a thread is called in Python.
    pub(crate) fn report(&self, name: impl Fn(ProcessKey, u32) -> Option<String>) -> GilShares {
        let sums = self.processes.iter().map(|(key, process)| {
            let times = process.threads.values().map(|thread| thread.times);
            (*key, process, Times::of_all(times))
        });
        let mut sums: Vec<_> = sums.filter(|(.., times)| times.waited_ns > 0).collect();
        sums.sort_by_key(|(key, _, times)| (std::cmp::Reverse(times.waited_ns), key.tgid));
        let reported = sums.iter().take(MAX_REPORTED);
        let processes = reported.map(|(key, process, times)| process.report(*key, *times, &name));
        GilShares {
            processes: processes.collect(),
            others: sums.len().saturating_sub(MAX_REPORTED),
            untold: Duration::from_nanos(self.others.waited_ns),
        }
    }
}

impl OfProcess {
    fn report(
        &self,
        key: ProcessKey,
        times: Times,
        name: &impl Fn(ProcessKey, u32) -> Option<String>,
    ) -> GilShare {
        let mut threads: Vec<(&u32, &OfThread)> = self.threads.iter().collect();
        threads.sort_by_key(|(tid, thread)| {
            let Times { waited_ns, held_ns } = thread.times;
            (std::cmp::Reverse((waited_ns, held_ns)), **tid)
        });
        let others = threads.len().saturating_sub(MAX_REPORTED);
        threads.truncate(MAX_REPORTED);
        let threads = threads.into_iter().map(|(tid, thread)| GilThread {
            tid: *tid,
            name: name(key, *tid).unwrap_or_else(|| {
                let text = thread.comm.split(|byte| *byte == 0).next();
                String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
            }),
            waited: Duration::from_nanos(thread.times.waited_ns),
            held: Duration::from_nanos(thread.times.held_ns),
        });
        GilShare {
            pid: key.tgid,
            command_line: self.process.command_line.clone(),
            waited: Duration::from_nanos(times.waited_ns),
            held: Duration::from_nanos(times.held_ns),
            threads: threads.collect(),
            others,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::GilTimes;
    use crate::ids::ProcessKey;
    use crate::profile::Process;
    use crate::wire::assembly::Sample;

    fn sample(tgid: u32, tid: u32) -> Sample {
        Sample {
            process: ProcessKey { tgid, incarnation: 1 },
            tid,
            comm: *b"worker\0\0\0\0\0\0\0\0\0\0",
            ..Sample::default()
        }
    }

    #[test]
    fn processes_and_threads_that_waited_longest_come_first_and_the_others_are_counted() {
        let mut times = GilTimes::default();
        let describe = || Process::default();
        for tgid in 1..=7 {
            for thread in 0..7 {
                let sample = sample(tgid, 10 * tgid + thread);
                times.waited(&sample, u64::from(tgid * 100 + thread), describe);
                times.held(&sample, 1, describe);
            }
        }
        // Nobody waits here.
        times.held(&sample(100, 100), 1_000_000, describe);
        let report = times.report(|_, tid| (tid == 76).then(|| "main".to_owned()));
        let pids: Vec<u32> = report.processes.iter().map(|process| process.pid).collect();
        assert_eq!((pids, report.others), (vec![7, 6, 5, 4, 3], 2));
        let first = &report.processes[0];
        assert_eq!(first.waited, Duration::from_nanos(7 * 700 + 21));
        assert_eq!((first.held, first.others), (Duration::from_nanos(7), 2));
        let names: Vec<(u32, &str)> = first
            .threads
            .iter()
            .map(|thread| (thread.tid, &*thread.name))
            .collect();
        assert_eq!(names[..2], [(76, "main"), (75, "worker")]);
    }

    #[test]
    fn threads_without_room_are_counted_together() {
        let mut times = GilTimes {
            threads: super::MAX_THREADS,
            ..GilTimes::default()
        };
        times.waited(&sample(1, 1), 5, Process::default);
        assert_eq!(times.report(|_, _| None).untold, Duration::from_nanos(5));
    }
}
