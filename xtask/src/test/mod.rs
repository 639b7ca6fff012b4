//! `cargo xtask test`: the tests of a tier, as root where a test loads BPF, with one report at the end.
//!
//! Before anything begins it says what it will install, obtain, build and run, and how long that took where it was last
//! measured. Cargo's own lines are passed through unchanged; the report only counts them.

mod parts;
mod pauses;
mod tally;
mod tier;

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use self::parts::Part;
use self::pauses::Watch;
use self::tally::Tally;
use self::tier::{Tier, is_live};
use crate::build::{Target, cargo_with_bpf_linker, pyebpf, run_as_root};
use crate::plan::{self, Step};
use crate::{command, fuzz, pythons, setup, support_table, times};

/// Long enough for the shallow mistakes; `cargo xtask fuzz --seconds N` searches deeper.
const FUZZ_SECONDS: u32 = 5;

/// In the file of times.
const FUZZ_STEP: &str = "run the fuzz targets";

/// Runs the tests, after installing what they need; says beforehand what it will do and how long that takes
///
/// Unit, snapshot and property tests, then live tests: real interpreters under the real BPF programs, as root (through
/// sudo when needed), then every fuzz target for some seconds. Three tiers differ in live tests and in Pythons:
/// --quick (those of this machine), the usual one (representative ones, which CI runs), --full (every one).
/// The kernel matrix is `cargo xtask test-vm`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask test --quick              within 3 minutes after the build, on the Pythons of this machine
  cargo xtask test                      all tests, on representative Pythons: what CI runs
  cargo xtask test --full               all tests, on every Python of tests/pythons.toml
  cargo xtask test --plan               only say what it would do
  cargo xtask test --podman             all tests, and containers of podman, which it installs
  cargo xtask test --full --update-table   README.md then says what passed
  cargo xtask test live_stacks unit     only these parts
  cargo xtask test -- line_table        only tests with this in their name
  cargo xtask test live_shares -- --nocapture   any argument of Rust's test runner")]
pub(crate) struct Args {
    /// Of the live tests only those of stacks, shares, formats and the command line, on the Pythons of this machine
    /// (the system's and pyenv's; nothing is obtained); no fuzzing
    #[arg(long)]
    quick: bool,
    /// On every Python of tests/pythons.toml, not only on the representative ones
    #[arg(long, visible_alias = "all-pythons", conflicts_with = "quick")]
    full: bool,
    /// Only say what would be installed, obtained, built and run
    #[arg(long)]
    plan: bool,
    /// Test containers of podman too: it comes with units for systemd and settings of its own, which not everybody wants
    #[arg(long, conflicts_with = "quick")]
    podman: bool,
    /// Write the table of what works on which version into README.md, as these tests found it
    #[arg(long, requires = "full")]
    update_table: bool,
    /// Only these parts: `unit` (with the snapshots), or a file of live tests
    #[arg(value_name = "PART")]
    parts: Vec<String>,
    /// What to pass to Rust's test runner
    #[arg(last = true, value_name = "TEST ARGUMENTS")]
    arguments: Vec<String>,
}

impl Args {
    fn tier(&self) -> Tier {
        match (self.quick, self.full) {
            (true, _) => Tier::Quick,
            (_, true) => Tier::Full,
            _ => Tier::Usual,
        }
    }

    /// Whether all tests of the tier run, not a choice of them.
    fn is_whole(&self) -> bool {
        self.parts.is_empty() && self.has_whole_parts()
    }

    /// Whether all tests of each part run.
    fn has_whole_parts(&self) -> bool {
        self.arguments.is_empty()
    }

    fn chosen(&self) -> anyhow::Result<Vec<Part>> {
        let tier = self.tier();
        if !self.parts.is_empty() {
            return parts::named(tier, &self.parts);
        }
        if self.has_whole_parts() {
            return parts::of(tier);
        }
        Ok(vec![parts::everything(tier)?])
    }

