//! Packages of another Debian suite, with everything they need, as a root folder: the distribution's own interpreter
//! with its own C library. Maintainer scripts do not run; a Python needs none of them, and so nobody needs to be root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

use super::Place;
use crate::command;
use crate::debian::archive::Archive;

/// Since Debian 12 these are links into `/usr`; the packages of older suites unpack through them as well.
const MERGED: &[&str] = &["bin", "sbin", "lib", "lib64"];

pub(super) fn unpack(place: &Place, suite: &str, packages: &[String]) -> anyhow::Result<()> {
    let scratch = place.scratch()?;
    let debs = Archive::open(suite)?.download_with_needs(packages, &scratch.join("debs"))?;
    place.say(&format!("unpacking {} packages", debs.len()));
    let finished = scratch.join("finished");
    let root = finished.join("root");
    for name in MERGED {
        fs::create_dir_all(root.join("usr").join(name))?;
        symlink(Path::new("usr").join(name), root.join(name))?;
    }
    for deb in &debs {
        unpack_one(deb, &root).with_context(|| format!("cannot unpack {}", deb.display()))?;
    }
    place.replace_by(&finished)?;
    super::remove(&scratch)
}

/// `dpkg-deb --extract` would put a folder where the link is.
fn unpack_one(deb: &Path, root: &Path) -> anyhow::Result<()> {
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(deb)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot start dpkg-deb")?;
    let files = reader.stdout.take().context("dpkg-deb has no stdout")?;
    let mut tar = Command::new("tar");
    tar.args(["--extract", "--keep-directory-symlink", "--directory"]);
    let unpacked = command::run(tar.arg(root).stdin(files));
    ensure!(reader.wait()?.success(), "dpkg-deb failed");
    unpacked
}
