//! The processes that a command has started: all that run below its [runner](super::runner), which adopts the orphans.

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::proc::{self, Stat};

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct Relative {
    pub(super) pid: u32,
    stat: Stat,
}

impl Relative {
    /// The kernel's name of it, which it chose itself.
    pub(super) fn name(&self) -> &str {
        &self.stat.name
    }

    /// Sends it a signal. It may be gone, and its number may already be another process's, which gets none.
    pub(super) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(handle) = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
            return;
        };
        let is_same = proc::stat(self.pid).is_ok_and(|stat| stat.start_ticks == self.stat.start_ticks);
        if is_same && let Err(error) = pidfd_send_signal(&handle, signal) {
            log::debug!("process {}: {error}", self.pid);
        }
    }
}

/// Those that run now, in two lists: first those that end with the command, because they are in pyebpf's process group or
/// in one that the command made for itself; then the others.
pub(super) fn below(runner: u32, command: u32) -> (Vec<Relative>, Vec<Relative>) {
    let own = rustix::process::getpgrp().as_raw_nonzero().get().cast_unsigned();
    let all: Vec<(u32, Stat)> = proc::pids()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|pid| Some((pid, proc::stat(pid).ok()?)))
        .collect();
    let mut family = vec![runner];
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        next += 1;
        let children = all.iter().filter(|(_, stat)| stat.parent == parent);
        family.extend(children.map(|(pid, _)| *pid));
    }
    let (_, descendants) = family.split_at(1);
    let is_running =
        |(pid, stat): &&(u32, Stat)| descendants.contains(pid) && (!stat.is_exiting || proc::is_alive(*pid));
    all.iter()
        .filter(is_running)
        .map(|(pid, stat)| Relative {
            pid: *pid,
            stat: stat.clone(),
        })
        .partition(|relative| relative.stat.group == own || relative.stat.group == command)
}
