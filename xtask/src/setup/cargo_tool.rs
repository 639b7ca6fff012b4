//! Tools from the Rust registry, each at one pinned version, in a directory of its own in the cache.
//!
//! A tool of the same version that is already on `PATH` is used as it is. No user's `~/.cargo/bin` is touched.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::Need;
use crate::hint::WithHint as _;
use crate::{command, toolchain, workspace};

/// A program that `cargo install` builds.
pub(crate) struct CargoTool {
    name: &'static str,
    version: &'static str,
    /// What it is for, for the announcement.
    note: &'static str,
}

/// Links the kernel half. 0.10 loads the LLVM that the pinned rustc brings along; 0.11 wants a system LLVM.
pub(crate) const BPF_LINKER: CargoTool = CargoTool {
    name: "bpf-linker",
    version: "0.10.4",
    note: "links BPF objects",
};

/// Checks licences, sources and known vulnerabilities of every dependency.
pub(crate) const CARGO_DENY: CargoTool = CargoTool {
    name: "cargo-deny",
    version: "0.20.2",
    note: "checks dependencies",
};

/// Builds and runs the fuzz targets.
pub(crate) const CARGO_FUZZ: CargoTool = CargoTool {
    name: "cargo-fuzz",
    version: "0.13.2",
    note: "runs fuzz targets",
};

impl CargoTool {
    /// The directory to put on `PATH`.
    pub(crate) fn bin_dir(&self) -> anyhow::Result<PathBuf> {
        if self.cached()?.is_file() {
            return self.root().map(|root| root.join("bin"));
        }
        let found = self
            .on_path()
            .with_context(|| format!("{} {} is not installed", self.name, self.version))?;
        Ok(found
            .parent()
            .context("a program without a directory")?
            .to_path_buf())
    }

    fn root(&self) -> anyhow::Result<PathBuf> {
        Ok(workspace::cache_dir()?.join(format!("{}-{}", self.name, self.version)))
    }

    fn cached(&self) -> anyhow::Result<PathBuf> {
        Ok(self.root()?.join("bin").join(self.name))
    }

    /// The program on `PATH`, if its version is the pinned one.
    fn on_path(&self) -> Option<PathBuf> {
        let path = command::find_on_path(self.name)?;
        let version = command::output(Command::new(&path).arg("--version")).ok()?;
        version
            .split_whitespace()
            .any(|word| word == self.version)
            .then_some(path)
    }
}

impl Need for CargoTool {
    fn name(&self) -> &str {
        self.name
    }

    fn plan(&self) -> anyhow::Result<String> {
        let Self { name, version, note } = self;
        Ok(format!(
            "{name} {version} into {} (cargo install; {note})",
            self.root()?.display()
        ))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        Ok(self.cached()?.is_file() || self.on_path().is_some())
    }

    fn install(&self) -> anyhow::Result<()> {
        let root = self.root()?;
        std::fs::create_dir_all(&root).with_context(|| format!("cannot create {}", root.display()))?;
        let mut cargo = toolchain::program("cargo")?;
        // From the cache directory: the checkout's Cargo configuration is not for other people's programs.
        cargo
            .current_dir(&root)
            .args(["install", "--locked", "--quiet", "--version", self.version]);
        cargo.arg("--root").arg(&root).arg(self.name);
        command::run(&mut cargo)
            .or_hint(|| "see the compiler's message above, then run the same command again")
    }
}
