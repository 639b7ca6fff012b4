//! Why a process that exists does not run, although nothing that it does itself keeps it: somebody stopped it, or froze its
//! cgroup. For messages: such a process gives no samples, and that is not because it had nothing to do.

use crate::container::freezer::{self, Frozen};
use crate::proc;

/// Why a process does not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Halt {
    /// By `SIGSTOP`, or Ctrl-Z in its terminal.
    Stopped,
    /// By a debugger, at this moment.
    Traced,
    /// With its whole cgroup, as a paused container is.
    Frozen(Frozen),
}

impl Halt {
    /// Why this process does not run; `None` when nothing of the kind holds it, or it is gone.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        match proc::stat(proc::visible_id(pid)).ok()?.state {
            'T' => Some(Self::Stopped),
            't' => Some(Self::Traced),
            _ => freezer::frozen(&proc::cgroup(pid).ok()?).map(Self::Frozen),
        }
    }

    /// After `process 7 `.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Stopped => "is stopped (SIGSTOP, or Ctrl-Z in its terminal)".to_owned(),
            Self::Traced => "is stopped by a debugger".to_owned(),
            Self::Frozen(frozen) => format!("is frozen, with all of its cgroup {}", frozen.cgroup),
        }
    }
}

/// Whether a process has ended and is only still listed: its parent has not asked what became of it. The parent.
#[must_use]
pub fn parent_of_zombie(pid: u32) -> Option<u32> {
    let stat = proc::stat(pid).ok()?;
    (stat.state == 'Z' && !proc::is_alive(pid)).then_some(stat.parent)
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, Signal, kill_process};

    use super::{Halt, parent_of_zombie};

    fn sleeper() -> Child {
        Command::new("sleep").arg("100").spawn().expect("`sleep` exists")
    }

    fn within_a_second<T>(look: impl Fn() -> Option<T>) -> Option<T> {
        let end = Instant::now() + Duration::from_secs(1);
        loop {
            let seen = look();
            if seen.is_some() || Instant::now() > end {
                return seen;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn a_stopped_process_and_a_zombie_are_told_from_one_that_sleeps() {
        let mut child = sleeper();
        let pid = child.id();
        assert_eq!((Halt::of(pid), parent_of_zombie(pid)), (None, None));
        kill_process(Pid::from_child(&child), Signal::STOP).expect("it runs");
        assert_eq!(within_a_second(|| Halt::of(pid)), Some(Halt::Stopped));
        child.kill().expect("it is there");
        let parent = within_a_second(|| parent_of_zombie(pid));
        assert_eq!(parent, Some(std::process::id()));
        child.wait().expect("it was killed");
        assert_eq!((Halt::of(pid), parent_of_zombie(pid)), (None, None));
    }
}
