//! `cargo xtask test`: every test of the workspace, as root where a test loads BPF, with one report at the end.
//!
//! Cargo's own lines are passed through unchanged; the report only counts them.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

use crate::build::{cargo_with_bpf_linker, pyebpf, run_as_root};
use crate::{command, fuzz, pythons, setup, support_table, workspace};

/// Long enough for the shallow mistakes; `cargo xtask fuzz --seconds N` searches deeper.
const FUZZ_SECONDS: u32 = 5;

/// Runs every test, after installing what they need
///
/// Unit, snapshot and property tests, then live tests: real interpreters under the real BPF programs, as root
/// (through sudo when needed), then every fuzz target for some seconds. The kernel matrix is `cargo xtask test-vm`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask test                      everything
  cargo xtask test --quick              without live tests and fuzzing: no root, no BPF program loaded
  cargo xtask test --all-pythons        on every Python of tests/pythons.toml: obtaining them takes up to 30 minutes
  cargo xtask test --podman             everything, and containers of podman, which it installs
  cargo xtask test --update-table       everything; README.md then says what passed
  cargo xtask test -- line_table        only tests with this in their name
  cargo xtask test -- --nocapture live  any argument of Rust's test runner")]
pub(crate) struct Args {
    /// Leave out the live tests (`tests/tests/live*.rs`) and fuzzing
    #[arg(long)]
    quick: bool,
    /// On every Python of tests/pythons.toml, not only on those of CI
    #[arg(long, conflicts_with = "quick")]
    all_pythons: bool,
    /// Test containers of podman too: it comes with units for systemd and settings of its own, which not everybody wants
    #[arg(long, conflicts_with = "quick")]
    podman: bool,
    /// Write the table of what works on which version into README.md, as these tests found it
    #[arg(long, conflicts_with = "quick")]
    update_table: bool,
    /// What to pass to Rust's test runner
    #[arg(last = true, value_name = "TEST ARGUMENTS")]
    arguments: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let fuzzing = !args.quick && args.arguments.is_empty() && fuzz::exists();
    let for_fuzzing = if fuzzing { setup::FUZZ } else { &[] };
    let for_live = if args.quick { &[] } else { setup::CONTAINERS };
    let for_podman = if args.podman { setup::PODMAN } else { &[] };
    setup::ensure(&[setup::RUST, setup::BPF, for_live, for_podman, for_fuzzing])?;
    if !args.quick {
        pythons::ensure_for_tests(args.all_pythons)?;
    }
    let cells = support_table::begin()?;
    let mut tally = Tally::default();
    for mut cargo in commands(args)? {
        eprintln!("test: {}", command::line(&cargo));
        cargo.env(support_table::CELLS, &cells);
        let succeeded = run_counting(&mut cargo, &mut tally)?;
        tally.broken |= !succeeded;
    }
    if fuzzing {
        eprintln!("test: every fuzz target for {FUZZ_SECONDS} s");
        match fuzz::smoke_all(FUZZ_SECONDS) {
            Ok(targets) => tally.fuzzed = targets,
            Err(error) => tally.failures.push(format!("{error:#}")),
        }
    }
    if !args.quick && args.arguments.is_empty() {
        let agreement = support_table::end(&cells, args.update_table);
        tally
            .failures
            .extend(agreement.err().map(|error| format!("{error:#}")));
    }
    tally.report(start.elapsed().as_secs())
}

/// The calls of `cargo test`, in order.
fn commands(args: &Args) -> anyhow::Result<Vec<Command>> {
    let mut everything = cargo_test()?;
    everything.args(["--workspace", "--exclude", "profiler-ebpf"]);
    if !args.quick {
        run_as_root(&mut everything)?;
        // Live tests run what users run.
        everything.env("PYEBPF_BIN", pyebpf(true)?);
        if args.all_pythons {
            everything.env("PYEBPF_ALL_PYTHONS", "1");
        }
    }
    let mut commands = vec![everything];
    if args.quick {
        commands[0].args(["--exclude", "tests"]);
        let mut tests = cargo_test()?;
        tests.args(["--package", "tests", "--lib"]);
        for target in test_targets()?.iter().filter(|name| !name.starts_with("live")) {
            tests.args(["--test", target]);
        }
        commands.push(tests);
    }
    for command in &mut commands {
        command.arg("--").args(&args.arguments);
        if args.podman {
            command.arg("--include-ignored");
        }
    }
    Ok(commands)
}

