//! Which user may make processes of which other user ids: subordinate ids, from this host's `/etc/subuid` (`subuid(5)`).
//! Directory services are not asked.

use std::fs;
use std::ops::Range;

use super::root::root;
use super::users::Users;

/// Beneath a root.
const SUBUID: &str = "etc/subuid";

/// Bytes read of the file, at most.
const MAX_BYTES: usize = 16 << 20;

/// Ranges of user ids that belong to users.
#[derive(Clone, Debug, Default)]
pub struct Subordinates {
    ranges: Vec<(Range<u64>, u32)>,
}

impl Subordinates {
    /// Reads the file; none when it cannot be read.
    #[must_use]
    pub fn of_host(users: &Users) -> Self {
        let mut text = fs::read(root().join(SUBUID)).unwrap_or_default();
        text.truncate(MAX_BYTES);
        Self::parse(&String::from_utf8_lossy(&text), users)
    }

    /// `name-or-id:first:count`. Ranges of root belong to nobody: root has them given to containers.
    #[must_use]
    pub fn parse(text: &str, users: &Users) -> Self {
        let range = |line: &str| {
            let mut fields = line.split(':');
            let owner = users.id(fields.next()?)?;
            let (first, count): (u64, u64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            (owner != 0).then_some((first..first.saturating_add(count), owner))
        };
        Self {
            ranges: text.lines().filter_map(range).collect(),
        }
    }

    /// Whose a user id is, if it is a subordinate one.
    #[must_use]
    pub fn owner(&self, id: u32) -> Option<u32> {
        let of = |(range, owner): &(Range<u64>, u32)| range.contains(&u64::from(id)).then_some(*owner);
        self.ranges.iter().find_map(of)
    }
}

#[cfg(test)]
mod tests {
    use super::{Subordinates, Users};

    #[test]
    fn a_subordinate_id_belongs_to_the_user_of_its_range() {
        let text = "7:100000:65536\nroot:300000:65536\nnobody-of-that-name:400000:65536\n9:200000:1\nbroken\n9:x:y\n9:500000:18446744073709551615\n";
        let owners = Subordinates::parse(text, &Users::default());
        let ids = [
            99_999,
            100_000,
            165_535,
            165_536,
            200_000,
            200_001,
            300_000,
            400_000,
            u32::MAX,
        ];
        assert_eq!(
            ids.map(|id| owners.owner(id)),
            [None, Some(7), Some(7), None, Some(9), None, None, None, Some(9)]
        );
    }
}
