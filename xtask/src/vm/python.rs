//! The Pythons of this machine that the guest gets, each with the part of its library that start-up needs.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::initramfs::Initramfs;
use super::matrix::PythonRow;
use crate::command;
use crate::hint::hinted;
use crate::setup::python::{interpreters, pyenv_root};

/// Packages of the library; modules that are single files are all copied.
const PACKAGES: &[&str] = &["collections", "encodings", "importlib", "json", "re"];

/// An interpreter of this machine.
pub(super) struct Python {
    /// `3.8`
    pub(super) version: String,
    pub(super) path: PathBuf,
}

/// The interpreter of every row. A row that cannot be had here is an error where it was promised, else a message.
pub(super) fn find_all(rows: &[PythonRow]) -> anyhow::Result<Vec<Python>> {
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

fn find(row: &PythonRow) -> anyhow::Result<Option<Python>> {
    let everything = interpreters();
    match row {
        PythonRow::System => {
            let path = everything.into_iter().find(|path| path.starts_with("/usr/bin"));
            let path = path.ok_or_else(|| hinted("no Python in /usr/bin", "apt-get install python3"))?;
            Ok(Some(Python {
                version: version_in_name(&path),
                path,
            }))
        }
        PythonRow::Pyenv { version } => {
            let Some(root) = pyenv_root() else {
                eprintln!("test-vm: Python {version} is not tested: there is no pyenv on this machine");
                return Ok(None);
            };
            let name = format!("python{version}");
            let path = everything
                .into_iter()
                .find(|path| path.starts_with(&root) && path.ends_with(&name));
            let path = path.ok_or_else(|| {
                hinted(
                    format!("pyenv has no Python {version}"),
                    format!("pyenv install {version}"),
                )
            })?;
            Ok(Some(Python {
                version: version.clone(),
                path,
            }))
        }
    }
}

/// `3.11` of `/usr/bin/python3.11`.
fn version_in_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.trim_start_matches("python").to_owned()
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
