//! What a process is, and its entry in the kernel half's `PROCESSES` map.

use std::sync::Arc;

use profiler_common::contract::process::{
    PROCESS_EXCLUDED, PROCESS_FOLLOW_CHILDREN, PROCESS_PYTHON, ProcessEntry,
};

use super::tracked::TrackedProcess;
use super::{Target, Tracker, looks};
use crate::ids::ProcessKey;
use crate::kernel::Kernel;
use crate::language::python::{Finding, Interpreter};
use crate::proc::root::Root;
use crate::proc::{self, is_alive};
use crate::processes::identity::Identity;
use crate::processes::survey;

/// A process whose interpreter lays out its memory unlike any of those known, of which the kernel half has no room for more.
const TOO_MANY_LAYOUTS: &str = "there is no room for another layout of interpreter memory";

impl Tracker {
    /// Flags of every entry.
    fn flags(&self) -> u32 {
        match self.target {
            Target::All
            | Target::Processes {
                follow_children: true,
                ..
            } => PROCESS_FOLLOW_CHILDREN,
            Target::Processes { .. } => 0,
        }
    }

    /// Judges one process and enters it, or arranges for another look.
    pub(super) fn look(&mut self, kernel: &mut Kernel, pid: u32, attempt: usize) {
        if self.current.contains_key(&pid) {
            return;
        }
        match survey::inspect(&mut self.inspector, pid) {
            Ok(Finding::Python(interpreter)) => self.enter(kernel, pid, interpreter),
            Ok(Finding::Refused(refused)) => {
                if self
                    .identities
                    .of_process(pid)
                    .is_ok_and(|identity| self.filter.admits(pid, &identity))
                {
                    self.refusals.add(pid, refused.to_string());
                }
                self.enter_foreign(kernel, pid);
            }
            Ok(Finding::NotPython { may_still_load: true }) if attempt + 1 < looks::LATE => {
                if self.target != Target::All {
                    // Its next exec may come before the next look.
                    self.mark_foreign(kernel, pid);
                }
                self.looks.arrange(pid, attempt + 1);
            }
            Ok(Finding::NotPython { .. }) => {
                self.enter_foreign(kernel, pid);
                self.looks.arrange(pid, (attempt + 1).max(looks::LATE));
            }
            // Most often the process has ended.
            Err(error) => {
                log::debug!("process {pid}: {error}");
                self.executed.remove(&pid);
            }
        }
    }

    fn enter(&mut self, kernel: &mut Kernel, pid: u32, interpreter: Box<Interpreter>) {
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
                self.enter_foreign(kernel, pid);
                return;
            }
        };
        let (incarnation, command_line) = self.incarnation(pid, &identity);
        let root = Root::of_process(proc::visible_id(pid)).ok().map(|root| root.id());
        let entry = ProcessEntry {
            incarnation,
            lookup: interpreter.lookup,
            layout,
            flags: self.flags_of(admitted),
            ..ProcessEntry::default()
        };
        let key = ProcessKey {
            tgid: pid,
            incarnation,
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
        if let Err(error) = kernel.set_process(pid, &entry) {
            self.refusals
                .add(pid, format!("no room for another process ({error})"));
            self.end(pid);
        }
        self.leave_if_gone(kernel, pid);
    }

    fn enter_foreign(&mut self, kernel: &mut Kernel, pid: u32) {
        self.executed.remove(&pid);
        self.mark_foreign(kernel, pid);
    }

    /// Tells the kernel half not to ask about this process again, but to say when it executes another program.
    fn mark_foreign(&mut self, kernel: &mut Kernel, pid: u32) {
        let entry = ProcessEntry {
            flags: self.flags(),
            ..ProcessEntry::default()
        };
        match kernel.set_process(pid, &entry) {
            Ok(()) => self.leave_if_gone(kernel, pid),
            // It will be asked about again, once a second at most.
            Err(error) => log::debug!("process {pid}: {error}"),
        }
    }

    /// An exit between the look and the entry would leave the entry behind, for the next process of this id.
    fn leave_if_gone(&mut self, kernel: &mut Kernel, pid: u32) {
        if !is_alive(pid) {
            kernel.remove_process(pid);
            self.end(pid);
        }
    }

    /// Flags of the entry of a supported interpreter.
    pub(super) fn flags_of(&self, admitted: bool) -> u32 {
        self.flags()
            | if admitted {
                PROCESS_PYTHON
            } else {
                PROCESS_EXCLUDED
            }
    }

    /// Incarnation and command line: from the exec event, which outlives the process, or from `/proc`.
    fn incarnation(&mut self, pid: u32, identity: &Identity) -> (u64, String) {
        if let Some((incarnation, command_line)) = self.executed.remove(&pid)
            && !command_line.is_empty()
        {
            return (incarnation, command_line);
        }
        let command_line = if identity.arguments.is_empty() {
            identity.comm.clone()
        } else {
            identity.arguments.join(" ")
        };
        (crate::clock::monotonic_ns(), command_line)
    }
}
