//! What is run one after the other: a call of `cargo test` each, so that each has its time and its name in the report.

use std::fs;

use anyhow::Context as _;

use super::tier::Tier;
use crate::hint::hinted;
use crate::plan::Step;
use crate::workspace;

/// Arguments of every call. The same packages each time, so that nothing is compiled twice with other features.
pub(super) const EVERYTHING: &[&str] = &["--workspace", "--exclude", "profiler-ebpf"];

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
    let mut targets = Vec::new();
    if tier == Tier::Quick {
        targets.extend(["--lib", "--bins"].map(str::to_owned));
        for name in targets_of_tests()?
            .into_iter()
            .filter(|name| !is_live(name) || tier.has(name))
        {
            targets.extend(["--test".to_owned(), name]);
        }
    }
    let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
    Ok(Part::new("chosen", "the chosen tests", &targets, true))
}

/// The parts of a tier: what needs nothing, then each file of live tests.
pub(super) fn of(tier: Tier) -> anyhow::Result<Vec<Part>> {
    let names = targets_of_tests()?;
    let (live, rest): (Vec<&str>, Vec<&str>) =
        names.iter().map(String::as_str).partition(|name| is_live(name));
    let rest = rest.iter().flat_map(|name| ["--test", name]);
    let targets: Vec<&str> = ["--lib", "--bins"].into_iter().chain(rest).collect();
    // As root more of the unit tests can look at other processes.
    let is_root = tier != Tier::Quick;
    let mut parts = vec![Part::new(
        "unit",
        "the unit tests and snapshots",
        &targets,
        is_root,
    )];
    let live = live.into_iter().filter(|name| tier.has(name));
    parts.extend(live.map(|name| Part::new(name, name, &["--test", name], true)));
    Ok(parts)
}

/// Some parts, also those that are not of this tier.
pub(super) fn named(tier: Tier, names: &[String]) -> anyhow::Result<Vec<Part>> {
    let mut parts = of(tier)?;
    if tier == Tier::Quick {
        parts.extend(of(Tier::Usual)?);
    }
    let known: Vec<String> = parts.iter().map(|part| part.name.clone()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(hinted(
            format!("there is no part {unknown}, only: {}", known.join(", ")),
            format!("by the name of a test: {} -- {unknown}", tier.verb()),
        ));
    }
    let named = names.iter().filter_map(|name| {
        let position = parts.iter().position(|part| part.name == *name)?;
        Some(parts.swap_remove(position))
    });
    Ok(named.collect())
}

fn is_live(target: &str) -> bool {
    target.starts_with("live")
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
