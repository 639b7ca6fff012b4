//! Which processes are profiled, from their first instruction to their last: keeps the kernel half's `PROCESSES` map
//! in step with the host.
//!
//! Fork, exec and exit come as events; `/proc` is read once at start, and for a process when there is reason to look
//! at it. Uses `interpreter` to judge a process and `bpf` to enter it; never reads target memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use profiler_common::process::{PROCESS_FOLLOW_CHILDREN, PROCESS_PYTHON, ProcessEntry};

use crate::bpf::{Kernel, LoadError};
use crate::code::store::ProcessKey;
use crate::decode::{ProcessChange, ProcessView};
use crate::interpreter::{Finding, Inspector, Interpreter};
use crate::process;
use crate::process::root::{Root, RootId};

/// When a process that shows no interpreter is looked at again. The first looks follow an exec, while the dynamic
/// loader is at work (an interpreter needs some 10 ms from exec to its first line of Python, much more when it waits for a
/// CPU); the later ones find a libpython that was `dlopen`ed.
const LOOKS: &[Duration] = &[
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(3),
    Duration::from_millis(6),
    Duration::from_millis(12),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(400),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
];
/// First look that does not wait for the loader.
const LATE_LOOK: usize = 10;

/// What is profiled.
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

/// A profiled process.
#[derive(Clone, Debug)]
pub struct TrackedProcess {
    /// Arguments joined by spaces.
    pub command_line: String,
    /// What it runs.
    pub interpreter: Box<Interpreter>,
    /// Its root directory.
    pub root: Option<RootId>,
}

/// An interpreter that is not profiled, and why.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Refusal {
    /// One of the processes.
    pub pid: u32,
    /// What it runs, and the reason.
    pub text: String,
}

/// See the module.
pub struct Tracker {
    target: Target,
    inspector: Inspector,
    tracked: HashMap<ProcessKey, TrackedProcess>,
    current: HashMap<u32, ProcessKey>,
    ended: Vec<ProcessKey>,
    /// Arguments of processes that executed a program and have not been judged yet.
    executed: HashMap<u32, (u64, String)>,
    followed: HashSet<u32>,
    due: BTreeMap<Instant, Vec<(u32, usize)>>,
    refusals: HashMap<String, Refusal>,
}

