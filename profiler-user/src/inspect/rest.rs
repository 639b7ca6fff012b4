//! Whether a whole process stays off its CPUs while it is read: then nothing of its memory changes. (Another process that shares
//! some of it may still write there.)

use crate::proc;
use crate::proc::switches::{Switches, times_on};

/// Threads of a process that are looked at; of one with more nothing is said.
const MOST_THREADS: usize = 64;

/// The threads of a process, none of them on a CPU.
#[derive(Debug)]
pub(super) struct Rest {
    pid: u32,
    /// Each with how often it was put on a CPU.
    threads: Vec<(u32, u64)>,
}

impl Rest {
    /// `None` if a thread is on a CPU, or there are too many.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let threads = proc::threads(pid).ok()?;
        if threads.len() > MOST_THREADS {
            return None;
        }
        let off = |tid: u32| {
            let switches = Switches::read(pid, tid).ok().filter(Switches::is_off)?;
            Some((tid, switches.on))
        };
        let threads = threads.into_iter().map(off).collect::<Option<Vec<_>>>()?;
        Some(Self { pid, threads })
    }

    /// Whether none has run since then. A thread that is new was made by one that has.
    pub(super) fn lasts(&self) -> bool {
        let mut threads = self.threads.iter();
        threads.all(|(tid, on)| times_on(self.pid, *tid).is_ok_and(|now| now == *on))
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    use super::Rest;

    #[test]
    fn a_process_that_sleeps_is_at_rest_and_this_one_is_not() {
        assert!(Rest::of(std::process::id()).is_none(), "this thread runs");
        let mut child = Command::new("sleep")
            .arg("100")
            .stdout(Stdio::null())
            .spawn()
            .expect("it exists");
        let end = Instant::now() + Duration::from_secs(20);
        let mut is_at_rest = false;
        while !is_at_rest && Instant::now() < end {
            is_at_rest = Rest::of(child.id()).is_some_and(|rest| rest.lasts());
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().expect("own child");
        child.wait().expect("own child");
        assert!(is_at_rest);
    }
}
