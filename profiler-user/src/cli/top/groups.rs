//! Containers, their processes and their threads, each with what it took. Pure.

use ahash::{HashMap, RandomState};
use indexmap::IndexMap;

use super::amounts::{Amounts, Tally};
use crate::profile::{Process, Thread};

/// Groups that are kept; then those that were not seen for a minute go, and new ones are left out.
const MAX_GROUPS: usize = 1 << 14;
/// Intervals without a sample after which a group is no longer shown.
pub(super) const IDLE: u64 = 60;

/// What stands for all processes that are in no container.
const HOST: &str = "host";

/// Whose samples are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// Everybody's.
    #[default]
    Everything,
    /// Those of a container, by the name that is shown.
    Container(String),
    /// Those of a process.
    Process { container: String, pid: u32 },
    /// Those of a thread.
    Thread { container: String, pid: u32, tid: u32 },
}

impl Scope {
    pub(super) fn has(&self, process: &Process, thread: &Thread) -> bool {
        match self {
            Self::Everything => true,
            Self::Container(name) => container(process) == name,
            Self::Process { pid, .. } => process.pid == *pid,
            Self::Thread { pid, tid, .. } => process.pid == *pid && thread.tid == *tid,
        }
    }

    /// What it is part of.
    pub(super) fn parent(&self) -> Option<Self> {
        match self {
            Self::Everything | Self::Container(_) => None,
            Self::Process { container, .. } => Some(Self::Container(container.clone())),
            Self::Thread { container, pid, .. } => Some(Self::Process {
                container: container.clone(),
                pid: *pid,
            }),
        }
    }

    /// How far it is from the root of the tree.
    pub(super) fn depth(&self) -> usize {
        match self {
            Self::Everything | Self::Container(_) => 0,
            Self::Process { .. } => 1,
            Self::Thread { .. } => 2,
        }
    }
}

/// What is known of a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// For people; foreign.
    pub(super) name: String,
    pub(super) tally: Tally,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups(IndexMap<Scope, Group, RandomState>);

impl Groups {
    pub(super) fn add(&mut self, interval: u64, process: &Process, thread: &Thread, amounts: &Amounts) {
        let container = container(process).to_owned();
        let (pid, tid) = (process.pid, thread.tid);
        let levels = [
            (Scope::Container(container.clone()), container.clone()),
            (
                Scope::Process {
                    container: container.clone(),
                    pid,
                },
                format!("{pid} {}", process.command_line),
            ),
            (
                Scope::Thread { container, pid, tid },
                format!("{tid} {}", thread.name),
            ),
        ];
        for (scope, name) in levels {
            if self.0.len() >= MAX_GROUPS && !self.0.contains_key(&scope) {
                continue;
            }
            let group = self.0.entry(scope).or_default();
            group.name = name;
            group.tally.add(interval, amounts);
        }
    }

    /// Makes room, if there is little.
    pub(super) fn forget_old(&mut self, interval: u64) {
        if self.0.len() * 4 > MAX_GROUPS * 3 {
            self.0.retain(|_, group| group.tally.interval() + IDLE > interval);
        }
    }

    pub(super) fn name(&self, scope: &Scope) -> Option<&str> {
        self.0.get(scope).map(|group| &*group.name)
    }

    /// Those seen lately, each before its members; `is_before` orders the members of the same group.
    pub(super) fn tree(
        &self,
        interval: u64,
        mut is_before: impl FnMut(&Group, &Group) -> std::cmp::Ordering,
    ) -> Vec<(Scope, Group)> {
        let mut members: HashMap<Option<&Scope>, Vec<(&Scope, &Group)>> = HashMap::default();
        let parents: Vec<Option<Scope>> = self.0.keys().map(Scope::parent).collect();
        for ((scope, group), parent) in self.0.iter().zip(&parents) {
            if group.tally.interval() + IDLE > interval {
                members.entry(parent.as_ref()).or_default().push((scope, group));
            }
        }
        for members in members.values_mut() {
            members.sort_by(|(_, one), (_, other)| is_before(one, other));
        }
        let mut tree = Vec::new();
        let mut next: Vec<(&Scope, &Group)> = members.remove(&None).unwrap_or_default();
        next.reverse();
        while let Some((scope, group)) = next.pop() {
            tree.push((scope.clone(), group.clone()));
            if let Some(below) = members.remove(&Some(scope)) {
                next.extend(below.into_iter().rev());
            }
        }
        tree
    }
}

/// What the tree calls the container of a process.
fn container(process: &Process) -> &str {
    process
        .container
        .as_ref()
        .map_or(HOST, |container| container.short_name())
}
