//! How many definitions a CPU sends of one process: a program can make functions without end, and must neither fill the
//! ring nor keep user space busy.
//!
//! What a process has been sent is kept as the time at which it is made up for. So it needs no clock of its own, and
//! nothing has to be done for a process that is quiet.

/// Time that a byte stands for: 2 MB a second.
const NS_PER_BYTE: u64 = 500;
/// How far a process may be ahead of that: 1 MB, about 900 functions.
const AHEAD_NS: u64 = 500_000_000;

/// Budgets on each CPU, by process id; processes that share one begin again in turn.
pub const BUDGETS: u32 = 256;

/// What one CPU has sent of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct DefinitionBudget {
    /// `ProcessEntry::incarnation` of the process.
    incarnation: u64,
    /// When what was sent is made up for, `CLOCK_MONOTONIC`, nanoseconds.
    paid_ns: u64,
}

impl DefinitionBudget {
    /// That of this process, if it is the one that had this budget before; else a new one.
    #[inline(always)]
    #[must_use]
    pub const fn of(self, incarnation: u64) -> Self {
        let paid_ns = if self.incarnation == incarnation {
            self.paid_ns
        } else {
            0
        };
        Self { incarnation, paid_ns }
    }

    /// Whether another definition may be sent. Then it may be of any size: what is too much is made up for later.
    #[inline(always)]
    #[must_use]
    pub const fn allows(&self, now_ns: u64) -> bool {
        self.paid_ns <= now_ns.saturating_add(AHEAD_NS)
    }

    /// As it is after so many bytes have been sent.
    #[inline(always)]
    #[must_use]
    pub const fn after(self, bytes: u32, now_ns: u64) -> Self {
        let from_ns = if self.paid_ns < now_ns {
            now_ns
        } else {
            self.paid_ns
        };
        Self {
            incarnation: self.incarnation,
            paid_ns: from_ns.saturating_add(bytes as u64 * NS_PER_BYTE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DefinitionBudget;

    const SECOND_NS: u64 = 1_000_000_000;

    /// Definitions of 1,000 bytes that are sent at this time, if as many are wanted.
    fn sent(budget: &mut DefinitionBudget, wanted: u32, now_ns: u64) -> u32 {
        let mut sent = 0;
        while sent < wanted && budget.allows(now_ns) {
            *budget = budget.after(1_000, now_ns);
            sent += 1;
        }
        sent
    }

    #[test]
    fn a_deep_stack_of_new_functions_is_sent_at_once_and_then_so_many_a_second() {
        let mut budget = DefinitionBudget::default().of(7);
        assert_eq!(sent(&mut budget, 900, SECOND_NS), 900);
        assert_eq!(sent(&mut budget, 2_000, SECOND_NS), 101);
        let per_second: u32 = (1..=100)
            .map(|sample| sent(&mut budget, 2_000, SECOND_NS + sample * SECOND_NS / 100))
            .sum();
        assert_eq!(per_second, 2_000);
    }

    #[test]
    fn what_a_process_did_not_use_it_cannot_save_up() {
        let mut budget = DefinitionBudget::default().of(7);
        assert_eq!(sent(&mut budget, 1, SECOND_NS), 1);
        assert_eq!(sent(&mut budget, 5_000, 3_600 * SECOND_NS), 1_001);
    }

    #[test]
    fn another_process_has_a_budget_of_its_own() {
        let mut budget = DefinitionBudget::default().of(7);
        sent(&mut budget, 5_000, SECOND_NS);
        assert!(!budget.of(7).allows(SECOND_NS));
        assert!(budget.of(8).allows(SECOND_NS));
    }

    #[test]
    fn no_size_and_no_time_overflows() {
        let budget = DefinitionBudget::default().of(7).after(u32::MAX, u64::MAX);
        assert!(budget.allows(u64::MAX));
        assert!(!budget.allows(0));
    }
}
