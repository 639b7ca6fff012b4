//! Interpreters that were found and are not profiled.

use std::collections::{HashMap, HashSet};

use super::tracked::RefusedProcess;

/// Different reasons for refusals kept.
const MAX_REFUSALS: usize = 256;
/// Processes kept for each of them, to be counted once.
const MAX_PROCESSES: usize = 1 << 12;
/// Processes that have a reason each, at most; anybody can make any number of them.
const MAX_EACH: usize = 10;
/// Stands for those beyond.
const MORE_REFUSALS: &str = "more different interpreters than are listed";

/// Reasons, each with its processes.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    by_reason: HashMap<(String, Option<u32>), Refused>,
    each: HashSet<u32>,
}

#[derive(Debug)]
struct Refused {
    first: u32,
    pids: HashSet<u32>,
}

impl Refusals {
    /// Remembers why a process is not profiled. Reasons contain what targets say of themselves, so there may be any number
    /// of them.
    pub(super) fn add(&mut self, pid: u32, text: String) {
        self.insert((text, None), pid);
    }

    /// The same, for each of the first processes by itself.
    pub(super) fn add_each(&mut self, pid: u32, text: String) {
        if self.each.len() < MAX_EACH {
            self.each.insert(pid);
        }
        let of_one = self.each.contains(&pid).then_some(pid);
        self.insert((text, of_one), pid);
    }

    fn insert(&mut self, reason: (String, Option<u32>), pid: u32) {
        let reason = if self.by_reason.len() < MAX_REFUSALS || self.by_reason.contains_key(&reason) {
            reason
        } else {
            (MORE_REFUSALS.to_owned(), None)
        };
        let refused = self.by_reason.entry(reason).or_insert_with(|| Refused {
            first: pid,
            pids: HashSet::new(),
        });
        if refused.pids.len() < MAX_PROCESSES {
            refused.pids.insert(pid);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = RefusedProcess> {
        self.by_reason.iter().map(|((text, _), refused)| RefusedProcess {
            pid: refused.first,
            others: refused.pids.len().saturating_sub(1),
            text: text.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_processes_with_a_line_each_makes_a_list_of_bounded_length() {
        let mut refusals = Refusals::default();
        for pid in 0..2_000 {
            refusals.add_each(pid, "no answer".to_owned());
        }
        let listed: Vec<_> = refusals.iter().collect();
        let alone = listed.iter().filter(|refused| refused.others == 0);
        assert_eq!((alone.count(), listed.len()), (MAX_EACH, MAX_EACH + 1));
        assert!(
            listed
                .iter()
                .any(|refused| refused.others == 2_000 - MAX_EACH - 1)
        );
    }

    #[test]
    fn any_number_of_reasons_makes_a_list_of_bounded_length() {
        let mut refusals = Refusals::default();
        for pid in 0..3 * MAX_REFUSALS as u32 {
            refusals.add(pid, format!("reason {pid}"));
            refusals.add(pid, "reason 0".to_owned());
        }
        let listed: Vec<_> = refusals.iter().collect();
        assert_eq!(listed.len(), MAX_REFUSALS + 1);
        assert!(listed.iter().any(|refused| refused.text == MORE_REFUSALS));
        assert!(listed.contains(&RefusedProcess {
            pid: 0,
            others: 3 * MAX_REFUSALS - 1,
            text: "reason 0".to_owned()
        }));
    }
}
