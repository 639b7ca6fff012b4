//! The three tiers of `cargo xtask test`: which live tests, on which Pythons.

use std::time::Duration;

use test_pythons::Selection;

use crate::times;

/// The live tests of [`Tier::Quick`], by their files in `tests/tests`. The rule: what every user of one host sees in every
/// recording (whole stacks, right shares, the files, the command line, children that come and go), and what needs nothing
/// but a Python of this machine (no container, package, compiler or second distribution). Together with the tests that need
/// no root they end within [`QUICK_BUDGET`].
const QUICK: &[&str] = &[
    "live_children",
    "live_command_line",
    "live_formats",
    "live_shares",
    "live_stacks",
];

/// Of the tests that need no root, the file that [`Tier::Quick`] leaves out: it compiles the headers of every CPython here.
const NOT_QUICK: &str = "layouts";

/// After the build.
const QUICK_BUDGET: Duration = Duration::from_secs(180);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tier {
    /// What a developer runs after every change.
    Quick,
    /// What CI runs.
    Usual,
    /// What is run before a release, and for the README's table.
    Full,
}

impl Tier {
    pub(super) fn selection(self) -> Selection {
        match self {
            Self::Quick => Selection::Own,
            Self::Usual => Selection::Ci,
            Self::Full => Selection::Every,
        }
    }

    /// What is typed for it.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Self::Quick => "cargo xtask test --quick",
            Self::Usual => "cargo xtask test",
            Self::Full => "cargo xtask test --full",
        }
    }

    /// For people, and in the file of times.
    pub(super) fn pythons(self) -> &'static str {
        match self {
            Self::Quick => "up to four Pythons of this machine",
            Self::Usual => "representative Pythons",
            Self::Full => "every Python",
        }
    }

    /// Whether this file of `tests/tests` belongs to it.
    pub(super) fn has(self, file: &str) -> bool {
        match self {
            Self::Quick if is_live(file) => QUICK.contains(&file),
            Self::Quick => file != NOT_QUICK,
            Self::Usual | Self::Full => true,
        }
    }

    /// Whether it runs all tests of which the README's table is made.
    pub(super) fn has_table(self) -> bool {
        self != Self::Quick
    }

    /// Says when the quick tests were not quick: then something must leave them.
    pub(super) fn compare_with_budget(self, took: Duration) {
        if self == Self::Quick && took > QUICK_BUDGET {
            eprintln!(
                "test: --quick took {} after the build, more than the {} it is meant to",
                times::text(took.as_secs()),
                times::text(QUICK_BUDGET.as_secs())
            );
        }
    }
}

/// Whether a file of `tests/tests` has live tests.
pub(super) fn is_live(file: &str) -> bool {
    file.starts_with("live")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_quick_has_and_leaves_out_exist() {
        let folder = crate::workspace::root().join("tests/tests");
        for name in QUICK.iter().chain([&NOT_QUICK]) {
            assert!(folder.join(name).with_extension("rs").is_file(), "{name}");
        }
    }
}
