//! Whom a lost worker is charged to, and what follows from that.

use std::collections::{HashMap, HashSet};
use std::fmt;

/// When so many of a culprit's processes have cost workers (at both tries), none of its unseen processes is looked at.
const FOR_THE_UNSEEN: usize = 2;
/// The same for processes that have been looked at before.
const FOR_ANYTHING: usize = 8;
/// Culprits and processes remembered, at most. Each of them cost a worker.
const MAX_REMEMBERED: usize = 1 << 16;

/// Who is answerable for a process: the user it runs as, in the container it is in.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Culprit {
    /// Effective user id; `None` when the process was gone.
    pub user: Option<u32>,
    /// The container's id, if it is in one.
    pub container: Option<String>,
}

/// `user 1000`, `user 0 in container 4c01...`.
impl fmt::Display for Culprit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.user {
            Some(user) => write!(f, "user {user}")?,
            None => f.write_str("an unknown user")?,
        }
        match &self.container {
            Some(container) => write!(f, " in container {container}"),
            None => Ok(()),
        }
    }
}

/// What has been charged so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    lost: HashMap<Culprit, usize>,
    /// Processes about which a question was given up.
    given_up: HashSet<u32>,
}

impl Budget {
    /// Whether nobody has been charged.
    pub(super) fn is_untouched(&self) -> bool {
        self.lost.is_empty()
    }

    /// Workers were lost over a process of this culprit.
    pub(super) fn charge(&mut self, culprit: Culprit) {
        if self.lost.len() < MAX_REMEMBERED || self.lost.contains_key(&culprit) {
            *self.lost.entry(culprit).or_default() += 1;
        }
    }

    /// No question about this process is asked any more.
    pub(super) fn give_up(&mut self, pid: u32) {
        if self.given_up.len() < MAX_REMEMBERED {
            self.given_up.insert(pid);
        }
    }

    /// Whether questions about this process were given up.
    pub(super) fn is_given_up(&self, pid: u32) -> bool {
        self.given_up.contains(&pid)
    }

    /// Another process has this id now.
    pub(super) fn forget(&mut self, pid: u32) {
        self.given_up.remove(&pid);
    }

    /// Whether a question about a process of this culprit may be asked, while workers are stuck over `stuck` of its
    /// processes. `is_new` says that the process was not looked at before.
    pub(super) fn judge(&self, culprit: &Culprit, is_new: bool, stuck: usize) -> Allowed {
        let lost = self.lost.get(culprit).copied().unwrap_or(0);
        let (most, at_stake) = if is_new {
            (FOR_THE_UNSEEN, lost + stuck)
        } else {
            (FOR_ANYTHING, stuck)
        };
        if lost >= most {
            Allowed::No
        } else if at_stake >= FOR_THE_UNSEEN {
            Allowed::NotYet
        } else {
            Allowed::Yes
        }
    }
}

/// Whether a question may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Yes,
    /// Once it is known what becomes of the workers that are stuck.
    NotYet,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: u32, container: Option<&str>) -> Culprit {
        Culprit {
            user: Some(user),
            container: container.map(str::to_owned),
        }
    }

    #[test]
    fn two_processes_that_cost_workers_bar_what_is_new_of_this_user_in_this_container_only() {
        let mut budget = Budget::default();
        let culprit = user(0, Some("4c01"));
        budget.charge(culprit.clone());
        assert_eq!(budget.judge(&culprit, true, 0), Allowed::Yes);
        assert_eq!(budget.judge(&culprit, true, 1), Allowed::NotYet);
        assert_eq!(budget.judge(&culprit, false, 1), Allowed::Yes);
        budget.charge(culprit.clone());
        assert_eq!(budget.judge(&culprit, true, 0), Allowed::No);
        assert_eq!(budget.judge(&culprit, false, 0), Allowed::Yes);
        assert_eq!(budget.judge(&culprit, false, 2), Allowed::NotYet);
        for other in [user(0, None), user(1, Some("4c01")), user(0, Some("4c02"))] {
            assert_eq!(budget.judge(&other, true, 0), Allowed::Yes, "{other}");
        }
        for _ in 0..8 {
            budget.charge(culprit.clone());
        }
        assert_eq!(budget.judge(&culprit, false, 0), Allowed::No);
        assert_eq!(culprit.to_string(), "user 0 in container 4c01");
    }
}
