//! Whom a lost worker is charged to, and what follows from that.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use super::culprit::{Culprit, Tenant};

/// When so many of a culprit's processes have cost workers (at both tries), none of its unseen processes is looked at.
const FOR_THE_UNSEEN: usize = 2;
/// The same for processes that have been looked at before.
const FOR_ANYTHING: usize = 8;
/// The same for all culprits of a tenant: for their unseen processes, and for those that have been looked at before.
const FOR_THE_UNSEEN_OF_A_TENANT: usize = 6;
const FOR_ANYTHING_OF_A_TENANT: usize = 12;
/// Workers that have been given up and are still there. Beyond, nothing is looked at of tenants that have cost any.
const MAX_LEFT_BEHIND: usize = 64;
/// Culprits, tenants and processes remembered, at most. Each of them cost a worker.
const MAX_REMEMBERED: usize = 1 << 16;

/// What has been charged so far.
#[derive(Debug, Default)]
pub(super) struct Budget {
    lost: HashMap<Culprit, usize>,
    lost_by_tenant: HashMap<Tenant, usize>,
    /// Processes about which a question was given up.
    given_up: HashSet<u32>,
}

/// What may become a charge: workers that are at questions about somebody's processes for long.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stuck {
    /// Of the culprit.
    pub(super) of_culprit: usize,
    /// Of its tenant, the culprit's included; also questions that have cost a worker and are asked once more.
    pub(super) of_tenant: usize,
}

impl Budget {
    /// Whether nobody has been charged.
    pub(super) fn is_untouched(&self) -> bool {
        self.lost.is_empty()
    }

    /// Workers were lost over a process of this culprit.
    pub(super) fn charge(&mut self, culprit: Culprit) {
        add(&mut self.lost_by_tenant, culprit.tenant.clone());
        add(&mut self.lost, culprit);
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

    /// Whether a question about a process of this culprit may be asked, while workers are stuck over its processes. `is_new`
    /// says that the process was not looked at before; `left_behind` is how many workers have been given up and are still
    /// there.
    pub(super) fn judge(&self, culprit: &Culprit, is_new: bool, stuck: Stuck, left_behind: usize) -> Allowed {
        let lost = self.lost.get(culprit).copied().unwrap_or(0);
        let by_tenant = self.lost_by_tenant.get(&culprit.tenant).copied().unwrap_or(0);
        let (most, most_of_tenant) = if is_new {
            (FOR_THE_UNSEEN, FOR_THE_UNSEEN_OF_A_TENANT)
        } else {
            (FOR_ANYTHING, FOR_ANYTHING_OF_A_TENANT)
        };
        let is_full = left_behind >= MAX_LEFT_BEHIND;
        if lost >= most {
            return Allowed::No;
        }
        if by_tenant >= most_of_tenant || is_full && by_tenant > 0 {
            return Allowed::NotOfTenant;
        }
        let at_stake = stuck.of_culprit + if is_new { lost } else { 0 };
        let is_tenant_at_stake = is_new && by_tenant + stuck.of_tenant >= most_of_tenant;
        if at_stake >= FOR_THE_UNSEEN || is_tenant_at_stake || is_full && stuck.of_tenant > 0 {
            return Allowed::NotYet;
        }
        Allowed::Yes
    }
}

fn add<K: Eq + Hash>(counts: &mut HashMap<K, usize>, of: K) {
    if counts.len() < MAX_REMEMBERED || counts.contains_key(&of) {
        *counts.entry(of).or_default() += 1;
    }
}

/// Whether a question may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    Yes,
    /// Once it is known what becomes of the workers that are stuck.
    NotYet,
    /// The culprit has used up what it has.
    No,
    /// Its tenant has.
    NotOfTenant,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(user: u32, container: Option<&str>) -> Culprit {
        Culprit {
            user: Some(user),
            container: container.map(str::to_owned),
            tenant: container.map_or(Tenant::User(user), |path| Tenant::Container(path.to_owned())),
        }
    }

    /// Of the same tenant, whatever else it makes up.
    fn made_up(number: u32) -> Culprit {
        Culprit {
            user: Some(100_000 + number),
            container: Some(number.to_string()),
            tenant: Tenant::User(1_000),
        }
    }

    fn stuck(of_culprit: usize) -> Stuck {
        Stuck {
            of_culprit,
            of_tenant: of_culprit,
        }
    }

    #[test]
    fn two_processes_that_cost_workers_bar_what_is_new_of_this_user_in_this_container_only() {
        let mut budget = Budget::default();
        let culprit = user(0, Some("4c01"));
        let judge = |budget: &Budget, culprit: &Culprit, is_new, count| {
            budget.judge(culprit, is_new, stuck(count), 0)
        };
        budget.charge(culprit.clone());
        assert_eq!(judge(&budget, &culprit, true, 0), Allowed::Yes);
        assert_eq!(judge(&budget, &culprit, true, 1), Allowed::NotYet);
        assert_eq!(judge(&budget, &culprit, false, 1), Allowed::Yes);
        budget.charge(culprit.clone());
        assert_eq!(judge(&budget, &culprit, true, 0), Allowed::No);
        assert_eq!(judge(&budget, &culprit, false, 0), Allowed::Yes);
        assert_eq!(judge(&budget, &culprit, false, 2), Allowed::NotYet);
        for other in [user(0, None), user(1, Some("4c01")), user(0, Some("4c02"))] {
            assert_eq!(judge(&budget, &other, true, 0), Allowed::Yes, "{other}");
        }
        for _ in 0..8 {
            budget.charge(culprit.clone());
        }
        assert_eq!(judge(&budget, &culprit, false, 0), Allowed::No);
        assert_eq!(culprit.to_string(), "user 0 in container 4c01");
    }

    #[test]
    fn whatever_a_tenant_makes_up_its_culprits_share_one_allowance() {
        let mut budget = Budget::default();
        for number in 0..5 {
            assert_eq!(budget.judge(&made_up(number), true, stuck(0), 0), Allowed::Yes);
            budget.charge(made_up(number));
        }
        let of_tenant = Stuck {
            of_culprit: 0,
            of_tenant: 1,
        };
        assert_eq!(budget.judge(&made_up(5), true, of_tenant, 0), Allowed::NotYet);
        budget.charge(made_up(5));
        assert_eq!(budget.judge(&made_up(6), true, stuck(0), 0), Allowed::NotOfTenant);
        assert_eq!(budget.judge(&made_up(6), false, stuck(0), 0), Allowed::Yes);
        assert_eq!(budget.judge(&user(1_001, None), true, stuck(0), 0), Allowed::Yes);
        for number in 6..12 {
            budget.charge(made_up(number));
        }
        assert_eq!(
            budget.judge(&made_up(99), false, stuck(0), 0),
            Allowed::NotOfTenant
        );
    }

    #[test]
    fn with_many_workers_left_behind_only_those_who_have_cost_none_are_looked_at() {
        let mut budget = Budget::default();
        budget.charge(user(7, None));
        let full = MAX_LEFT_BEHIND;
        assert_eq!(
            budget.judge(&user(7, None), true, stuck(0), full - 1),
            Allowed::Yes
        );
        assert_eq!(
            budget.judge(&user(7, None), true, stuck(0), full),
            Allowed::NotOfTenant
        );
        assert_eq!(
            budget.judge(&user(7, None), false, stuck(0), full),
            Allowed::NotOfTenant
        );
        assert_eq!(budget.judge(&user(8, None), true, stuck(0), full), Allowed::Yes);
        assert_eq!(
            budget.judge(&user(8, None), true, stuck(1), full),
            Allowed::NotYet
        );
    }
}
