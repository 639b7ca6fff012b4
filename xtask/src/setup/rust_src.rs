//! The source of Rust's standard library: `core` for the BPF target is compiled from it (`-Z build-std=core`).
//!
//! rustup first. Where it is absent or reaches nothing, Debian's package of exactly the same version is unpacked
//! into the place rustup would have used.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::Need;
use crate::debian::archive::Archive;
use crate::hint::{WithHint as _, hinted};
use crate::{command, debian, toolchain, workspace};

const PACKAGE: &str = "rust-src";
/// The Debian suite that carries current Rust versions for its stable release.
const SUITE: &str = "trixie-backports";

pub(super) struct RustSource;

impl Need for RustSource {
    fn name(&self) -> &str {
        PACKAGE
    }

    fn plan(&self) -> anyhow::Result<String> {
        let channel = toolchain::channel()?;
        Ok(format!(
            "{PACKAGE} {channel} into its toolchain (rustup component add, else Debian's package from {SUITE})"
        ))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        // Without the toolchain there is no place for its source either.
        Ok(toolchain::sysroot().is_ok_and(|sysroot| {
            // Cargo resolves `core` with this lock file; core itself shows that it is not an empty shell.
            let library = library_dir(&sysroot);
            library.join("Cargo.lock").is_file() && library.join("core/src/lib.rs").is_file()
        }))
    }

    fn install(&self) -> anyhow::Result<()> {
        let channel = toolchain::channel()?;
        let by_hand = format!("rustup component add {PACKAGE} --toolchain {channel}");
        if toolchain::has_rustup() {
            let mut add = Command::new("rustup");
            match command::run(add.args(["component", "add", PACKAGE, "--toolchain", &channel])) {
                Ok(()) => return Ok(()),
                Err(error) => eprintln!("setup: {error:#}; taking Debian's package instead"),
            }
        }
        if !debian::has_apt() {
            return Err(hinted(
                format!(
                    "{PACKAGE} {channel} is missing; rustup cannot install it, and there is no apt-get here"
                ),
                by_hand,
            ));
        }
        install_from_debian(&channel).or_hint(|| by_hand)
    }
}

fn library_dir(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib/src/rust/library")
}

fn install_from_debian(channel: &str) -> anyhow::Result<()> {
    let archive = Archive::open(SUITE)?;
    let version = archive.version_of(PACKAGE, channel)?;
    let work = workspace::cache_dir()?.join(format!("{PACKAGE}-{version}.{}", std::process::id()));
    eprintln!("setup: downloading and unpacking Debian's {PACKAGE} {version}");
    let package = archive.download(&format!("{PACKAGE}={version}"), &work)?;
    let unpacked = work.join("root");
    debian::unpack(&package, &unpacked)?;
    let library = find_library(&unpacked.join("usr/src"))?;
    place(&library, &library_dir(&toolchain::sysroot()?))?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
}

/// `usr/src/rustc-1.95.0/library`, whatever the directory between is called.
fn find_library(sources: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(sources).with_context(|| format!("cannot read {}", sources.display()))? {
        let library = entry?.path().join("library");
        if library.join("core/src/lib.rs").is_file() {
            return Ok(library);
        }
    }
    anyhow::bail!("the package holds no library under {}", sources.display())
}

/// Copies beside the destination, then renames: a stopped copy never looks complete.
fn place(library: &Path, destination: &Path) -> anyhow::Result<()> {
    let parent = destination.parent().context("the destination has no parent")?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let partial = parent.join(format!("library.{}", std::process::id()));
    command::run(
        Command::new("cp")
            .arg("--recursive")
            .arg("--dereference")
            .arg(library)
            .arg(&partial),
    )?;
    if destination.exists() {
        fs::remove_dir_all(destination)?;
    }
    fs::rename(&partial, destination).with_context(|| format!("cannot create {}", destination.display()))
}
