//! `cargo xtask setup`: finds what the build lacks, says all of it, then installs it.
//!
//! Every verb that needs something starts here. A need is one type of this folder; the groups below say what it is for.
//! Nothing is installed that was not announced, and nothing is looked up on the network while nothing is missing.

pub(crate) mod c_compiler;
pub(crate) mod cargo_tool;
mod container;
mod qemu;
mod rust_src;
mod toolchain;

use std::time::Instant;

use anyhow::Context as _;

use crate::hint::hinted;

/// Something a verb cannot do without.
pub(crate) trait Need: Sync {
    /// What it is and how it will be installed, for the announcement.
    fn plan(&self) -> anyhow::Result<String>;
    /// Whether it is there. Answers in milliseconds.
    fn is_present(&self) -> anyhow::Result<bool>;
    /// Installs it; the needs listed before it are there by now.
    fn install(&self) -> anyhow::Result<()>;
}

// What a verb may need, in the order of installation.

/// Any Rust program of this workspace.
pub(crate) const RUST: &[&dyn Need] = &[
    &c_compiler::CCompiler { program: "cc" },
    &toolchain::PinnedToolchain,
];
/// The kernel half.
pub(crate) const BPF: &[&dyn Need] = &[&rust_src::RustSource, &cargo_tool::BPF_LINKER];
/// Containers to profile.
pub(crate) const CONTAINERS: &[&dyn Need] = &[&container::RUNC];
/// Those of podman too.
pub(crate) const PODMAN: &[&dyn Need] = &[&container::PODMAN];
/// The fuzz targets.
pub(crate) const FUZZ: &[&dyn Need] = &[&c_compiler::CCompiler { program: "c++" }, &cargo_tool::CARGO_FUZZ];
/// The kernel matrix.
pub(crate) const VM: &[&dyn Need] = &[&qemu::Qemu];
/// The checks on form.
pub(crate) const LINT: &[&dyn Need] = &[&toolchain::Linters];
/// The checks on dependencies.
pub(crate) const DENY: &[&dyn Need] = &[&cargo_tool::CARGO_DENY];

/// Installs what building pyebpf needs and this machine lacks
///
/// The pinned Rust toolchain with the source of its standard library, bpf-linker, a C compiler.
/// Rust tools go to `~/.cache/pyebpf`, Debian packages are installed with apt-get (through sudo when not root).
/// Every verb that builds does this first, so it is rarely typed.
#[derive(clap::Args)]
#[command(after_help = "Examples:
  cargo xtask setup           install what is missing, under one second when nothing is
  cargo xtask setup --check   only say what is missing; exit status 1 if anything is")]
pub(crate) struct Args {
    /// Install nothing
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let start = Instant::now();
    if args.check {
        let missing = missing(&[RUST, BPF])?;
        announce(&missing)?;
        if !missing.is_empty() {
            return Err(hinted("something is missing", "cargo xtask setup"));
        }
    } else {
        ensure(&[RUST, BPF])?;
    }
    eprintln!(
        "setup: everything is here ({:.1} s)",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Makes sure that all of these groups are there. Silent when they are.
pub(crate) fn ensure(groups: &[&[&dyn Need]]) -> anyhow::Result<()> {
    let missing = missing(groups)?;
    announce(&missing)?;
    for need in missing {
        let plan = need.plan()?;
        // An earlier installation may have brought it along.
        if need.is_present()? {
            continue;
        }
        eprintln!("setup: installing {plan}");
        need.install().with_context(|| format!("cannot install {plan}"))?;
        anyhow::ensure!(need.is_present()?, "installed {plan}, and it is still not found");
    }
    Ok(())
}

fn missing<'a>(groups: &[&[&'a dyn Need]]) -> anyhow::Result<Vec<&'a dyn Need>> {
    let mut missing = Vec::new();
    for need in groups.iter().copied().flatten() {
        if !need.is_present()? {
            missing.push(*need);
        }
    }
    Ok(missing)
}

fn announce(missing: &[&dyn Need]) -> anyhow::Result<()> {
    if !missing.is_empty() {
        eprintln!("setup: not here yet, to be installed:");
    }
    for need in missing {
        eprintln!("setup:   {}", need.plan()?);
    }
    Ok(())
}
