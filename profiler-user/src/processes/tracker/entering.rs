//! What a process is, and its entry in the kernel half's map of processes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use profiler_common::contract::process::{PROCESS_FOLLOW_CHILDREN, PROCESS_REPORT_CHILDREN, ProcessEntry};

use super::pending::{PendingLook, Purpose};
use super::tracked::{TrackedProcess, flags_of};
use super::{Target, Tracker, looks};
use crate::ids::ProcessKey;
use crate::inspect::{About, Found, InspectFailure, Look, Question};
use crate::kernel::{Kernel, LoadError};
use crate::language::python::Interpreter;
use crate::proc::{self, is_alive};
use crate::processes::command_line;
use crate::processes::identity::Identity;
use crate::workers::{Ticket, Unanswered};

/// The refusal when the kernel half has no room for another layout.
const TOO_MANY_LAYOUTS: &str = "there is no room for another layout of interpreter memory";
/// The refusal when the kernel half's maps have no room for another process.
const NO_ROOM: &str = "there is no room for another process in the kernel half's map";

/// The refusal of a process that may not be looked at; whoever shows it knows more about why.
const DENIED: &str = "there is no permission to look at it";

/// How long a recording waits for answers before it begins, or when a process is added to it: a process that does not
/// answer is given up after two seconds.
const SETTLE_AT_MOST: Duration = Duration::from_secs(5);
/// The same if all processes are recorded: one whose answer is late is recorded from then on.
const SETTLE_ALL_AT_MOST: Duration = Duration::from_millis(500);

impl Tracker {
    /// Flags of a process that is claimed.
    pub(super) fn flags(&self) -> u32 {
        match self.target {
            Target::All
            | Target::Processes {
                follow_children: true,
                ..
            } => PROCESS_FOLLOW_CHILDREN,
            Target::Processes { .. } => PROCESS_REPORT_CHILDREN,
        }
    }

    /// Judges one process and enters it, or arranges for another look. Waits for the answer for a moment only.
    pub(super) fn look(&mut self, kernel: &mut Kernel, pid: u32, attempt: usize) {
        if let Some(ticket) = self.ask_look(kernel, pid, attempt) {
            self.inspectors.wait_for(ticket);
            self.settle(kernel);
        }
    }

    /// Asks what a process is.
    pub(super) fn ask_look(&mut self, kernel: &mut Kernel, pid: u32, attempt: usize) -> Option<Ticket> {
        if self.current.contains_key(&pid) {
            return None;
        }
        if !self.is_wanted(pid) {
            return Some(self.ask(pid, attempt, Purpose::Child));
        }
        // Before it is looked at, so that what is found out is of no effect once it has executed another program; and the
        // kernel half need not ask about it, but says when it does.
        let claimed = kernel.claim_process(pid, self.flags());
        Some(self.ask(pid, attempt, Purpose::Record(claimed)))
    }

    fn ask(&mut self, pid: u32, attempt: usize, purpose: Purpose) -> Ticket {
        let ticket = self.inspectors.ask(&Question::Look { pid });
        self.pending.push(PendingLook {
            pid,
            attempt,
            purpose,
            ticket,
        });
        ticket
    }

    /// Takes in the answers that have come.
    pub(super) fn settle(&mut self, kernel: &mut Kernel) {
        for pending in std::mem::take(&mut self.pending) {
            let Some(look) = self.inspectors.take_look(pending.ticket) else {
                self.pending.push(pending);
                continue;
            };
            let pid = pending.pid;
            let claimed = match pending.purpose {
                Purpose::Record(claimed) => claimed,
                Purpose::Child => {
                    self.judge_child(kernel, pid, pending.attempt, look);
                    continue;
                }
            };
            let has_changed = claimed
                .as_ref()
                .is_ok_and(|key| kernel.current_process(pid) != Some(*key));
            if has_changed || self.current.contains_key(&pid) {
                // It is another process by now, and there is, or will be, a look at that one.
                continue;
            }
            self.judge(kernel, pid, pending.attempt, &claimed, look);
            match claimed {
                Ok(key) => self.leave_if_gone(kernel, key),
                // The kernel half will ask about it again, once a second at most.
                Err(error) => log::debug!("process {pid}: {error}"),
            }
        }
    }

