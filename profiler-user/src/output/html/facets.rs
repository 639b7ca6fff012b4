//! What threads are told apart by in the page's menus: the groups of `--group-by`. Used by the page.

use ahash::RandomState;
use indexmap::IndexSet;
use serde::Serialize;

use super::columns::Column;
use super::text::shown;
use crate::output::group::Group;
use crate::profile::Recording;

/// A menu: its values, and which one each thread has.
#[derive(Serialize)]
pub(super) struct Facet {
    key: &'static str,
    label: &'static str,
    values: Vec<String>,
    /// Positions in `values`, by the thread's index.
    of_thread: Column,
}

/// Each with its key and what it is called.
const GROUPS: &[(Group, &str, &str)] = &[
    (Group::Container, "container", "Container"),
    (Group::Pod, "pod", "Pod"),
    (Group::User, "user", "User"),
    (Group::Script, "script", "Script"),
    (Group::Process, "process", "Process"),
    (Group::Thread, "thread", "Thread"),
];

/// Those that tell threads apart, and those of `roots`.
pub(super) fn of(recording: &Recording, roots: &[Group]) -> Vec<Facet> {
    let facets = GROUPS.iter().filter_map(|(group, key, label)| {
        let facet = facet(*group, key, label, recording);
        (facet.values.len() > 1 || roots.contains(group)).then_some(facet)
    });
    facets.collect()
}

/// The key of a group's facet.
pub(super) fn key(group: Group) -> Option<&'static str> {
    let mut groups = GROUPS.iter();
    groups.find(|(other, ..)| *other == group).map(|(_, key, _)| *key)
}

fn facet(group: Group, key: &'static str, label: &'static str, recording: &Recording) -> Facet {
    let is_sampled = sampled(recording);
    let mut values: IndexSet<String, RandomState> = IndexSet::default();
    let texts = group.texts(recording).into_iter().zip(is_sampled);
    let mut of_thread = Column::default();
    for (text, is_sampled) in texts {
        let mut position = || values.insert_full(shown(&text)).0;
        of_thread.push_position(if is_sampled { position() } else { 0 });
    }
    Facet {
        key,
        label,
        values: values.into_iter().collect(),
        of_thread,
    }
}

/// Whether each thread has samples.
fn sampled(recording: &Recording) -> Vec<bool> {
    let mut sampled = vec![false; recording.threads.len()];
    for count in recording.profiles.iter().flat_map(|profile| &profile.counts) {
        if let Some(of_thread) = sampled.get_mut(count.thread.0 as usize) {
            *of_thread = true;
        }
    }
    sampled
}
