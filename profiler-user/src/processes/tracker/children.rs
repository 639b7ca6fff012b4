//! Children of recorded processes that are not recorded themselves: whether they ran Python, so that the user can be told
//! that `--subprocesses` would have shown them.

use std::collections::{HashMap, HashSet};

/// Children kept in mind at the same time; further ones are not counted.
const MAX_CHILDREN: usize = 1 << 16;

/// Children of processes whose children are not profiled.
#[derive(Debug, Default)]
pub(super) struct Children {
    /// Those that run the interpreter of their parent, and have executed no other program yet.
    copies: HashSet<u32>,
    /// Those that were seen to run an interpreter, with the incarnation that they had then, if that is known.
    pythons: HashMap<u32, Option<u64>>,
    /// Those that ran Python and have ended, or run another program now.
    gone: u64,
}

impl Children {
    /// A child of a recorded process, or of one of these.
    pub(super) fn forked(&mut self, pid: u32, parent: u32, parent_is_recorded: bool) {
        let is_copy =
            parent_is_recorded || self.copies.contains(&parent) || self.pythons.contains_key(&parent);
        if is_copy && self.copies.len() < MAX_CHILDREN {
            self.copies.insert(pid);
        }
    }

    /// Another program: a child that only started it has run no Python worth speaking of. A look may have seen this very
    /// program before its event was read.
    pub(super) fn executed(&mut self, pid: u32, incarnation: u64) {
        self.copies.remove(&pid);
        if self.pythons.get(&pid) != Some(&Some(incarnation)) {
            self.gone += u64::from(self.pythons.remove(&pid).is_some());
        }
    }

    pub(super) fn exited(&mut self, pid: u32) {
        self.gone += u64::from(self.copies.remove(&pid));
        self.gone += u64::from(self.pythons.remove(&pid).is_some());
    }

    /// A look at it has seen an interpreter.
    pub(super) fn ran_python(&mut self, pid: u32, incarnation: Option<u64>) {
        if self.pythons.len() < MAX_CHILDREN && !self.copies.contains(&pid) {
            self.pythons.insert(pid, incarnation);
        }
    }

    /// How many ran Python so far.
    pub(super) fn count(&self) -> u64 {
        (self.copies.len() + self.pythons.len()) as u64 + self.gone
    }
}

#[cfg(test)]
mod tests {
    use super::Children;

    #[test]
    fn children_count_that_ran_python_themselves() {
        let mut children = Children::default();
        // A pool: forks of a recorded process, one of them still there, and a fork of a fork.
        for pid in [2, 3] {
            children.forked(pid, 1, true);
        }
        children.forked(4, 3, false);
        children.exited(2);
        assert_eq!(children.count(), 3);
        // `subprocess.run(["ls"])`: a fork that executes something else at once.
        children.forked(5, 1, true);
        children.executed(5, 1);
        children.exited(5);
        assert_eq!(children.count(), 3);
        // `timeout 5 python3 x.py`, and what that forks.
        children.forked(7, 6, false);
        children.executed(7, 1);
        children.ran_python(7, None);
        children.forked(8, 7, false);
        children.exited(7);
        children.exited(8);
        assert_eq!(children.count(), 5);
    }

    #[test]
    fn a_child_that_was_seen_twice_counts_once() {
        let mut children = Children::default();
        children.forked(2, 1, true);
        children.ran_python(2, None);
        children.ran_python(9, None);
        children.ran_python(9, None);
        assert_eq!(children.count(), 2);
    }

    #[test]
    fn a_child_that_was_seen_before_its_exec_was_reported_counts_once() {
        let mut children = Children::default();
        children.ran_python(2, Some(7));
        children.executed(2, 7);
        children.ran_python(2, Some(7));
        assert_eq!(children.count(), 1);
        // It becomes another Python program.
        children.executed(2, 8);
        children.ran_python(2, Some(8));
        children.exited(2);
        assert_eq!(children.count(), 2);
    }
}
