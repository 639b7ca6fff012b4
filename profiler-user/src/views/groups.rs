//! Sums by what samples or frames belong to: process, thread, container, any other label, package, owner.

use std::borrow::Cow;
use std::collections::HashMap;

use ahash::RandomState;

use super::package::package_of;
use super::selection::Selection;
use super::tally::Tally;
use crate::profile::{Frame, Owner};
use crate::recordings::LabelSet;

/// What is summed by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grouping {
    /// The process: its number and what it runs.
    Process,
    /// The thread, with its process.
    Thread,
    /// The container, by its name if it has one.
    Container,
    /// The package or library that frames are part of.
    Module,
    /// Whose code frames are.
    Owner,
    /// A label of the file.
    Label(String),
}

impl Grouping {
    /// The grouping of this name; any name that is none of ours is one of a label.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "process" => Self::Process,
            "thread" => Self::Thread,
            "container" => Self::Container,
            "module" => Self::Module,
            "owner" => Self::Owner,
            label => Self::Label(label.to_owned()),
        }
    }

    /// What people call it.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Process => "process",
            Self::Thread => "thread",
            Self::Container => "container",
            Self::Module => "module",
            Self::Owner => "owner",
            Self::Label(label) => label,
        }
    }

    /// The text of a group; `None` if the labels do not say.
    fn of_labels(&self, labels: &LabelSet) -> Option<String> {
        let text = |key: &str| labels.text(key).filter(|text| !text.is_empty());
        match self {
            Self::Process => match (text("pid"), text("command")) {
                (Some(pid), Some(command)) => Some(format!("{pid} {command}")),
                (pid, command) => Some(pid.or(command)?.into_owned()),
            },
            Self::Thread => {
                let of = text("pid").map_or(String::new(), |pid| format!(" of process {pid}"));
                match (text("tid"), text("thread")) {
                    (Some(tid), Some(name)) => Some(format!("{name} ({tid}){of}")),
                    (tid, name) => Some(format!("{}{of}", tid.or(name)?)),
                }
            }
            Self::Container => {
                let id = || {
                    let id = text("container")?;
                    let is_long = id.len() == 64 && id.chars().all(|c| c.is_ascii_hexdigit());
                    Some(if is_long {
                        id.get(..12)?.to_owned()
                    } else {
                        id.into_owned()
                    })
                };
                text("container_name").map(Cow::into_owned).or_else(id)
            }
            Self::Label(label) => text(label).map(Cow::into_owned),
            Self::Module | Self::Owner => None,
        }
    }

    /// The text of the group of a frame; `None` for groupings by labels.
    fn of_frame(&self, frame: &Frame) -> Option<String> {
        match self {
            Self::Module => Some(package_of(frame).into_owned()),
            Self::Owner => Some(Owner::of(frame).label().to_owned()),
            _ => None,
        }
    }
}

/// A group and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupRow {
    /// What it is called; `None` for the samples that do not say.
    pub group: Option<String>,
    /// What it took; for labels both numbers are the same.
    pub tally: Tally,
}

/// Why there are no groups.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupsError {
    /// No sample has what it takes.
    #[error("no sample says which {name} it belongs to")]
    NoLabel {
        /// What was asked for.
        name: String,
        /// The labels that there are.
        labels: Vec<String>,
    },
}

/// What each group took, the largest first.
///
/// # Errors
/// See [`GroupsError`].
pub fn groups(selection: &Selection<'_>, by: &Grouping) -> Result<Vec<GroupRow>, GroupsError> {
    let mut tallies = match by {
        Grouping::Module | Grouping::Owner => by_frames(selection, by),
        _ => by_labels(selection, by)?,
    };
    tallies.sort_by(|a, b| {
        let key = |row: &GroupRow| row.tally.largest_first();
        key(a).cmp(&key(b)).then_with(|| a.group.cmp(&b.group))
    });
    Ok(tallies)
}

