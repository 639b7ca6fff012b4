//! Files that use each other, directly or by way of others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Uses;

/// A shortest circle for each set of files that all reach each other: `a.rs -> b.rs (super::X) -> a.rs (super::Y)`.
pub(super) fn find(uses: &Uses) -> Vec<String> {
    let mut targets: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in uses.keys() {
        targets.entry(from).or_default().push(to);
    }
    let mut circles = Vec::new();
    let mut told: BTreeSet<&str> = BTreeSet::new();
    for &start in targets.keys() {
        if told.contains(start) {
            continue;
        }
        if let Some(way) = way_back(start, &targets) {
            told.extend(&way);
            circles.push(describe(&way, uses));
        }
    }
    circles
}

/// The files of a shortest way from `start` to itself, `start` first.
fn way_back<'a>(start: &'a str, targets: &BTreeMap<&'a str, Vec<&'a str>>) -> Option<Vec<&'a str>> {
    let mut came_from: BTreeMap<&str, &str> = BTreeMap::new();
    let mut next = VecDeque::from([start]);
    while let Some(file) = next.pop_front() {
        for &target in targets.get(file).into_iter().flatten() {
            if target == start {
                let back = std::iter::successors(Some(file), |file| came_from.get(file).copied());
                let mut way: Vec<_> = back.collect();
                way.reverse();
                return Some(way);
            }
            if target != start && !came_from.contains_key(target) {
                came_from.insert(target, file);
                next.push_back(target);
            }
        }
    }
    None
}

fn describe(way: &[&str], uses: &Uses) -> String {
    let mut text = way[0].to_owned();
    let after = way.iter().skip(1).chain(&way[..1]);
    for (from, to) in way.iter().zip(after) {
        let path = uses.get(&((*from).to_owned(), (*to).to_owned()));
        text += &format!(" -> {to} ({})", path.map_or("", String::as_str));
    }
    text
}
