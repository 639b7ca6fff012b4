//! Which files of two recordings are the same: a program that was moved, another version of Python, or whole paths in one
//! recording and short ones in the other. Pure: it compares the ends of paths.

use std::collections::{BTreeSet, HashMap};

/// For files of the first recording that the second one has under another path, that path.
pub(super) fn moved<'f>(before: &BTreeSet<&'f str>, after: &BTreeSet<&'f str>) -> HashMap<&'f str, &'f str> {
    let mut by_name: HashMap<&str, Vec<&'f str>> = HashMap::new();
    for file in after.difference(before) {
        by_name.entry(base_name(file)).or_default().push(file);
    }
    let mut moved: HashMap<&'f str, &'f str> = HashMap::new();
    // Who claims a file, and how much of their paths is the same.
    let mut claims: HashMap<&'f str, (usize, Option<&'f str>)> = HashMap::new();
    for file in before.difference(after) {
        let candidates = by_name.get(base_name(file)).into_iter().flatten();
        let alike = candidates
            .map(|other| (same_parts(file, other), *other))
            .filter(|(alike, other)| *alike > 1 || says_enough(file, other));
        let Some((most, other)) = only_largest(alike) else {
            continue;
        };
        let claim = claims.entry(other).or_insert((0, None));
        if most > claim.0 {
            *claim = (most, Some(file));
        } else if most == claim.0 {
            // Two files that have as much in common with it: neither is known to be it.
            claim.1 = None;
        }
    }
    for (other, (_, file)) in claims {
        if let Some(file) = file {
            moved.insert(file, other);
        }
    }
    moved
}

/// The largest, unless there are two.
fn only_largest<'f>(of: impl Iterator<Item = (usize, &'f str)>) -> Option<(usize, &'f str)> {
    let mut largest: Option<(usize, Option<&str>)> = None;
    for (alike, file) in of {
        largest = match largest {
            Some((most, _)) if alike > most => Some((alike, Some(file))),
            Some((most, _)) if alike == most => Some((most, None)),
            None => Some((alike, Some(file))),
            known => known,
        };
    }
    let (most, file) = largest?;
    Some((most, file?))
}

/// Parts of two paths that are the same, from the end on.
fn same_parts(a: &str, b: &str) -> usize {
    let parts = a.rsplit('/').zip(b.rsplit('/'));
    parts.take_while(|(a, b)| a == b).count()
}

/// Whether base names alone may tell what these files are: every package has an `__init__.py`.
fn says_enough(a: &str, b: &str) -> bool {
    let is_short = !a.contains('/') || !b.contains('/');
    is_short || !base_name(a).starts_with("__")
}

fn base_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::moved;

    #[test]
    fn files_are_the_same_if_their_ends_say_so_and_no_other_could_be_meant() {
        let before = [
            "/srv/v1/shop/app.py",
            "/srv/v1/shop/util.py",
            "/usr/lib/python3.11/json/decoder.py",
            "/usr/lib/python3.11/json/__init__.py",
            "/usr/lib/python3.11/os.py",
            "/srv/v1/a/twin.py",
            "/srv/v1/b/twin.py",
            "/x/one.py",
            "/y/one.py",
            "gone.py",
            "/srv/v1/cart/__init__.py",
        ];
        let after = [
            "/srv/v2/shop/app.py",
            "util.py",
            "/usr/lib/python3.12/json/decoder.py",
            "/usr/lib/python3.12/json/__init__.py",
            "/usr/lib/python3.12/email/__init__.py",
            "/usr/lib/python3.11/os.py",
            "/srv/v2/b/twin.py",
            "/z/one.py",
            "new.py",
            "/srv/v1/shelf/__init__.py",
        ];
        let [before, after] = [BTreeSet::from(before), BTreeSet::from_iter(after)];
        let mut found: Vec<_> = moved(&before, &after).into_iter().collect();
        found.sort_unstable();
        assert_eq!(
            found,
            [
                ("/srv/v1/b/twin.py", "/srv/v2/b/twin.py"),
                ("/srv/v1/shop/app.py", "/srv/v2/shop/app.py"),
                ("/srv/v1/shop/util.py", "util.py"),
                (
                    "/usr/lib/python3.11/json/__init__.py",
                    "/usr/lib/python3.12/json/__init__.py"
                ),
                (
                    "/usr/lib/python3.11/json/decoder.py",
                    "/usr/lib/python3.12/json/decoder.py"
                ),
            ]
        );
    }
}