    /// Waits for answers, before the recording begins.
    pub(super) fn settle_all(&mut self, kernel: &mut Kernel) {
        let late_at_most = match self.target {
            Target::All => SETTLE_ALL_AT_MOST,
            Target::Processes { .. } => SETTLE_AT_MOST,
        };
        self.inspectors.wait_for_all(SETTLE_AT_MOST);
        self.settle(kernel);
        let end = Instant::now() + late_at_most;
        while !self.pending.is_empty() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
            self.inspectors.wait_for_all(SETTLE_AT_MOST);
            self.settle(kernel);
        }
    }

    fn judge(
        &mut self,
        kernel: &mut Kernel,
        pid: u32,
        attempt: usize,
        claimed: &Result<ProcessKey, LoadError>,
        look: Result<Look, InspectFailure>,
    ) {
        let (found, about) = match look {
            Ok(Look { found, about }) => (found, about),
            Err(failure) => {
                log::debug!("process {pid}: {failure}");
                self.executed.remove(&pid);
                if matches!(failure, InspectFailure::Denied) && self.is_named(pid) {
                    self.refusals.add(pid, DENIED.to_owned());
                }
                // Most often the process has ended.
                if let InspectFailure::Unanswered(reason) = failure
                    && self.is_wanted_unseen(pid)
                {
                    let text = reason.to_string();
                    match reason {
                        // Of the host, not of this process.
                        Unanswered::NoWorker => self.refusals.add(pid, text),
                        Unanswered::Lost | Unanswered::Refused(_) | Unanswered::RefusedOf(_) => {
                            self.refusals.add_each(pid, text);
                        }
                    }
                }
                return;
            }
        };
        match (found, about) {
            (Found::Python(interpreter), Some(about)) => match claimed {
                Ok(key) => self.enter(kernel, *key, interpreter, about),
                Err(error) => self.refusals.add(pid, no_room(pid, error)),
            },
            (Found::Refused(refused), Some(about)) => {
                let identity = self.identities.of(about);
                if self.filter.admits(pid, &identity) {
                    self.refusals.add(pid, refused.text);
                }
                self.executed.remove(&pid);
            }
            (Found::NotPython { may_still_load: true }, _) if attempt + 1 < looks::LATE => {
                self.looks.arrange(pid, attempt + 1);
            }
            (Found::NotPython { .. }, _) => {
                self.executed.remove(&pid);
                self.looks.arrange(pid, (attempt + 1).max(looks::LATE));
            }
            // It has ended meanwhile.
            (Found::Python(_) | Found::Refused(_), None) => drop(self.executed.remove(&pid)),
        }
    }

    /// Whether it was asked for by its number.
    fn is_named(&self, pid: u32) -> bool {
        match &self.target {
            Target::Processes { pids, .. } => pids.contains(&pid),
            Target::All => false,
        }
    }

    /// Whether the filter wants a process, judged by what can be learnt of it without hanging.
    fn is_wanted_unseen(&mut self, pid: u32) -> bool {
        let (Ok(stat), Ok(user)) = (proc::stat(pid), proc::user(pid)) else {
            return false;
        };
        let about = About {
            user,
            threads: stat.threads,
            cpu_time: stat.cpu_time(),
            comm: stat.name,
            arguments: Vec::new(),
            root: None,
            cgroup: proc::cgroup(pid).unwrap_or_default(),
            parent: stat.parent,
            directory: PathBuf::new(),
        };
        let identity = self.identities.of(about);
        self.filter.admits(pid, &identity)
    }

    fn enter(&mut self, kernel: &mut Kernel, key: ProcessKey, interpreter: Box<Interpreter>, about: About) {
        let pid = key.tgid;
        let root = about.root;
        let identity = self.identify(about);
        let admitted = self.filter.admits(pid, &identity);
        let layout = match kernel.layout_index(&interpreter.layout) {
            Ok(layout) => layout,
            Err(error) => {
                log::debug!("process {pid}: {error}");
                self.refusals.add(pid, TOO_MANY_LAYOUTS.to_owned());
                self.executed.remove(&pid);
                return;
            }
        };
        let command_line = self.command_line(key, &identity);
        let entry = ProcessEntry {
            incarnation: key.incarnation,
            tgid: key.tgid,
            lookup: interpreter.lookup,
            layout,
            flags: flags_of(admitted),
            ..ProcessEntry::default()
        };
        self.tracked.insert(
            key,
            TrackedProcess {
                identity: Arc::new(identity),
                is_inherited: false,
                admitted,
                command_line,
                interpreter,
                root,
            },
        );
        self.current.insert(pid, key);
        if admitted {
            self.arrive(key, None);
        }
        if let Err(error) = kernel.set_process(&entry) {
            self.refusals.add(pid, no_room(pid, &error));
            self.end(pid);
        }
    }

    /// Who a process is, with what its parent says of it where that is tracked.
    pub(super) fn identify(&mut self, about: About) -> Identity {
        let mut identity = self.identities.of(about);
        let parent = self.current.get(&identity.parent);
        if let Some(parent) = parent.and_then(|key| self.tracked.get(key)) {
            identity.adopt(&parent.identity);
        }
        identity
    }

    /// Enters a forked child that the kernel half did not: its parent was not entered yet, or there was no room.
    pub(super) fn enter_copy(&mut self, kernel: &mut Kernel, key: ProcessKey, parent: Option<ProcessKey>) {
        let Some(entry) = parent.and_then(|parent| kernel.process(parent)) else {
            // The parent is gone too; the child is looked at by itself.
            self.end(key.tgid);
            self.looks.arrange(key.tgid, 0);
            return;
        };
        let entry = ProcessEntry {
            incarnation: key.incarnation,
            tgid: key.tgid,
            ..entry
        };
        if let Err(error) = kernel.set_process(&entry) {
            if entry.flags == flags_of(true) {
                self.refusals.add(key.tgid, no_room(key.tgid, &error));
            }
            self.end(key.tgid);
        }
    }

    /// An exit between the claim and now would leave the claim behind, for the next process of this id.
    fn leave_if_gone(&mut self, kernel: &mut Kernel, key: ProcessKey) {
        if !is_alive(key.tgid) {
            kernel.remove_process(key);
            self.end(key.tgid);
        }
    }

    /// Arguments: from the exec event, which outlives the process, or from `/proc`.
    fn command_line(&mut self, key: ProcessKey, identity: &Identity) -> String {
        if let Some((incarnation, command_line)) = self.executed.remove(&key.tgid)
            && incarnation == key.incarnation
            && !command_line.is_empty()
        {
            return command_line;
        }
        if identity.arguments.is_empty() {
            identity.comm.clone()
        } else {
            command_line::text(&identity.arguments)
        }
    }
}

fn no_room(pid: u32, error: &LoadError) -> String {
    log::debug!("process {pid}: {error}");
    NO_ROOM.to_owned()
}
