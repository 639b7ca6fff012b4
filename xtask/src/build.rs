//! `cargo xtask build`: the `pyebpf` binary, from a fresh checkout; and how other verbs build.

use std::path::PathBuf;
use std::process::Command;

use crate::hint::hinted;
use crate::plan::Step;
use crate::setup::{self, cargo_tool};
use crate::{command, times, toolchain, workspace};

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

pub(crate) fn build(args: &BuildArgs) -> anyhow::Result<()> {
    setup::ensure(&[setup::RUST, setup::BPF])?;
    let binary = pyebpf(args.release)?;
    eprintln!("build: {}", binary.display());
    Ok(())
}

/// What can be built.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// The binary, as users get it or for debugging.
    Pyebpf { release: bool },
    /// Every test program of the workspace.
    Tests,
}

impl Target {
    /// Its folder in the target directory.
    fn profile(self) -> &'static str {
        match self {
            Self::Pyebpf { release: true } => "release",
            Self::Pyebpf { release: false } | Self::Tests => "debug",
        }
    }

    /// The step of building it, where nothing of the profiler has been built yet; what changed since is no step to wait for.
    pub(crate) fn step(self) -> anyhow::Result<Option<Step>> {
        let fingerprints = workspace::target_dir()?.join(self.profile()).join(".fingerprint");
        let text = match self {
            Self::Pyebpf { .. } => format!(
                "build target/{}/pyebpf with all that it depends on",
                self.profile()
            ),
            Self::Tests => "build the test programs with all that they depend on".to_owned(),
        };
        // The profiler's first large dependency, which xtask does not have.
        let mut entries = std::fs::read_dir(fingerprints).into_iter().flatten().flatten();
        let is_begun = entries.any(|entry| entry.file_name().to_string_lossy().starts_with("aya-"));
        Ok((!is_begun).then(|| Step::new(format!("build {}", self.name()), text)))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Pyebpf { release: true } => "pyebpf --release",
            Self::Pyebpf { release: false } => "pyebpf",
            Self::Tests => "tests",
        }
    }

    /// Builds it; its time is noted where it is built from nothing.
    pub(crate) fn build(self, cargo: &mut Command) -> anyhow::Result<()> {
        match self.step()? {
            Some(step) => times::measured(&step.name, || command::run(cargo)),
            None => command::run(cargo),
        }
    }
}

/// Builds the binary and returns its path; quick when nothing changed.
pub(crate) fn pyebpf(release: bool) -> anyhow::Result<PathBuf> {
    let mut cargo = cargo_with_bpf_linker()?;
    cargo.args(["build", "--package", "profiler-user", "--bin", "pyebpf"]);
    if release {
        cargo.arg("--release");
    }
    let target = Target::Pyebpf { release };
    target.build(&mut cargo)?;
    Ok(workspace::target_dir()?.join(target.profile()).join("pyebpf"))
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
        if command::find_on_path("sudo").is_none() {
            return Err(hinted(
                "BPF programs are loaded by root, and there is no `sudo`",
                "run the same command as root",
            ));
        }
        let triple = toolchain::host_triple()?.to_uppercase().replace('-', "_");
        cargo.env(format!("CARGO_TARGET_{triple}_RUNNER"), "sudo --preserve-env");
    }
    Ok(())
}
