//! Whom a lost worker is charged to, and what follows for whom.

use std::collections::{HashMap, HashSet};
use std::fmt;

/// Processes over which workers were lost, each at two tries, after which nothing new of a culprit is looked at.
const FOR_THE_UNSEEN: u32 = 2;
/// The same for what is known already.
const FOR_ANYTHING: u32 = 8;
/// Culprits and processes remembered; there are about as many workers lost.
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
    lost: HashMap<Culprit, u32>,
    /// Processes of which a question was given up.
    given_up: HashSet<u32>,
}

impl Budget {
    /// Whether nobody was charged.
    pub(super) fn is_untouched(&self) -> bool {
        self.lost.is_empty()
    }

    /// Workers were lost over a process of this one.
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

    /// Whether a question about a process of this one may be asked; `is_new` says that it was not looked at before.
    pub(super) fn allows(&self, culprit: &Culprit, is_new: bool) -> bool {
        let most = if is_new { FOR_THE_UNSEEN } else { FOR_ANYTHING };
        self.lost.get(culprit).is_none_or(|lost| *lost < most)
    }

    /// Questions of one culprit that may be unanswered for long at the same time.
    pub(super) fn at_once() -> usize {
        FOR_THE_UNSEEN as usize
    }
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
        assert!(budget.allows(&culprit, true));
        budget.charge(culprit.clone());
        assert!(!budget.allows(&culprit, true) && budget.allows(&culprit, false));
        for other in [user(0, None), user(1, Some("4c01")), user(0, Some("4c02"))] {
            assert!(budget.allows(&other, true), "{other}");
        }
        for _ in 0..8 {
            budget.charge(culprit.clone());
        }
        assert!(!budget.allows(&culprit, false));
        assert_eq!(culprit.to_string(), "user 0 in container 4c01");
    }
}