    fn has_fuzzing(&self) -> bool {
        self.tier() != Tier::Quick && self.is_whole() && fuzz::exists()
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    let tier = args.tier();
    let parts = args.chosen()?;
    let missing = setup::missing(&needs(args))?;
    let mut steps = setup::steps(&missing)?;
    steps.extend(pythons::plan_for_tests(tier.selection())?);
    steps.extend(Target::Pyebpf { release: true }.step()?);
    steps.extend(Target::Tests.step()?);
    if args.has_whole_parts() {
        steps.extend(parts.iter().map(|part| part.step(tier)));
    }
    if args.has_fuzzing() {
        steps.push(Step::new(
            FUZZ_STEP,
            format!("run every fuzz target for {FUZZ_SECONDS} s"),
        ));
    }
    plan::announce("test", &format!("this will, on {}:", tier.pythons()), &steps)?;
    if args.plan {
        return Ok(());
    }
    setup::install(&missing)?;
    pythons::obtain_for_tests(tier.selection())?;
    let binary = pyebpf(true)?;
    Target::Tests.build(cargo_test(tier)?.args(parts::EVERYTHING).arg("--no-run"))?;
    let built = Instant::now();

    let cells = support_table::begin()?;
    let mut tally = Tally::default();
    for part in &parts {
        run_part(part, args, (&binary, &cells), &mut tally)?;
    }
    if args.has_fuzzing() {
        eprintln!("test: every fuzz target for {FUZZ_SECONDS} s");
        match times::measured(FUZZ_STEP, || fuzz::smoke_all(FUZZ_SECONDS)) {
            Ok(targets) => tally.fuzzed = targets,
            Err(error) => tally.fail(format!("{error:#}")),
        }
    }
    if tier.has_table() && args.is_whole() {
        let agreement = support_table::end(&cells, args.update_table);
        if let Err(error) = agreement {
            tally.fail(format!("{error:#}"));
        }
    }
    if args.is_whole() {
        tier.compare_with_budget(built.elapsed());
    }
    tally.report(tier.verb(), start.elapsed())
}

fn needs(args: &Args) -> Vec<&'static [&'static dyn setup::Need]> {
    let mut needs = vec![setup::RUST, setup::BPF];
    if args.tier() != Tier::Quick {
        needs.push(setup::CONTAINERS);
        needs.push(setup::READERS);
    }
    if args.podman {
        needs.push(setup::PODMAN);
    }
    if args.has_fuzzing() {
        needs.push(setup::FUZZ);
    }
    needs
}

/// `binary` is what live tests run, `cells` where they note what works.
fn run_part(
    part: &Part,
    args: &Args,
    (binary, cells): (&Path, &Path),
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let tier = args.tier();
    let mut cargo = cargo_test(tier)?;
    cargo.args(&part.selection).arg("--").args(&args.arguments);
    if args.has_whole_parts() {
        cargo.args(tier.skips());
    }
    if args.podman {
        cargo.arg("--include-ignored");
    }
    if part.is_root {
        run_as_root(&mut cargo)?;
    }
    // Live tests run what users run.
    cargo.env("PYEBPF_BIN", binary).env(support_table::CELLS, cells);
    eprintln!("test: {}", command::line(&cargo));
    let watch = Watch::start();
    let (mut result, mut took) = Tally::of(&part.name, &mut cargo)?;
    let pause = watch
        .long_pause()
        .filter(|_| took.is_none() && is_live(&part.name));
    if let Some(pause) = pause {
        // What was measured over that time says nothing. A second failure counts, whatever the machine does.
        eprintln!(
            "test: {} FAILED, but this machine stood still for {} ms of a second, because its host did not run it: once more",
            part.name,
            pause.as_millis()
        );
        (result, took) = Tally::of(&part.name, &mut cargo)?;
        result.repeat(&part.name);
    }
    tally.add(result);
    if let (Some(took), true, false) = (took, args.has_whole_parts(), args.podman) {
        times::note(&part.step(tier).name, took);
    }
    Ok(())
}

fn cargo_test(tier: Tier) -> anyhow::Result<Command> {
    let mut cargo = cargo_with_bpf_linker()?;
    cargo.args(["test", "--no-fail-fast"]);
    pythons::tell(&mut cargo, tier.selection())?;
    Ok(cargo)
}