fn cargo_test() -> anyhow::Result<Command> {
    let mut cargo = cargo_with_bpf_linker()?;
    cargo.args(["test", "--no-fail-fast"]);
    pythons::tell(&mut cargo)?;
    Ok(cargo)
}

/// The files of `tests/tests`, each a test program.
fn test_targets() -> anyhow::Result<Vec<String>> {
    let dir = workspace::root().join("tests/tests");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&dir).into_iter().flatten() {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            names.push(
                path.file_stem()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
            );
        }
    }
    names.sort();
    Ok(names)
}

/// What all test programs said together.
#[derive(Default)]
struct Tally {
    programs: u32,
    passed: u32,
    failed: u32,
    ignored: u32,
    failures: Vec<String>,
    /// Fuzz targets that ran.
    fuzzed: usize,
    /// A command failed, even if no test did: it did not compile, or a program died.
    broken: bool,
}

impl Tally {
    /// Reads a line of Rust's test runner: `test NAME ... FAILED`, `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.programs += 1;
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
            self.ignored += count(result, "ignored");
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.to_owned());
        }
    }

    fn report(&self, seconds: u64) -> anyhow::Result<()> {
        for name in &self.failures {
            eprintln!("test: FAILED {name}");
        }
        if self.broken && self.failures.is_empty() {
            eprintln!("test: FAILED: something did not compile, or died without a result; see above");
        }
        let Self {
            programs,
            passed,
            failed,
            ignored,
            fuzzed,
            ..
        } = self;
        eprintln!(
            "test: {passed} passed, {failed} failed, {ignored} ignored in {programs} programs; \
             {fuzzed} fuzz targets ran ({seconds} s)"
        );
        if self.broken || *failed > 0 || !self.failures.is_empty() {
            bail!("the tests failed");
        }
        Ok(())
    }
}

/// The number before `word`: `3` of `ok. 3 passed; 0 failed`.
fn count(result: &str, word: &str) -> u32 {
    let mut words = result.split([' ', ';', '.']).filter(|word| !word.is_empty());
    let mut before = "";
    words
        .find_map(|this| {
            let found = this == word;
            let number = std::mem::replace(&mut before, this);
            found.then(|| number.parse().ok()).flatten()
        })
        .unwrap_or(0)
}

/// Runs a command, passing its stdout on line by line. Returns whether it succeeded.
fn run_counting(cargo: &mut Command, tally: &mut Tally) -> anyhow::Result<bool> {
    let mut child = cargo
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start cargo")?;
    let stdout = child.stdout.take().context("cargo has no stdout")?;
    for line in BufReader::new(stdout).split(b'\n') {
        let mut line = line.context("cannot read the output of cargo test")?;
        tally.read(&String::from_utf8_lossy(&line));
        line.push(b'\n');
        std::io::stdout()
            .write_all(&line)
            .context("cannot write to stdout")?;
    }
    Ok(child.wait()?.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_adds_up_the_runners_own_lines() {
        let mut tally = Tally::default();
        for line in [
            "running 4 tests",
            "test walker::tests::a_cycle_ends ... FAILED",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.01s",
            "test result: ok. 12 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.00s",
        ] {
            tally.read(line);
        }
        assert_eq!(
            (tally.programs, tally.passed, tally.failed, tally.ignored),
            (2, 15, 1, 2)
        );
        assert_eq!(tally.failures, ["walker::tests::a_cycle_ends"]);
        assert!(tally.report(0).is_err());
    }

    #[test]
    fn a_program_that_died_before_its_result_fails_the_run() {
        let tally = Tally {
            broken: true,
            ..Tally::default()
        };
        assert!(tally.report(0).is_err());
    }
}
