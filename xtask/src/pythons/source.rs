//! A Debian source package of CPython (upstream's own tarball, checked by apt), built as a row says: without
//! optimisation by profile and without upstream's tests, so that it takes minutes.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::available_parallelism;

use anyhow::bail;

use super::Place;
use crate::command;
use crate::debian::{self, archive::Archive};
use crate::hint::hinted;
use test_pythons::matrix::Source;

/// What every build needs of the build machine: a compiler, and the libraries behind `ctypes`, `sqlite3` and `zlib`.
const NEEDS: &[&str] = &[
    "build-essential",
    "libffi-dev",
    "libsqlite3-dev",
    "pkg-config",
    "xz-utils",
    "zlib1g-dev",
];

pub(super) fn build(place: &Place, version: &str, source: &Source) -> anyhow::Result<()> {
    let scratch = place.scratch()?;
    let tarball = Archive::open_sources(&source.suite)?.download_source(&source.package, &scratch)?;
    // Only now: if there is no source, nothing is installed for it.
    install_needs(source)?;
    let tree = scratch.join("tree");
    fs::create_dir_all(&tree)?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--strip-components=1", "--file"])
        .arg(&tarball);
    command::run(tar.arg("--directory").arg(&tree))?;

    let steps = Steps {
        place,
        tree: &tree,
        log: scratch.join("log"),
    };
    let jobs = available_parallelism().map_or(1, std::num::NonZero::get);
    steps.run("configure", &mut configure(place, source, &scratch)?)?;
    steps.run("make", Command::new("make").arg(format!("-j{jobs}")))?;
    let installed = scratch.join("installed");
    let mut install = Command::new("make");
    install
        .args(["altinstall", "TESTSUBDIRS="])
        .arg(format!("DESTDIR={}", installed.display()));
    steps.run("make altinstall", &mut install)?;

    let finished = installed.join(place.folder.strip_prefix("/").unwrap_or(&place.folder));
    name_program(&finished.join("bin"), version)?;
    place.replace_by(&finished)?;
    super::remove(&scratch)
}

fn install_needs(source: &Source) -> anyhow::Result<()> {
    let needs = NEEDS
        .iter()
        .copied()
        .chain(source.needs.iter().map(String::as_str));
    let missing: Vec<&str> = needs.filter(|package| !is_installed(package)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    eprintln!("pythons: installing {} (apt-get install)", missing.join(" "));
    debian::install(&missing)
}

fn is_installed(package: &str) -> bool {
    let mut query = Command::new("dpkg-query");
    let status = command::output(query.args(["--show", "--showformat=${db:Status-Status}", package]));
    status.is_ok_and(|status| status == "installed")
}

fn configure(place: &Place, source: &Source, scratch: &Path) -> anyhow::Result<Command> {
    let prefix = place.folder.display();
    let mut configure = Command::new("./configure");
    configure
        .arg(format!("--prefix={prefix}"))
        .args([
            "--without-ensurepip",
            "--disable-test-modules",
            "--without-static-libpython",
        ])
        .args(&source.configure)
        // A shared libpython is found where it is installed. Upstream's default is -O3, which takes longer.
        .env("LDFLAGS", format!("-Wl,-rpath,{prefix}/lib {}", source.ldflags))
        .env("CFLAGS", "-O2");
    if let Some(cc) = &source.cc {
        configure.env("CC", compiler(cc, scratch)?);
    }
    Ok(configure)
}

/// `musl-gcc` passes every question on to gcc, which answers for glibc; `configure` wants one C library from all answers,
/// and is content with silence.
fn compiler(cc: &str, scratch: &Path) -> anyhow::Result<PathBuf> {
    let path = scratch.join("cc");
    let script = format!("#!/bin/sh\n[ \"$1\" = --print-multiarch ] || exec {cc} \"$@\"\n");
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// `python3.13t` and `python3.9d` are what the tests call `python3.13` and `python3.9`.
fn name_program(bin: &Path, version: &str) -> anyhow::Result<()> {
    let name = format!("python{version}");
    if bin.join(&name).exists() {
        return Ok(());
    }
    let others = [format!("{name}t"), format!("{name}d")];
    let Some(other) = others.iter().find(|other| bin.join(other).exists()) else {
        bail!("the build has no {name}");
    };
    symlink(other, bin.join(&name))?;
    Ok(())
}

/// The commands of a build, in its folder, with one log.
struct Steps<'a> {
    place: &'a Place<'a>,
    tree: &'a Path,
    log: PathBuf,
}

impl Steps<'_> {
    fn run(&self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        self.place.say(name);
        let log = File::options().create(true).append(true).open(&self.log)?;
        command
            .current_dir(self.tree)
            .stdout(log.try_clone()?)
            .stderr(log);
        command::run(command).map_err(|error| {
            hinted(
                format!("{error:#}"),
                format!("see the end of {}", self.log.display()),
            )
        })
    }
}