impl Tracker {
    /// Tracks nothing yet.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self {
            target,
            inspector: Inspector::default(),
            tracked: HashMap::new(),
            current: HashMap::new(),
            ended: Vec::new(),
            executed: HashMap::new(),
            followed: HashSet::new(),
            due: BTreeMap::new(),
            refusals: HashMap::new(),
        }
    }

    /// Judges what runs already.
    ///
    /// # Errors
    /// When the kernel half refuses an entry.
    pub fn scan(&mut self, kernel: &mut Kernel) -> Result<(), LoadError> {
        let (pids, attempt) = match &self.target {
            // One of them may just have been started: the loader is still at work.
            Target::Processes { pids, .. } => (pids.clone(), 0),
            Target::All => (process::pids().unwrap_or_default(), LATE_LOOK),
        };
        for pid in &pids {
            self.follow(*pid);
            self.look(kernel, *pid, attempt)?;
        }
        if let Target::Processes {
            follow_children: true,
            ..
        } = self.target
        {
            // Their entries are in place, so whoever is forked from now on is reported.
            for pid in descendants(&pids) {
                self.follow(pid);
                self.look(kernel, pid, LATE_LOOK)?;
            }
        }
        Ok(())
    }

    /// Profiles one more process, which may just have been started.
    ///
    /// # Errors
    /// When the kernel half refuses an entry.
    pub fn add(&mut self, kernel: &mut Kernel, pid: u32) -> Result<(), LoadError> {
        if let Target::Processes { pids, .. } = &mut self.target {
            pids.push(pid);
        }
        self.follow(pid);
        self.look(kernel, pid, 0)
    }

    /// Takes note of a process event.
    ///
    /// # Errors
    /// When the kernel half refuses an entry.
    pub fn observe(&mut self, kernel: &mut Kernel, event: &ProcessView<'_>) -> Result<(), LoadError> {
        let key = ProcessKey {
            tgid: event.tgid,
            incarnation: event.incarnation,
        };
        match event.change {
            ProcessChange::Fork => return self.forked(kernel, key, event.parent_tgid),
            ProcessChange::Exec => self.executed(key, event),
            ProcessChange::Exit => self.end(event.tgid),
            ProcessChange::Unknown => {
                if !self.current.contains_key(&event.tgid) && !self.executed.contains_key(&event.tgid) {
                    self.look(kernel, event.tgid, LATE_LOOK)?;
                }
            }
        }
        Ok(())
    }

    /// Looks again at processes whose time has come.
    ///
    /// # Errors
    /// When the kernel half refuses an entry.
    pub fn poll(&mut self, kernel: &mut Kernel) -> Result<(), LoadError> {
        let now = Instant::now();
        while let Some(entry) = self.due.first_entry() {
            if *entry.key() > now {
                break;
            }
            for (pid, attempt) in entry.remove() {
                self.look(kernel, pid, attempt)?;
            }
        }
        Ok(())
    }

    /// Ends processes that are gone although no event said so: it was lost to a full ring. Called now and then.
    pub fn sweep(&mut self, kernel: &mut Kernel) {
        let gone: Vec<u32> = self
            .current
            .keys()
            .copied()
            .filter(|pid| !is_alive(*pid))
            .collect();
        for pid in gone {
            kernel.remove_process(pid);
            self.end(pid);
        }
    }

    /// When [`Self::poll`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first_key_value().map(|(when, _)| *when)
    }

    /// A profiled process, also shortly after its end.
    #[must_use]
    pub fn get(&self, key: ProcessKey) -> Option<&TrackedProcess> {
        self.tracked.get(&key)
    }

    /// Processes profiled now.
    #[must_use]
    pub fn alive(&self) -> usize {
        self.current.len()
    }

    /// Whether nothing that was asked for is left: all given processes ended.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match &self.target {
            Target::All => false,
            Target::Processes { pids, .. } => {
                self.current.is_empty() && !pids.iter().any(|pid| is_alive(*pid))
            }
        }
    }

    /// Processes that ended; their samples have been read once this is called after a drain. They are forgotten.
    pub fn take_ended(&mut self) -> Vec<ProcessKey> {
        for key in &self.ended {
            self.tracked.remove(key);
        }
        std::mem::take(&mut self.ended)
    }

    /// Interpreters found but not profiled.
    pub fn refusals(&self) -> impl Iterator<Item = &Refusal> {
        self.refusals.values()
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

    /// A child is what its parent is; the kernel half has entered it already.
    fn forked(&mut self, kernel: &mut Kernel, key: ProcessKey, parent: u32) -> Result<(), LoadError> {
        self.end(key.tgid);
        self.follow(key.tgid);
        let parent = self
            .current
            .get(&parent)
            .and_then(|key| self.tracked.get(key))
            .cloned();
        match parent {
            Some(parent) => {
                self.tracked.insert(key, parent);
                self.current.insert(key.tgid, key);
                Ok(())
            }
            None => self.look(kernel, key.tgid, LATE_LOOK),
        }
    }

    /// Another program: what was known of the process ended with the old one.
    fn executed(&mut self, key: ProcessKey, event: &ProcessView<'_>) {
        self.end(key.tgid);
        if !self.is_wanted(key.tgid) {
            return;
        }
        let arguments: Vec<_> = event.arguments().map(String::from_utf8_lossy).collect();
        self.executed
            .insert(key.tgid, (key.incarnation, arguments.join(" ")));
        self.look_later(key.tgid, 0);
    }

    fn end(&mut self, tgid: u32) {
        if let Some(key) = self.current.remove(&tgid) {
            self.ended.push(key);
        }
        self.executed.remove(&tgid);
    }

    fn look_later(&mut self, pid: u32, attempt: usize) {
        if let Some(delay) = LOOKS.get(attempt) {
            self.due
                .entry(Instant::now() + *delay)
                .or_default()
                .push((pid, attempt));
        }
    }

    /// Judges one process and enters it, or arranges for another look.
    fn look(&mut self, kernel: &mut Kernel, pid: u32, attempt: usize) -> Result<(), LoadError> {
        if self.current.contains_key(&pid) {
            return Ok(());
        }
        match self.inspector.inspect(pid) {
            Ok(Finding::Python(interpreter)) => self.enter(kernel, pid, interpreter)?,
            Ok(Finding::Refused(refused)) => {
                let text = refused.to_string();
                self.refusals.entry(text.clone()).or_insert(Refusal { pid, text });
                self.enter_foreign(kernel, pid);
            }
            Ok(Finding::NotPython { may_still_load: true }) if attempt + 1 < LATE_LOOK => {
                self.look_later(pid, attempt + 1);
            }
            Ok(Finding::NotPython { .. }) => {
                self.enter_foreign(kernel, pid);
                self.look_later(pid, (attempt + 1).max(LATE_LOOK));
            }
            // Most often the process has ended.
            Err(error) => {
                log::debug!("process {pid}: {error}");
                self.executed.remove(&pid);
            }
        }
        Ok(())
    }

    fn enter(
        &mut self,
        kernel: &mut Kernel,
        pid: u32,
        interpreter: Box<Interpreter>,
    ) -> Result<(), LoadError> {
        let (incarnation, command_line) = self.identity(pid);
        let root = Root::of_process(pid).ok().map(|root| root.id());
        let entry = ProcessEntry {
            incarnation,
            lookup: interpreter.lookup,
            layout: kernel.layout_index(&interpreter.layout)?,
            flags: PROCESS_PYTHON | self.flags(),
        };
        let key = ProcessKey {
            tgid: pid,
            incarnation,
        };
        self.tracked.insert(
            key,
            TrackedProcess {
                command_line,
                interpreter,
                root,
            },
        );
        self.current.insert(pid, key);
        if let Err(error) = kernel.set_process(pid, &entry) {
            let text = format!("no room for another process ({error})");
            self.refusals.entry(text.clone()).or_insert(Refusal { pid, text });
            self.end(pid);
        }
        self.leave_if_gone(kernel, pid);
        Ok(())
    }

    /// Tells the kernel half not to ask about this process again.
    fn enter_foreign(&mut self, kernel: &mut Kernel, pid: u32) {
        self.executed.remove(&pid);
        if self.flags() == 0 {
            return;
        }
        let entry = ProcessEntry {
            flags: PROCESS_FOLLOW_CHILDREN,
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

    /// Incarnation and command line: from the exec event, which outlives the process, or from `/proc`.
    fn identity(&mut self, pid: u32) -> (u64, String) {
        if let Some((incarnation, command_line)) = self.executed.remove(&pid)
            && !command_line.is_empty()
        {
            return (incarnation, command_line);
        }
        let command_line = match process::command_line(pid) {
            Ok(arguments) if !arguments.is_empty() => arguments.join(" "),
            _ => process::stat(pid).map_or_else(|_| "<unknown>".to_owned(), |stat| stat.name),
        };
        (crate::recorder::monotonic_ns(), command_line)
    }
}

/// Whether the process exists and is more than a zombie. One whose first thread has exited looks like a zombie, but has
/// other threads.
fn is_alive(pid: u32) -> bool {
    process::stat(pid).is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X') || stat.threads > 1)
}

/// Processes that run below these: children, and theirs.
fn descendants(pids: &[u32]) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = process::pids()
        .unwrap_or_default()
        .into_iter()
        .filter_map(|pid| Some((pid, process::stat(pid).ok()?.parent)))
        .collect();
    let mut family = pids.to_vec();
    let mut next = 0;
    while let Some(&parent) = family.get(next) {
        next += 1;
        let children = parents
            .iter()
            .filter(|(_, of)| *of == parent)
            .map(|(pid, _)| *pid);
        let children: Vec<u32> = children.filter(|pid| !family.contains(pid)).collect();
        family.extend(children);
    }
    family.split_off(pids.len())
}
