//! Runs calls of `cargo test` and counts what their test programs say.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::hint::hinted;
use crate::times;

/// What all test programs said together.
#[derive(Default)]
pub(super) struct Tally {
    programs: u32,
    passed: u32,
    failed: u32,
    ignored: u32,
    failures: Vec<String>,
    /// Parts that count as they went the second time.
    repeated: Vec<String>,
    /// Fuzz targets that ran.
    pub(super) fuzzed: usize,
    /// A command failed, even if no test did: it did not compile, or a program died.
    broken: bool,
}

impl Tally {
    /// Runs a command, passing its stdout on line by line. Also returns how long it took, if it succeeded.
    pub(super) fn of(part: &str, cargo: &mut Command) -> anyhow::Result<(Self, Option<Duration>)> {
        let mut tally = Self::default();
        let start = Instant::now();
        let mut child = cargo
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start cargo")?;
        let stdout = child.stdout.take().context("cargo has no stdout")?;
        for line in BufReader::new(stdout).split(b'\n') {
            let mut line = line.context("cannot read the output of cargo test")?;
            tally.read(part, &String::from_utf8_lossy(&line));
            line.push(b'\n');
            std::io::stdout()
                .write_all(&line)
                .context("cannot write to stdout")?;
        }
        let succeeded = child.wait()?.success();
        tally.broken = !succeeded;
        Ok((tally, succeeded.then(|| start.elapsed())))
    }

    /// Takes in what another command said.
    pub(super) fn add(&mut self, other: Self) {
        self.programs += other.programs;
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.failures.extend(other.failures);
        self.repeated.extend(other.repeated);
        self.fuzzed += other.fuzzed;
        self.broken |= other.broken;
    }

    /// This is what a part said when it was run once more.
    pub(super) fn repeat(&mut self, part: &str) {
        self.repeated.push(part.to_owned());
    }

    pub(super) fn fail(&mut self, what: String) {
        self.failures.push(what);
    }

    /// Reads a line of Rust's test runner: `test NAME ... FAILED`, `test result: ok. 3 passed; 0 failed; 1 ignored; ...`.
    fn read(&mut self, part: &str, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.programs += 1;
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
            self.ignored += count(result, "ignored");
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(format!("{part}: {name}"));
        }
    }

    /// `verb` is what was typed: `cargo xtask test --quick`.
    pub(super) fn report(&self, verb: &str, took: Duration) -> anyhow::Result<()> {
        for name in &self.failures {
            eprintln!("test: FAILED {name}");
        }
        if self.broken && self.failures.is_empty() {
            eprintln!("test: FAILED: something did not compile, or died without a result; see above");
        }
        if !self.repeated.is_empty() {
            eprintln!(
                "test: run twice, because this machine stood still: {}",
                self.repeated.join(", ")
            );
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
             {fuzzed} fuzz targets ran ({})",
            times::text(took.as_secs())
        );
        if self.broken || *failed > 0 || !self.failures.is_empty() {
            let first = self.failures.first().and_then(|name| name.split(": ").nth(1));
            return Err(hinted(
                "the tests failed",
                match first {
                    Some(name) => format!("one of them again: {verb} -- {name}"),
                    None => format!("what failed is said above; then: {verb}"),
                },
            ));
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
            tally.read("live_x", line);
        }
        assert_eq!(
            (tally.programs, tally.passed, tally.failed, tally.ignored),
            (2, 15, 1, 2)
        );
        assert_eq!(tally.failures, ["live_x: walker::tests::a_cycle_ends"]);
        assert!(tally.report("cargo xtask test", Duration::ZERO).is_err());
    }

    #[test]
    fn what_every_part_said_is_added_up() {
        let mut all = Tally::default();
        for (part, failed) in [("live_x", 0), ("live_y", 1)] {
            let mut tally = Tally::default();
            tally.read(
                part,
                &format!("test result: ok. 2 passed; {failed} failed; 0 ignored"),
            );
            tally.broken = failed > 0;
            tally.repeat(part);
            all.add(tally);
        }
        assert_eq!(
            (all.programs, all.passed, all.failed, all.broken),
            (2, 4, 1, true)
        );
        assert_eq!(all.repeated, ["live_x", "live_y"]);
    }

    #[test]
    fn a_program_that_died_before_its_result_fails_the_run() {
        let tally = Tally {
            broken: true,
            ..Tally::default()
        };
        assert!(tally.report("cargo xtask test", Duration::ZERO).is_err());
    }
}
