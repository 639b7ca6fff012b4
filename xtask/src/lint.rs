//! `cargo xtask fmt`, `clippy` and `deny`: the checks on form and on dependencies, exactly as CI calls them.
//!
//! They change nothing unless asked to (`fmt` without `--check`).

use std::process::Command;

use crate::build::cargo_with_bpf_linker;
use crate::hint::WithHint as _;
use crate::setup::{self, cargo_tool};
use crate::{command, toolchain, workspace};

/// Formats the whole workspace
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask fmt           format every member
  cargo xtask fmt --check   only say what is not formatted, as CI does")]
pub(crate) struct FmtArgs {
    /// Change nothing; exit status 1 if anything would change
    #[arg(long)]
    check: bool,
}

/// Runs clippy with every warning an error, on the host's members and on the BPF half
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask clippy")]
pub(crate) struct ClippyArgs {}

/// Checks licences, sources, wildcards and known vulnerabilities of all dependencies
///
/// Vulnerabilities only when their database can be fetched; it says so when it cannot.
#[derive(clap::Args)]
#[command(after_help = "Example:
  cargo xtask deny")]
pub(crate) struct DenyArgs {}

pub(crate) fn fmt(args: &FmtArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::LINT])?;
    // The fuzz targets are a workspace of their own.
    let workspaces = ["Cargo.toml", "tests/fuzz/Cargo.toml"];
    for manifest in workspaces
        .iter()
        .filter(|path| workspace::root().join(path).is_file())
    {
        let mut cargo = toolchain::cargo()?;
        cargo.args(["fmt", "--all", "--manifest-path", manifest]);
        if args.check {
            cargo.arg("--check");
        }
        command::run(&mut cargo).or_hint(|| "cargo xtask fmt")?;
    }
    Ok(())
}

pub(crate) fn clippy(_args: &ClippyArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::BPF, setup::LINT])?;
    let mut host = cargo_with_bpf_linker()?;
    host.args([
        "clippy",
        "--workspace",
        "--exclude",
        "profiler-ebpf",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]);
    // Both always run: the findings in one half do not hide those in the other.
    let (host, bpf) = (command::run(&mut host), command::run(&mut clippy_bpf()?));
    host.and(bpf)
}

/// The kernel half compiles for its own target only, with the features `aya-build` unlocks for it.
fn clippy_bpf() -> anyhow::Result<Command> {
    let mut cargo = cargo_with_bpf_linker()?;
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo.env(
        "CARGO_ENCODED_RUSTFLAGS",
        format!("--cfg=bpf_target_arch=\"{}\"", std::env::consts::ARCH),
    );
    cargo.args([
        "clippy",
        "--release",
        "--package",
        "profiler-ebpf",
        "--target",
        "bpfel-unknown-none",
    ]);
    cargo.args(["-Z", "build-std=core", "--", "-D", "warnings"]);
    Ok(cargo)
}

pub(crate) fn deny(_args: &DenyArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::DENY])?;
    command::run(cargo_deny()?.args(["check", "licenses", "bans", "sources"]))?;
    // Fetched apart from the check: an unreachable server is not a finding.
    let mut fetch = Command::new("timeout");
    fetch
        .arg("60")
        .arg(cargo_tool::CARGO_DENY.bin_dir()?.join("cargo-deny"))
        .args(["fetch", "db"]);
    match command::output(fetch.current_dir(workspace::root())) {
        Ok(_) => command::run(cargo_deny()?.args(["check", "--disable-fetch", "advisories"])),
        Err(error) => {
            eprintln!(
                "deny: known vulnerabilities were not checked, their database is out of reach: {error:#}"
            );
            Ok(())
        }
    }
}

fn cargo_deny() -> anyhow::Result<Command> {
    let mut deny = toolchain::program("cargo")?;
    deny.env("PATH", command::path_with(cargo_tool::CARGO_DENY.bin_dir()?)?);
    deny.current_dir(workspace::root()).arg("deny");
    Ok(deny)
}
