//! `cargo xtask fuzz`: runs the fuzz targets of `tests/fuzz`, each for a while.
//!
//! cargo-fuzz wants a nightly compiler for its `-Z` flags; `RUSTC_BOOTSTRAP=1` unlocks them in the pinned stable one,
//! which ships the sanitizer's runtime too.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail, ensure};

use crate::setup::{self, cargo_tool};
use crate::{command, toolchain, workspace};

/// Where the targets are, a workspace of its own.
const FUZZ_DIR: &str = "tests/fuzz";

/// libFuzzer's last word with `-print_final_stats=1`.
const EXECUTIONS: &str = "stat::number_of_executed_units:";

/// Runs every fuzz target for some seconds
///
/// A target fails when it crashes, and also when it never ran its code. Inputs that crashed are kept in
/// `tests/fuzz/artifacts`, interesting ones in `tests/fuzz/corpus`.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fuzz                               every target for 10 s (`cargo xtask test`: 5 s)
  cargo xtask fuzz --seconds 3600 line_tables    one target for an hour
  cargo xtask fuzz line_tables --input FILE      run one input again")]
pub(crate) struct Args {
    /// Seconds for each target
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Run this input once instead of searching
    #[arg(long, value_name = "FILE", requires = "targets")]
    input: Option<std::path::PathBuf>,
    /// Only these targets
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Whether this checkout has fuzz targets.
pub(crate) fn exists() -> bool {
    workspace::root().join(FUZZ_DIR).join("Cargo.toml").is_file()
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        exists(),
        "there are no fuzz targets: {FUZZ_DIR}/Cargo.toml is missing"
    );
    setup::ensure(&[setup::RUST, setup::FUZZ])?;
    let targets = if args.targets.is_empty() {
        all_targets()?
    } else {
        args.targets.clone()
    };
    if let Some(input) = &args.input {
        for target in &targets {
            command::run(cargo_fuzz("run")?.arg(target).arg(input))?;
        }
        return Ok(());
    }
    smoke(&targets, args.seconds).map(|_| ())
}

/// Every target for some seconds; what `cargo xtask test` runs.
pub(crate) fn smoke_all(seconds: u32) -> anyhow::Result<usize> {
    smoke(&all_targets()?, seconds)
}

/// Returns how many targets ran; all failures are in one error.
fn smoke(targets: &[String], seconds: u32) -> anyhow::Result<usize> {
    command::run(&mut cargo_fuzz("build")?).context("building the fuzz targets")?;
    let mut failures = Vec::new();
    for target in targets {
        match search(target, seconds) {
            Ok(executions) => println!("fuzz {target} ... ok ({executions} executions in {seconds} s)"),
            Err(error) => {
                println!("fuzz {target} ... FAILED");
                failures.push(format!("{target}: {error:#}"));
            }
        }
    }
    if !failures.is_empty() {
        bail!(
            "{} of {} fuzz targets failed: {}",
            failures.len(),
            targets.len(),
            failures.join("; ")
        );
    }
    Ok(targets.len())
}

fn all_targets() -> anyhow::Result<Vec<String>> {
    let list = command::output(&mut cargo_fuzz("list")?)?;
    let targets: Vec<_> = list.split_whitespace().map(str::to_owned).collect();
    ensure!(!targets.is_empty(), "{FUZZ_DIR} has no targets");
    Ok(targets)
}

/// Searches for crashing inputs; returns how often the target ran.
fn search(target: &str, seconds: u32) -> anyhow::Result<u64> {
    let mut fuzz = cargo_fuzz("run")?;
    fuzz.arg(target);
    let seeds = workspace::root().join(FUZZ_DIR).join("seeds").join(target);
    if seeds.is_dir() {
        // The first directory is the one libFuzzer writes to.
        let corpus = workspace::root().join(FUZZ_DIR).join("corpus").join(target);
        std::fs::create_dir_all(&corpus).with_context(|| format!("cannot create {}", corpus.display()))?;
        fuzz.arg(corpus).arg(seeds);
    }
    fuzz.args([
        "--",
        &format!("-max_total_time={seconds}"),
        "-print_final_stats=1",
        "-timeout=10",
    ]);
    let mut child = fuzz
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot start cargo fuzz")?;
    let stderr = child.stderr.take().context("cargo fuzz has no stderr")?;
    let mut lines = Vec::new();
    for line in BufReader::new(stderr).split(b'\n') {
        lines.push(String::from_utf8_lossy(&line?).into_owned());
    }
    let status = child.wait()?;
    if !status.success() {
        // The input and how to run it again are at the end.
        eprintln!("{}", lines.join("\n"));
        bail!("cargo fuzz run {target} failed ({status})");
    }
    let executions = executions(&lines).context("libFuzzer printed no number of executions")?;
    ensure!(executions > 0, "the target never ran");
    Ok(executions)
}

fn executions(lines: &[String]) -> Option<u64> {
    lines
        .iter()
        .find_map(|line| line.strip_prefix(EXECUTIONS))?
        .trim()
        .parse()
        .ok()
}

/// `cargo fuzz VERB` on our targets, with the pinned compiler.
fn cargo_fuzz(verb: &str) -> anyhow::Result<Command> {
    let mut fuzz = toolchain::cargo()?;
    fuzz.env("PATH", command::path_with(cargo_tool::CARGO_FUZZ.bin_dir()?)?);
    // Its own lock and profile: its own target directory too. No target loads the kernel half.
    fuzz.env("CARGO_TARGET_DIR", workspace::target_dir()?.join("fuzz"));
    fuzz.env("RUSTC_BOOTSTRAP", "1")
        .env("AYA_BUILD_SKIP", "1")
        .arg("fuzz");
    fuzz.args([verb, "--fuzz-dir", FUZZ_DIR]);
    Ok(fuzz)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_executions_is_libfuzzers_own() {
        let lines = [
            "Done 12 runs in 4 second(s)",
            "stat::number_of_executed_units: 12",
        ]
        .map(str::to_owned);
        assert_eq!(executions(&lines), Some(12));
        assert_eq!(executions(&lines[..1]), None);
    }
}
