//! Which processes are profiled, from their first instruction to their last: keeps what the kernel half
//! knows of processes in step with the host.
//!
//! Fork, exec and exit come as events; `/proc` is read once at start, and for a process when there is reason to look
//! at it. Asks `inspect` what a process is, `identity` and `filter` whether it is wanted, and `kernel` to enter it
//! (`entering`); reads no target memory itself. An answer that is late is taken in when it comes.

mod answers;
mod children;
mod entering;
mod family;
mod judging;
mod looks;
mod pending;
mod refusals;
mod tracked;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::ids::ProcessKey;
use crate::inspect::Inspectors;
use crate::kernel::Kernel;
use crate::proc::{self, is_alive};
use crate::processes::command_line;
use crate::processes::filter::Filter;
use crate::processes::identity::Identities;
use crate::wire::decode::{ProcessChange, ProcessView};

use self::children::Children;
use self::family::descendants;
use self::looks::Looks;
use self::pending::PendingLook;
use self::refusals::Refusals;
use self::tracked::flags_of;
pub use self::tracked::{Arrival, RefusedProcess, TrackedProcess};

/// Which processes are profiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Every Python process, now and later.
    All,
    /// These processes.
    Processes {
        /// As the initial pid namespace counts.
        pids: Vec<u32>,
        /// Whether their children, and theirs, are profiled too.
        follow_children: bool,
    },
}

/// The processes of a recording.
pub struct Tracker {
    target: Target,
    filter: Filter,
    identities: Identities,
    inspectors: Inspectors,
    /// Looks that have not been answered.
    pending: Vec<PendingLook>,
    tracked: HashMap<ProcessKey, TrackedProcess>,
    current: HashMap<u32, ProcessKey>,
    ended: Vec<ProcessKey>,
    arrived: Vec<Arrival>,
    /// Arguments of processes that executed a program and have not been judged yet.
    executed: HashMap<u32, (u64, String)>,
    followed: HashSet<u32>,
    looks: Looks,
    refusals: Refusals,
    children: Children,
}

impl Tracker {
    /// Tracks nothing yet. Of the target's processes only those are profiled that the filter wants.
    #[must_use]
    pub fn new(target: Target, filter: Filter) -> Self {
        Self {
            target,
            filter,
            identities: Identities::default(),
            inspectors: Inspectors::start(),
            pending: Vec::new(),
            tracked: HashMap::new(),
            current: HashMap::new(),
            ended: Vec::new(),
            arrived: Vec::new(),
            executed: HashMap::new(),
            followed: HashSet::new(),
            looks: Looks::default(),
            refusals: Refusals::default(),
            children: Children::default(),
        }
    }

    /// The workers that look at processes.
    #[must_use]
    pub fn inspectors(&self) -> Inspectors {
        self.inspectors.clone()
    }

    /// Judges what runs already. Whoever does not answer is judged later, or refused.
    pub fn scan(&mut self, kernel: &mut Kernel) {
        let (pids, attempt) = match &self.target {
            // One of them may just have been started: the loader is still at work.
            Target::Processes { pids, .. } => (pids.clone(), 0),
            Target::All => (proc::pids().unwrap_or_default(), looks::LATE),
        };
        for pid in &pids {
            self.follow(*pid);
            self.ask_look(kernel, *pid, attempt);
        }
        self.settle_all(kernel);
        if let Target::Processes {
            follow_children: true,
            ..
        } = self.target
        {
            // Their entries are in place, so whoever is forked from now on is reported.
            for pid in descendants(&pids) {
                self.follow(pid);
                self.ask_look(kernel, pid, looks::LATE);
            }
            self.settle_all(kernel);
        } else if self.reports_children() {
            for pid in descendants(&pids) {
                self.claim_child(kernel, pid);
                self.ask_look(kernel, pid, looks::LATE);
            }
            self.settle_all(kernel);
        }
    }

    /// Profiles one more process, which may just have been started.
    pub fn add(&mut self, kernel: &mut Kernel, pid: u32) {
        if let Target::Processes { pids, .. } = &mut self.target {
            pids.push(pid);
        }
        self.follow(pid);
        self.ask_look(kernel, pid, 0);
        self.settle_all(kernel);
        // From the claim on children are reported. It may have had some before: `timeout 5 python3` forks at once.
        let is_followed = !self.reports_children();
        for child in descendants(&[pid]) {
            if is_followed {
                self.follow(child);
            } else {
                self.claim_child(kernel, child);
            }
            self.ask_look(kernel, child, 0);
        }
        self.settle_all(kernel);
    }

    /// Takes note of a process event.
    pub fn observe(&mut self, kernel: &mut Kernel, event: &ProcessView<'_>) {
        let key = ProcessKey {
            tgid: event.tgid,
            incarnation: event.incarnation,
        };
        match event.change {
            ProcessChange::Fork if self.reports_children() => {
                let is_python = self.current.contains_key(&event.parent_tgid);
                self.children.forked(key.tgid, event.parent_tgid, is_python);
            }
            ProcessChange::Fork => self.forked(kernel, key, event.parent_tgid),
            ProcessChange::Exec => self.executed(key, event),
            ProcessChange::Exit => {
                // Another process may have its id by now, and may have been looked at before this event was read.
                let is_current = self.current.get(&key.tgid).is_none_or(|current| *current == key);
                if is_current || self.target != Target::All {
                    self.end(key.tgid);
                }
                self.followed.remove(&key.tgid);
                self.inspectors.renew(key.tgid);
                self.children.exited(key.tgid);
            }
            ProcessChange::Changed => self.judge_again(kernel, event.tgid),
            ProcessChange::Unknown => {
                if !self.current.contains_key(&event.tgid) && !self.executed.contains_key(&event.tgid) {
                    self.look(kernel, event.tgid, looks::LATE);
                }
            }
        }
    }

