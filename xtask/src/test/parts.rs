//! What is run one after the other: a call of `cargo test` each, so that each has its time and its name in the report.

use std::fs;

use anyhow::Context as _;

use super::tier::{Tier, is_live};
use crate::hint::hinted;
use crate::plan::Step;
use crate::workspace;

/// Arguments of every call. The same packages each time, so that nothing is compiled twice with other features.
pub(super) const EVERYTHING: &[&str] = &["--workspace", "--exclude", "profiler-ebpf"];

/// The part of everything that is not live.
const UNIT: &str = "unit";

/// One call.
pub(super) struct Part {
    /// As it is typed.
    pub(super) name: String,
    /// For people.
    what: String,
    /// Arguments of `cargo test`.
    pub(super) selection: Vec<String>,
    /// The programs of the tests are started as root.
    pub(super) is_root: bool,
}

impl Part {
    fn new(name: &str, what: &str, targets: &[&str], is_root: bool) -> Self {
        let selection = EVERYTHING.iter().chain(targets);
        Self {
            name: name.to_owned(),
            what: what.to_owned(),
            selection: selection.map(|text| (*text).to_owned()).collect(),
            is_root,
        }
    }

    pub(super) fn step(&self, tier: Tier) -> Step {
        Step::new(
            format!("run {} on {}", self.name, tier.pythons()),
            format!("run {}", self.what),
        )
    }
}

/// All tests in one call, for a choice of them by name. In the quick tier those of its parts.
pub(super) fn everything(tier: Tier) -> anyhow::Result<Part> {
    let names = targets_of(tier)?;
    let targets = match tier {
        Tier::Quick => targets(names.iter().map(String::as_str)),
        Tier::Usual | Tier::Full => Vec::new(),
    };
    Ok(Part::new("chosen", "the chosen tests", &targets, true))
}

/// The parts of a tier: what needs nothing, then each file of live tests.
pub(super) fn of(tier: Tier) -> anyhow::Result<Vec<Part>> {
    let names = targets_of(tier)?;
    let live = names.iter().filter(|name| is_live(name));
    Ok([unit(tier, &names)]
        .into_iter()
        .chain(live.map(|name| live_part(name)))
        .collect())
}

/// Some parts, also those that are not of this tier.
pub(super) fn named(tier: Tier, wanted: &[String]) -> anyhow::Result<Vec<Part>> {
    let live: Vec<String> = targets_of(Tier::Full)?
        .into_iter()
        .filter(|name| is_live(name))
        .collect();
    let named = wanted.iter().map(|name| {
        if name == UNIT {
            Ok(unit(tier, &targets_of(tier)?))
        } else if live.contains(name) {
            Ok(live_part(name))
        } else {
            Err(hinted(
                format!("there is no part {name}, only: {UNIT}, {}", live.join(", ")),
                format!("by the name of a test: {} -- {name}", tier.verb()),
            ))
        }
    });
    named.collect()
}

fn unit(tier: Tier, names: &[String]) -> Part {
    let rest = names.iter().map(String::as_str).filter(|name| !is_live(name));
    // As root more of them can look at other processes.
    Part::new(
        UNIT,
        "the unit tests and snapshots",
        &targets(rest),
        tier != Tier::Quick,
    )
}

fn live_part(name: &str) -> Part {
    Part::new(name, name, &["--test", name], true)
}

/// Arguments of `cargo test`: the unit tests, and these files.
fn targets<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let files = names.flat_map(|name| ["--test", name]);
    ["--lib", "--bins"].into_iter().chain(files).collect()
}

fn targets_of(tier: Tier) -> anyhow::Result<Vec<String>> {
    let mut names = targets_of_tests()?;
    names.retain(|name| tier.has(name));
    Ok(names)
}

/// The files of `tests/tests`, each a test program.
fn targets_of_tests() -> anyhow::Result<Vec<String>> {
    let folder = workspace::root().join("tests/tests");
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if let (Some("rs"), Some(name)) = (
            path.extension().and_then(|extension| extension.to_str()),
            path.file_stem(),
        ) {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(tier: Tier) -> Vec<String> {
        let parts = of(tier).expect("tests/tests");
        parts.into_iter().map(|part| part.name).collect()
    }

    #[test]
    fn the_usual_tier_has_every_file_of_live_tests_and_the_quick_one_a_few() {
        let all = names(Tier::Usual);
        let live = targets_of_tests().expect("tests/tests");
        let live: Vec<&String> = live.iter().filter(|name| is_live(name)).collect();
        assert!(live.iter().all(|name| all.contains(name)));
        assert_eq!(names(Tier::Full), all);
        let quick = names(Tier::Quick);
        assert!(quick.len() < all.len() && quick.iter().all(|name| all.contains(name)));
    }

    #[test]
    fn parts_are_chosen_by_name_and_an_unknown_one_is_an_error() {
        let chosen = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let parts = named(Tier::Quick, &names);
            parts.map(|parts| parts.into_iter().map(|part| part.name).collect::<Vec<_>>())
        };
        let parts = chosen(&["live_storms", "unit"]).expect("parts");
        assert_eq!(parts, ["live_storms", "unit"]);
        assert!(chosen(&["live_nothing"]).is_err());
    }

    #[test]
    fn no_root_is_asked_for_by_what_needs_none() {
        let parts = of(Tier::Quick).expect("tests/tests");
        let (first, live) = parts.split_first().expect("unit tests");
        assert!(!first.is_root && live.iter().all(|part| part.is_root));
    }
}
