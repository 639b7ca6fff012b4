//! A user id that nobody else has, for workers that read what strangers wrote.
//!
//! Whoever has the same user id as a process may end it, trace it and change its limits. So it must be an id that no
//! process has and that nobody can get: one that is not in the files that give ids to users, and not in the ranges from
//! which services and containers take theirs.

use std::collections::HashSet;
use std::fs;
use std::ops::Range;

use crate::proc;

/// Ids that nobody hands out: above what sssd maps from a directory (up to 2,000,200,000), below what systemd keeps for
/// images made elsewhere (from 2,147,352,576). Ids from 2,147,483,648 on are not portable.
const UNUSED: Range<u32> = 2_000_200_001..2_147_352_576;
/// Ids that are tried. The first one is free, unless somebody provokes a collision.
const TRIES: usize = 64;
/// Bytes read of a file that gives ids to users.
const MAX_BYTES: usize = 16 << 20;

/// An id for user and group that is nobody's now. It is drawn at random, so that two workers do not share one either.
pub(super) fn draw() -> Option<u32> {
    let taken = Taken::read();
    (0..TRIES)
        .map(|_| fastrand::u32(UNUSED))
        .find(|id| taken.is_free(*id))
}

/// Ids that belong to somebody.
#[derive(Debug, Default)]
struct Taken {
    ids: HashSet<u32>,
    ranges: Vec<Range<u64>>,
}

impl Taken {
    fn read() -> Self {
        let mut taken = Self::default();
        for path in ["/etc/passwd", "/etc/group"] {
            taken.add_ids(&text(path));
        }
        for path in ["/etc/subuid", "/etc/subgid"] {
            taken.add_ranges(&text(path));
        }
        for pid in proc::pids().unwrap_or_default() {
            taken.ids.extend(proc::all_ids(pid).unwrap_or_default());
        }
        taken
    }

    /// `name:password:id:...`, as in `passwd(5)` and `group(5)`.
    fn add_ids(&mut self, text: &str) {
        let ids = text
            .lines()
            .filter_map(|line| line.split(':').nth(2)?.parse::<u32>().ok());
        self.ids.extend(ids);
    }

    /// `name:first:count`, as in `subuid(5)`.
    fn add_ranges(&mut self, text: &str) {
        let range = |line: &str| {
            let mut fields = line.split(':').skip(1).map(str::parse);
            let (first, count): (u64, u64) = (fields.next()?.ok()?, fields.next()?.ok()?);
            Some(first..first.saturating_add(count))
        };
        self.ranges.extend(text.lines().filter_map(range));
    }

    fn is_free(&self, id: u32) -> bool {
        !self.ids.contains(&id) && !self.ranges.iter().any(|range| range.contains(&u64::from(id)))
    }
}

fn text(path: &str) -> String {
    let mut bytes = fs::read(path).unwrap_or_default();
    bytes.truncate(MAX_BYTES);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_users_groups_ranges_and_processes_are_taken() {
        let mut taken = Taken::read();
        assert!(!taken.is_free(0), "root's");
        taken.add_ids("name:x:2000200007:1::/:/bin/sh\nbroken\n::\n");
        taken.add_ranges("name:2000300000:65536\nname:x:y\nname:4000000000:18446744073709551615\n");
        for id in [2_000_200_007, 2_000_300_000, 2_000_365_535, 4_000_000_001] {
            assert!(!taken.is_free(id), "{id}");
        }
        for id in [2_000_200_008, 2_000_299_999, 2_000_365_536] {
            assert!(taken.is_free(id), "{id}");
        }
    }

    #[test]
    fn what_is_drawn_is_nobodys_and_differs() {
        let (one, other) = (draw().expect("one is free"), draw().expect("one is free"));
        assert_ne!(one, other);
        assert!(UNUSED.contains(&one) && UNUSED.contains(&other));
    }
}
