//! What a process is, and its entry in the kernel half's map of processes.

use std::sync::Arc;

use profiler_common::contract::process::{PROCESS_FOLLOW_CHILDREN, PROCESS_REPORT_CHILDREN, ProcessEntry};

use super::tracked::{TrackedProcess, flags_of};
use super::{Target, Tracker, looks};
use crate::ids::ProcessKey;
use crate::kernel::{Kernel, LoadError};
use crate::language::python::{Finding, Interpreter};
use crate::limits;
use crate::proc::root::Root;
use crate::proc::{self, is_alive};
use crate::processes::command_line;
use crate::processes::identity::Identity;
use crate::processes::survey;

/// A process whose interpreter lays out its memory unlike any of those known, of which the kernel half has no room for more.
const TOO_MANY_LAYOUTS: &str = "there is no room for another layout of interpreter memory";
/// A process beyond those that the kernel half's maps have room for.
const NO_ROOM: &str = "there is no room for another process in the kernel half's map";
/// A process that could not be looked at, because this process may not open another file.
const NO_DESCRIPTOR: &str =
    "the limit of open files (ulimit -n) was reached, so it could not be looked at in time";

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

    /// Judges one process and enters it, or arranges for another look.
    pub(super) fn look(&mut self, kernel: &mut Kernel, pid: u32, attempt: usize) {
        if self.current.contains_key(&pid) {
            return;
        }
        if !self.is_wanted(pid) {
            self.look_at_child(pid, attempt);
            return;
        }
        // Before it is looked at, so that what is found out is of no effect once it has executed another program; and the
        // kernel half need not ask about it, but says when it does.
        let claimed = kernel.claim_process(pid, self.flags());
        match survey::inspect(&mut self.inspector, pid) {
            Ok(Finding::Python(interpreter)) => match &claimed {
                Ok(key) => self.enter(kernel, *key, interpreter),
                Err(error) => self.refusals.add(pid, no_room(pid, error)),
            },
            Ok(Finding::Refused(refused)) => {
                if self
                    .identities
                    .of_process(pid)
                    .is_ok_and(|identity| self.filter.admits(pid, &identity))
                {
                    self.refusals.add(pid, refused.to_string());
                }
                self.executed.remove(&pid);
            }
            Ok(Finding::NotPython { may_still_load: true }) if attempt + 1 < looks::LATE => {
                self.looks.arrange(pid, attempt + 1);
            }
            Ok(Finding::NotPython { .. }) => {
                self.executed.remove(&pid);
                self.looks.arrange(pid, (attempt + 1).max(looks::LATE));
            }
            // Most often the process has ended.
            Err(error) => {
                log::debug!("process {pid}: {error}");
                if limits::is_file_limit(&error) {
                    self.refusals.add(pid, NO_DESCRIPTOR.to_owned());
                    self.looks.arrange(pid, (attempt + 1).max(looks::LATE));
                }
                self.executed.remove(&pid);
            }
        }
        match claimed {
            Ok(key) => self.leave_if_gone(kernel, key),
            // The kernel half will ask about it again, once a second at most.
            Err(error) => log::debug!("process {pid}: {error}"),
        }
    }

    fn enter(&mut self, kernel: &mut Kernel, key: ProcessKey, interpreter: Box<Interpreter>) {
        let pid = key.tgid;
        let Ok(identity) = self.identities.of_process(pid) else {
            self.executed.remove(&pid);
            return;
        };
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
        let root = Root::of_process(proc::visible_id(pid)).ok().map(|root| root.id());
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
