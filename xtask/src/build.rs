//! `cargo xtask build` and `cargo xtask run`: the `pyebpf` binary, from a fresh checkout.
//!
//! Builds as the user, runs as root. The profiler's own arguments are passed on untouched.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;

use crate::setup::{self, cargo_tool};
use crate::{command, toolchain, workspace};

/// Builds `pyebpf` with its BPF object, after installing what the build lacks
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask build             a debug build: target/debug/pyebpf
  cargo xtask build --release   what `run`, `test` and `test-vm` use: target/release/pyebpf")]
pub(crate) struct BuildArgs {
    /// Build with optimisation, as users get it
    #[arg(long)]
    release: bool,
}

/// Builds `pyebpf` in release mode and runs it, as root (through sudo when needed)
///
/// Its exit status is this command's.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask run -- record --all -d 10             every Python on this host, for 10 s
  cargo xtask run -- record -o out.svg -- python3 script.py
  cargo xtask run -- doctor                         what this host lacks, which Pythons were found")]
pub(crate) struct RunArgs {
    /// What to pass to `pyebpf`
    #[arg(last = true, value_name = "PYEBPF ARGUMENTS")]
    arguments: Vec<std::ffi::OsString>,
}

pub(crate) fn build(args: &BuildArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::BPF])?;
    let binary = pyebpf(args.release)?;
    eprintln!("build: {}", binary.display());
    Ok(())
}

pub(crate) fn run(args: &RunArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::BPF])?;
    let binary = pyebpf(true)?;
    // Replaced, not waited for: signals and the exit status are then the profiler's own.
    let error = command::as_root(binary.as_os_str())?.args(&args.arguments).exec();
    Err(anyhow::Error::new(error).context(format!("cannot start {}", binary.display())))
}

/// Builds the binary and returns its path; quick when nothing changed.
pub(crate) fn pyebpf(release: bool) -> anyhow::Result<PathBuf> {
    let mut cargo = cargo_with_bpf_linker()?;
    cargo.args(["build", "--package", "profiler-user", "--bin", "pyebpf"]);
    if release {
        cargo.arg("--release");
    }
    command::run(&mut cargo)?;
    let profile = if release { "release" } else { "debug" };
    Ok(workspace::target_dir()?.join(profile).join("pyebpf"))
}

/// `cargo` with what the build script of the user half looks for on `PATH`.
pub(crate) fn cargo_with_bpf_linker() -> anyhow::Result<Command> {
    let mut cargo = toolchain::cargo()?;
    cargo.env("PATH", command::path_with(cargo_tool::BPF_LINKER.bin_dir()?)?);
    // For editing: a binary without programs is not what these verbs are asked for.
    cargo.env_remove("AYA_BUILD_SKIP");
    Ok(cargo)
}

/// Lets cargo start what it built as root: what is built stays the user's.
pub(crate) fn run_as_root(cargo: &mut Command) -> anyhow::Result<()> {
    if !command::is_root() {
        let triple = toolchain::host_triple()?.to_uppercase().replace('-', "_");
        cargo.env(format!("CARGO_TARGET_{triple}_RUNNER"), "sudo --preserve-env");
    }
    Ok(())
}
