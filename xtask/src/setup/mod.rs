//! `cargo xtask setup`: finds what the build lacks, says all of it, then installs it.
//!
//! Every verb that needs something starts here. A need is one type of this folder; the groups below say what it is for.
//! Nothing is installed that was not announced, and nothing is looked up on the network while nothing is missing.

pub(crate) mod c_compiler;
pub(crate) mod cargo_tool;
mod container;
pub(crate) mod python;
mod qemu;
mod reader;
mod rust_src;
mod toolchain;

use std::time::Instant;

use anyhow::Context as _;

use crate::hint::hinted;
use crate::plan::{self, Step};
use crate::times;

const HEADING: &str = "not here yet:";

/// Something a verb cannot do without.
pub(crate) trait Need: Sync {
    /// One or two words; in the file of times it is `install` and this.
    fn name(&self) -> &str;
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
/// A Python to show something on.
pub(crate) const PYTHON: &[&dyn Need] = &[&python::AnyPython];
/// Containers to profile.
pub(crate) const CONTAINERS: &[&dyn Need] = &[&container::RUNC];
/// Those of podman too.
pub(crate) const PODMAN: &[&dyn Need] = &[&container::PODMAN];
/// What reads the formats.
pub(crate) const READERS: &[&dyn Need] = &[
    &reader::GO,
    &reader::CALLGRIND_ANNOTATE,
    &reader::CHROMIUM,
    &reader::TMUX,
    &reader::ZSTD,
];
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
        plan::announce("setup", HEADING, &steps(&missing)?)?;
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
    plan::announce("setup", HEADING, &steps(&missing)?)?;
    install(&missing)
}

/// Installs what was announced.
pub(crate) fn install(missing: &[&dyn Need]) -> anyhow::Result<()> {
    for need in missing {
        let plan = need.plan()?;
        // An earlier installation may have brought it along.
        if need.is_present()? {
            continue;
        }
        eprintln!("setup: installing {plan}");
        times::measured(&step_name(*need), || need.install())
            .with_context(|| format!("cannot install {plan}"))?;
        if !need.is_present()? {
            return Err(hinted(
                format!("installed {plan}, and it is still not found"),
                "see what the installer said above, then: cargo xtask setup",
            ));
        }
    }
    Ok(())
}

/// What of these groups is not here.
pub(crate) fn missing<'a>(groups: &[&[&'a dyn Need]]) -> anyhow::Result<Vec<&'a dyn Need>> {
    let mut missing = Vec::new();
    for need in groups.iter().copied().flatten() {
        if !need.is_present()? {
            missing.push(*need);
        }
    }
    Ok(missing)
}

/// For an announcement.
pub(crate) fn steps(missing: &[&dyn Need]) -> anyhow::Result<Vec<Step>> {
    let steps = missing
        .iter()
        .map(|need| Ok(Step::new(step_name(*need), format!("install {}", need.plan()?))));
    steps.collect()
}

fn step_name(need: &dyn Need) -> String {
    format!("install {}", need.name())
}
