//! `cargo xtask hostile`: attacks on pyebpf, each beside an innocent program, and the page `docs/hostile.md` about all of them.

use std::fs;
use std::process::Stdio;

use anyhow::{Context as _, bail};
use test_pythons::Selection;

use crate::build::{pyebpf, run_as_root};
use crate::{command, programs, pythons, setup, workspace};

/// The page.
const PAGE: &str = "docs/hostile.md";

/// Runs every attack on pyebpf beside an innocent program; prints what came of it and writes docs/hostile.md
///
/// Runs as root (through sudo when needed). Fails if an attack cost anybody else anything. The ordinary tests run those that
/// stand for others.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask hostile             all attacks: about half an hour
  cargo xtask hostile --list      what they are
  cargo xtask hostile map- cfi-   only those with one of these in their name; docs/hostile.md stays")]
pub(crate) struct Args {
    /// Say what attacks there are, and run none
    #[arg(long)]
    list: bool,
    /// Only attacks with one of these in their name
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::BPF, setup::CONTAINERS])?;
    let mut cargo = programs::program("hostile", Selection::Ci)?;
    if args.list {
        return command::run(cargo.args(["--", "--list"]));
    }
    pythons::ensure_for_tests(Selection::Ci)?;
    run_as_root(&mut cargo)?;
    cargo.env("PYEBPF_BIN", pyebpf(true)?);
    cargo.arg("--").args(&args.names);
    // What it says meanwhile goes to the terminal.
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let output = output.with_context(|| format!("cannot start {}", command::line(&cargo)))?;
    let page = String::from_utf8(output.stdout)?;
    print!("{page}");
    if args.names.is_empty() && !page.is_empty() {
        fs::write(workspace::root().join(PAGE), &page).with_context(|| format!("writing {PAGE}"))?;
        eprintln!("hostile: wrote {PAGE}");
    }
    if !output.status.success() {
        bail!("an attack cost others something ({})", output.status);
    }
    Ok(())
}