    /// Looks again at processes whose time has come, and takes in answers that were late.
    pub fn poll(&mut self, kernel: &mut Kernel) {
        self.inspectors.pump();
        self.settle(kernel);
        for (pid, attempt) in self.looks.take_due() {
            self.look(kernel, pid, attempt);
        }
    }

    /// Judges again whoever may have changed its user: the kernel does not say so. Only root can become anybody, so this
    /// looks at root's processes. Called every second.
    pub fn follow_users(&mut self, kernel: &mut Kernel) {
        if !self.filter.looks_at_users() {
            return;
        }
        let of_root = |key: &&ProcessKey| {
            let process = self.tracked.get(key);
            process.is_some_and(|process| process.identity.user == 0)
        };
        let pids: Vec<u32> = self
            .current
            .values()
            .filter(of_root)
            .map(|key| key.tgid)
            .collect();
        for pid in pids {
            self.judge_again(kernel, pid);
        }
    }

    /// Ends processes that are gone although no event said so: it was lost to a full ring. Called now and then.
    pub fn sweep(&mut self, kernel: &mut Kernel) {
        let keys: Vec<ProcessKey> = self.current.values().copied().collect();
        for key in keys.into_iter().filter(|key| !is_alive(key.tgid)) {
            kernel.remove_process(key);
            self.end(key.tgid);
        }
    }

    fn arrive(&mut self, process: ProcessKey, parent: Option<ProcessKey>) {
        self.arrived.push(Arrival { process, parent });
    }

    fn follow(&mut self, pid: u32) {
        if self.target != Target::All {
            self.followed.insert(pid);
        }
    }

    fn is_wanted(&self, pid: u32) -> bool {
        match self.target {
            Target::All => true,
            Target::Processes { .. } => self.followed.contains(&pid),
        }
    }

    /// A child is what its parent is; the kernel half has entered it already.
    fn forked(&mut self, kernel: &mut Kernel, key: ProcessKey, parent: u32) {
        self.follow(key.tgid);
        if self.is_entered(key) {
            return;
        }
        self.end(key.tgid);
        let parent_key = self.current.get(&parent).copied();
        let parent = parent_key.and_then(|key| self.tracked.get(&key)).cloned();
        match parent {
            Some(parent) => {
                if parent.admitted {
                    self.arrive(key, parent_key);
                }
                let copied = flags_of(parent.admitted);
                let child = TrackedProcess {
                    is_inherited: true,
                    ..parent
                };
                self.tracked.insert(key, child);
                self.current.insert(key.tgid, key);
                match kernel.process(key) {
                    // The parent was judged again after the kernel half copied its entry.
                    Some(entry) if entry.flags != copied => self.judge_again(kernel, key.tgid),
                    Some(_) => {}
                    // It has neither ended nor executed another program.
                    None if kernel.current_process(key.tgid) == Some(key) => {
                        self.enter_copy(kernel, key, parent_key);
                    }
                    None => {}
                }
            }
            None => self.look(kernel, key.tgid, looks::LATE),
        }
    }

    /// Another program: what was known of the process ended with the old one.
    fn executed(&mut self, key: ProcessKey, event: &ProcessView<'_>) {
        if self.is_entered(key) {
            return;
        }
        self.end(key.tgid);
        self.inspectors.renew(key.tgid);
        if !self.is_wanted(key.tgid) {
            if self.reports_children() {
                self.children.executed(key.tgid, key.incarnation);
                self.looks.arrange(key.tgid, 0);
            }
            return;
        }
        let arguments = event.arguments().map(String::from_utf8_lossy);
        self.executed
            .insert(key.tgid, (key.incarnation, command_line::text(arguments)));
        self.looks.arrange(key.tgid, 0);
    }

    /// Whether what an event tells of is over: this very process, or what it executed after that, was entered before the
    /// event was read, by a look for another reason. To end and enter it again would lose the names that the kernel half has
    /// sent of it, and it sends them once.
    fn is_entered(&self, key: ProcessKey) -> bool {
        let current = self.current.get(&key.tgid);
        current.is_some_and(|current| current.incarnation >= key.incarnation)
    }

    fn end(&mut self, tgid: u32) {
        if let Some(key) = self.current.remove(&tgid) {
            self.ended.push(key);
        }
        self.executed.remove(&tgid);
    }

    /// Something that the filter looks at may have changed.
    fn judge_again(&mut self, kernel: &mut Kernel, pid: u32) {
        let Some(key) = self.current.get(&pid).copied() else {
            return;
        };
        let about = self.inspectors.about(pid);
        let identity = about.map(|about| self.identify(about));
        let (Some(identity), Some(process)) = (identity, self.tracked.get_mut(&key)) else {
            return;
        };
        let admitted = self.filter.admits(pid, &identity);
        let is_new = admitted && !process.admitted;
        process.admitted = admitted;
        process.identity = Arc::new(identity);
        process.is_inherited = false;
        if is_new {
            self.arrive(key, None);
        }
        if let Err(error) = kernel.change_process(key, |entry| entry.flags = flags_of(admitted)) {
            // The entry stays as it was; the next change tries again.
            log::debug!("process {pid}: {error}");
        }
    }
}
