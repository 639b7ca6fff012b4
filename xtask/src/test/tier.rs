//! The three tiers of `cargo xtask test`: which live tests, on which Pythons.

use std::time::Duration;

use test_pythons::Selection;

use crate::times;

/// The live tests of [`Tier::Quick`], by their files in `tests/tests`. The rule: what every user of one host sees in every
/// recording (whole stacks, right shares, the files, the command line with its children), and what needs nothing
/// but a Python of this machine (no container, package, compiler or second distribution). Together with the tests that need
/// no root they end within [`QUICK_BUDGET`].
const QUICK: &[&str] = &["live_command_line", "live_formats", "live_shares", "live_stacks"];

/// Of the tests that need no root, the files that [`Tier::Quick`] leaves out: one compiles the headers of every CPython here,
/// one lets a month pass.
const NOT_QUICK: &[&str] = &["layouts", "pipeline_month"];

/// Unit tests and snapshots that [`Tier::Quick`] leaves out: each runs thousands of random steps, damaged files or functions for
/// some seconds or more, and what it proves changes with few commits.
const SLOW_UNITS: &[&str] = &[
    "a_beginning_says_what_the_whole_says_or_nothing",
    "a_cyclic_frame_list_is_cut_off_at_the_limit",
    "a_fork_storm_leaves_memory_flat",
    "a_host_without_a_free_cpu_costs_nobody_an_answer",
    "a_library_with_frame_pointers_is_known_by_its_code",
    "a_process_with_frames_without_end_leaves_half_of_the_table_to_others",
    "a_table_that_lies_harms_nobody",
    "a_worker_that_computes_without_end_dies_or_talks_nonsense_is_replaced",
    "boundless_claims_cost_bounded_work",
    "call_frame_information_is_found_with_and_without_its_header_and_in_debug_sections",
    "damaged_files_never_panic",
    "every_damaged_file_is_compiled_or_refused",
    "every_row_of_every_library_here_is_what_its_call_frame_information_says",
    "five_hundred_libraries_do_not_take_five_hundred_descriptors",
    "flipped_bytes_and_missing_pages_never_panic_or_run_away",
    "lines_are_those_of_each_interpreter_itself",
    "no_key_and_no_size_breaks_it",
    "rules_from_code_are_those_of_the_compiler",
    "slices_become_longer_when_there_are_too_many_rows_and_nothing_is_lost",
    "stacks_of_programs_with_musl_are_their_call_chains_too",
    "the_books_balance_after_any_steps",
    "the_code_of_real_interpreters_says_what_their_static_symbols_say",
    "the_maps_of_all_processes_have_one_budget",
    "what_was_not_captured_is_completed_from_each_running_interpreter",
];

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
            Self::Quick => "the Pythons of this machine",
            Self::Usual => "representative Pythons",
            Self::Full => "every Python",
        }
    }

    /// Whether this file of `tests/tests` belongs to it.
    pub(super) fn has(self, file: &str) -> bool {
        match self {
            Self::Quick if is_live(file) => QUICK.contains(&file),
            Self::Quick => !NOT_QUICK.contains(&file),
            Self::Usual | Self::Full => true,
        }
    }

    /// Arguments of the test runner that leave out what is too slow for it.
    pub(super) fn skips(self) -> Vec<String> {
        let slow = if self == Self::Quick { SLOW_UNITS } else { &[] };
        slow.iter().map(|name| format!("--skip={name}")).collect()
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
        for name in QUICK.iter().chain(NOT_QUICK) {
            assert!(folder.join(name).with_extension("rs").is_file(), "{name}");
        }
    }

    #[test]
    fn the_slow_unit_tests_that_quick_leaves_out_exist() -> anyhow::Result<()> {
        let mut missing: Vec<String> = SLOW_UNITS.iter().map(|name| format!("fn {name}(")).collect();
        for file in crate::workspace::files()? {
            if file.ends_with(".rs") {
                let text = std::fs::read_to_string(crate::workspace::root().join(file))?;
                missing.retain(|wanted| !text.contains(wanted));
            }
        }
        assert!(missing.is_empty(), "{missing:?}");
        Ok(())
    }
}
