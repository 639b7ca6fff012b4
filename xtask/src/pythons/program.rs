//! Programs of `tests/programs`: C around the libpython of another row.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};

use super::Place;
use crate::{command, workspace};
use test_pythons::matrix::Found;

/// Its source.
pub(super) fn text(source: &str) -> anyhow::Result<String> {
    let path = path(source);
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// `base` has a shared libpython, installed as upstream does.
pub(super) fn compile(place: &Place, source: &str, version: &str, base: &Found) -> anyhow::Result<()> {
    let home = base.program.parent().and_then(Path::parent);
    let home = home.context("an interpreter without a folder")?;
    let library = home.join(format!("lib/libpython{version}.so"));
    ensure!(
        base.root.is_none() && library.is_file(),
        "there is no {}",
        library.display()
    );
    let scratch = place.scratch()?;
    fs::create_dir_all(scratch.join("bin"))?;
    let mut cc = Command::new("cc");
    cc.args(["-O2", "-Wall", "-Wextra", "-o"])
        .arg(scratch.join("bin/program"))
        .arg(format!("-I{}/include/python{version}", home.display()))
        .arg(format!("-DPYTHON_HOME=\"{}\"", home.display()))
        .arg(format!("-DPYTHON_LIBRARY=\"{}\"", library.display()))
        .arg(path(source))
        // Only what the program refers to: one that opens it later must not be linked with it.
        .args(["-Wl,--as-needed", "-ldl"])
        .arg(&library)
        .arg(format!("-Wl,-rpath,{}/lib", home.display()));
    command::run(&mut cc)?;
    place.replace_by(&scratch)
}

fn path(source: &str) -> PathBuf {
    workspace::root().join("tests/programs").join(source)
}
