//! What is said of processes that could not be looked at because nobody answered: anybody can have any number of them.

use crate::workers::Unanswered;

/// Processes that get a line each, at most.
const MAX_NAMED: usize = 10;

/// What was not answered, by process.
#[derive(Debug, Default)]
pub(super) struct UnansweredLooks {
    named: Vec<(u32, String)>,
    others: usize,
}

impl UnansweredLooks {
    /// Takes in a process.
    pub(super) fn add(&mut self, pid: u32, reason: &Unanswered) {
        if self.named.len() < MAX_NAMED {
            self.named.push((pid, reason.to_string()));
        } else {
            self.others += 1;
        }
    }

    /// The first ones, with the reason of each.
    pub(super) fn named(&self) -> impl Iterator<Item = (u32, &str)> {
        self.named.iter().map(|(pid, reason)| (*pid, reason.as_str()))
    }

    /// `and 12 more processes, for these or similar reasons`; nothing when all are named.
    pub(super) fn others(&self) -> Option<String> {
        match self.others {
            0 => None,
            1 => Some("and another process, for such a reason".to_owned()),
            others => Some(format!("and {others} more processes, for such reasons")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::UnansweredLooks;
    use crate::workers::Unanswered;

    #[test]
    fn ten_are_named_and_the_others_counted() {
        let mut looks = UnansweredLooks::default();
        for pid in 1..=10 {
            looks.add(pid, &Unanswered::Lost);
        }
        assert_eq!(looks.others(), None);
        looks.add(11, &Unanswered::Lost);
        assert_eq!(
            looks.others().as_deref(),
            Some("and another process, for such a reason")
        );
        for pid in 12..=2_000 {
            looks.add(pid, &Unanswered::Lost);
        }
        assert_eq!(
            looks.named().map(|(pid, _)| pid).collect::<Vec<_>>(),
            (1..=10).collect::<Vec<_>>()
        );
        assert_eq!(
            looks.others().as_deref(),
            Some("and 1990 more processes, for such reasons")
        );
    }
}
