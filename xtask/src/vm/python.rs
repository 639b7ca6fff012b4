//! The Pythons of this machine that the guest gets, each with the part of its library that start-up needs.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;

use super::initramfs::Initramfs;
use crate::hint::hinted;
use crate::{command, pythons};

/// Packages of the library; modules that are single files are all copied.
const PACKAGES: &[&str] = &["collections", "encodings", "importlib", "json", "re"];

/// An interpreter of this machine.
pub(super) struct Python {
    /// `3.8`
    pub(super) version: String,
    pub(super) path: PathBuf,
}

/// The interpreter of every row. One that cannot be had here is an error where it was promised, else a message.
pub(super) fn find_all(rows: &[String]) -> anyhow::Result<Vec<Python>> {
    pythons::ensure_named(rows)?;
    let mut found = Vec::new();
    for row in rows {
        found.extend(find(row)?);
    }
    anyhow::ensure!(
        !found.is_empty(),
        "no Python of vm-test/matrix.toml is on this machine"
    );
    Ok(found)
}

fn find(row: &str) -> anyhow::Result<Option<Python>> {
    if let Some(python) = pythons::find(row)? {
        anyhow::ensure!(python.root.is_none(), "the guest has one root: {row} has its own");
        return Ok(Some(Python {
            version: python.version.split('.').take(2).collect::<Vec<_>>().join("."),
            path: python.program,
        }));
    }
    if row.ends_with("-pyenv") && !pythons::has_pyenv()? {
        eprintln!("test-vm: {row} is not tested: there is no pyenv on this machine");
        return Ok(None);
    }
    Err(hinted(
        format!("the Python {row} is not on this machine"),
        format!("cargo xtask pythons {row}"),
    ))
}

impl Python {
    /// Copies the program, its shared libraries, and its start-up modules to the same paths in the guest.
    pub(super) fn add_to(&self, initramfs: &mut Initramfs) -> anyhow::Result<()> {
        initramfs.add_program(&self.path, &self.path)?;
        let library = self.library()?;
        initramfs.add_files(&library, |path| {
            path.extension().is_some_and(|extension| extension == "py")
        })?;
        for package in PACKAGES {
            let dir = library.join(package);
            if dir.is_dir() {
                initramfs.add_tree(&dir)?;
            }
        }
        // Its presence is how a Python finds where it is installed.
        initramfs.add_dir(&library.join("lib-dynload"));
        Ok(())
    }

    fn library(&self) -> anyhow::Result<PathBuf> {
        let script = "import os; print(os.path.dirname(os.__file__))";
        let stdout = command::output(Command::new(&self.path).args(["-I", "-c", script]))?;
        let library = PathBuf::from(stdout.trim());
        library
            .is_absolute()
            .then_some(library)
            .context("a Python without a library")
    }
}