fn by_labels(selection: &Selection<'_>, by: &Grouping) -> Result<Vec<GroupRow>, GroupsError> {
    let loaded = selection.loaded();
    let texts: Vec<Option<String>> = loaded.labels.iter().map(|labels| by.of_labels(labels)).collect();
    if texts.iter().all(Option::is_none) {
        return Err(GroupsError::NoLabel {
            name: by.name().to_owned(),
            labels: loaded.label_keys().into_iter().map(str::to_owned).collect(),
        });
    }
    let mut tallies: HashMap<Option<&str>, Tally, RandomState> = HashMap::default();
    for (_, labels, value) in selection.samples() {
        let text = texts.get(labels.0 as usize).and_then(Option::as_deref);
        let tally = tallies.entry(text).or_default();
        tally.add_own(value);
        tally.add_total(value);
    }
    Ok(tallies
        .into_iter()
        .map(|(group, tally)| GroupRow {
            group: group.map(str::to_owned),
            tally,
        })
        .collect())
}

fn by_frames(selection: &Selection<'_>, by: &Grouping) -> Vec<GroupRow> {
    let frames = &selection.loaded().frames;
    let mut names: indexmap::IndexMap<String, Tally, RandomState> = indexmap::IndexMap::default();
    let group_of: Vec<usize> = frames
        .iter()
        .map(|frame| {
            let group = names.entry(by.of_frame(frame).unwrap_or_default());
            let at = group.index();
            group.or_default();
            at
        })
        .collect();
    let mut seen_in = vec![0u64; names.len()];
    for (number, (stack, _, value)) in (1..).zip(selection.samples()) {
        for frame in stack {
            let at = group_of[frame.0 as usize];
            if seen_in[at] != number {
                seen_in[at] = number;
                names[at].add_total(value);
            }
        }
        if let Some(leaf) = stack.last() {
            names[group_of[leaf.0 as usize]].add_own(value);
        }
    }
    names
        .into_iter()
        .filter(|(_, tally)| *tally != Tally::default())
        .map(|(group, tally)| GroupRow {
            group: Some(group),
            tally,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Grouping, GroupsError, groups};
    use crate::views::Selection;
    use crate::views::test_loaded::loaded;

    fn rows(by: &str) -> Result<Vec<(String, i64, i64)>, GroupsError> {
        let loaded = loaded();
        let selection = Selection::new(&loaded, 0, &[]);
        let rows = groups(&selection, &Grouping::named(by))?;
        let text = |group: Option<String>| group.unwrap_or_else(|| "-".to_owned());
        Ok(rows
            .into_iter()
            .map(|row| (text(row.group), row.tally.own, row.tally.total))
            .collect())
    }

    fn expected(rows: &[(&str, i64, i64)]) -> Vec<(String, i64, i64)> {
        rows.iter()
            .map(|(group, own, total)| ((*group).to_owned(), *own, *total))
            .collect()
    }

    #[test]
    fn samples_are_summed_by_their_labels_and_by_their_frames() {
        let by = |name: &str| rows(name).expect("there are some");
        assert_eq!(
            by("process"),
            expected(&[("1 python app.py", 80, 80), ("2 python web.py", 20, 20)])
        );
        assert_eq!(
            by("thread"),
            expected(&[
                ("Main (1) of process 1", 60, 60),
                ("-", 20, 20),
                ("Other (2) of process 1", 20, 20)
            ])
        );
        assert_eq!(by("pid"), expected(&[("1", 80, 80), ("2", 20, 20)]));
        assert_eq!(by("module"), expected(&[("app", 80, 100), ("json", 20, 30)]));
        assert_eq!(
            by("owner"),
            expected(&[("Python: program", 80, 100), ("Python: standard library", 20, 30)])
        );
    }

    #[test]
    fn a_label_that_no_sample_has_is_an_error_that_names_those_that_there_are() {
        for name in ["task", "container", "nonsense"] {
            let GroupsError::NoLabel { labels, .. } = rows(name).expect_err("nothing says so");
            assert_eq!(labels, ["command", "pid", "thread", "tid"]);
        }
    }

    #[test]
    fn filters_leave_out_what_does_not_fit() {
        let loaded = loaded();
        let total = |filters: &[&str]| {
            let filters: Vec<_> = filters
                .iter()
                .map(|text| text.parse().expect("a filter"))
                .collect();
            Selection::new(&loaded, 0, &filters).total()
        };
        assert_eq!(total(&[]), 100);
        assert_eq!(total(&["process=web"]), 20);
        assert_eq!(total(&["pid=1"]), 80);
        assert_eq!(total(&["process=1", "thread=Main"]), 60);
        assert_eq!(total(&["process=web", "process=app"]), 100);
        assert_eq!(total(&["command=python*"]), 100);
        assert_eq!(total(&["command=web*"]), 0);
    }
}
