//! `cargo xtask bench`, `snapshot`, `layouts` and `accuracy`: programs of the member `tests`, started with what they need.
//!
//! Their arguments are theirs.

use std::process::Command;

use test_pythons::Selection;

use crate::build::{cargo_with_bpf_linker, pyebpf, run_as_root};
use crate::{command, pythons, setup};

/// Measures what a sample costs, in one run, as ratios; a markdown table on stdout
///
/// Runs as root (through sudo when needed).
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask bench              all measurements
  cargo xtask bench --full       on every Python of tests/pythons.toml
  cargo xtask bench -- --help    what it can be asked for")]
pub(crate) struct BenchArgs {
    /// On every Python of tests/pythons.toml, not only on the representative ones
    #[arg(long)]
    full: bool,
    /// What to pass to the benchmark
    #[arg(last = true, value_name = "BENCH ARGUMENTS")]
    arguments: Vec<String>,
}

/// Records the memory that a walk reads from a live interpreter, for the snapshot tests
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask snapshot -- --help    what it can record")]
pub(crate) struct SnapshotArgs {
    /// What to pass to the recorder
    #[arg(last = true, value_name = "SNAPSHOT ARGUMENTS")]
    arguments: Vec<String>,
}

/// Compares the offsets of every CPython version with CPython's own headers
///
/// Fails when a number differs; prints all numbers of a version that has no data file yet. Needs a C compiler.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask layouts                                      the headers of this machine
  cargo xtask layouts -- ~/src/cpython/install/include/python3.16")]
pub(crate) struct LayoutsArgs {
    /// Folders of Python.h
    #[arg(last = true, value_name = "FOLDERS")]
    arguments: Vec<String>,
}

pub(crate) fn layouts(args: &LayoutsArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::BPF])?;
    let mut layouts = program("layouts", Selection::Every)?;
    command::run(layouts.arg("--").args(&args.arguments))
}

/// Checks a million samples over all interpreters: no impossible stack, no garbage name, hardly a frame without name or line
///
/// Runs as root (through sudo when needed). The ordinary tests check 50,000.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask accuracy                     a minute or two
  cargo xtask accuracy --samples 10000000  ten million")]
pub(crate) struct AccuracyArgs {
    /// How many samples to check
    #[arg(long, default_value_t = 1_000_000)]
    samples: u64,
    /// On every Python of tests/pythons.toml, not only on the representative ones
    #[arg(long, visible_alias = "all-pythons")]
    full: bool,
}

pub(crate) fn accuracy(args: &AccuracyArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::BPF])?;
    let selection = selection(args.full);
    pythons::ensure_for_tests(selection)?;
    let mut cargo = cargo_with_bpf_linker()?;
    cargo.args([
        "test",
        "--package",
        "tests",
        "--test",
        "live_accuracy",
        "--",
        "--nocapture",
    ]);
    run_as_root(&mut cargo)?;
    cargo.env("PYEBPF_BIN", pyebpf(true)?);
    cargo.env("PYEBPF_ACCURACY_SAMPLES", args.samples.to_string());
    pythons::tell(&mut cargo, selection)?;
    command::run(&mut cargo)
}

fn selection(full: bool) -> Selection {
    if full { Selection::Every } else { Selection::Ci }
}

pub(crate) fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::BPF])?;
    let selection = selection(args.full);
    pythons::ensure_for_tests(selection)?;
    let mut cargo = program("bench", selection)?;
    run_as_root(&mut cargo)?;
    cargo.env("PYEBPF_BIN", pyebpf(true)?);
    command::run(cargo.arg("--").args(&args.arguments))
}

pub(crate) fn snapshot(args: &SnapshotArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::BPF])?;
    pythons::ensure_for_tests(Selection::Ci)?;
    // Of every version that is here: those of pyenv are, or cannot be obtained.
    let mut recorder = program("record-snapshot", Selection::Every)?;
    command::run(recorder.arg("--").args(&args.arguments))
}

/// A program of the member `tests`, built with optimisation; its arguments follow.
pub(crate) fn program(name: &str, selection: Selection) -> anyhow::Result<Command> {
    let mut cargo = cargo_with_bpf_linker()?;
    cargo.args(["run", "--release", "--package", "tests", "--bin", name]);
    pythons::tell(&mut cargo, selection)?;
    Ok(cargo)
}
