//! Debian packages: installed through the machine's own `apt-get`, or only unpacked from another suite.
//!
//! Callers are `setup` (compilers, QEMU, `rust-src`) and the kernel matrix. No host name is written down here.

pub(crate) mod archive;
mod mirror;

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use crate::command;
use crate::hint::{WithHint as _, hinted};

/// Whether this machine installs packages with apt.
pub(crate) fn has_apt() -> bool {
    command::find_on_path("apt-get").is_some()
}

/// Installs packages of the machine's own release, as root or through `sudo`.
pub(crate) fn install(packages: &[&str]) -> anyhow::Result<()> {
    let names = packages.join(" ");
    let by_hand = format!("apt-get install {names}");
    if !has_apt() {
        return Err(hinted(
            format!("{names} must be installed, and there is no apt-get here"),
            format!("install what Debian calls {names} with this system's own package manager"),
        ));
    }
    // A fresh image has no package lists, an old one lists files that are gone: one update cures both.
    if let Err(first) = apt_get("install", packages) {
        eprintln!("setup: {first:#}; updating the package lists and trying again");
        apt_get("update", &[]).or_hint(|| by_hand.as_str())?;
        apt_get("install", packages).or_hint(|| by_hand.as_str())?;
    }
    Ok(())
}

fn apt_get(verb: &str, packages: &[&str]) -> anyhow::Result<()> {
    // sudo drops the environment, so the variable is set behind it.
    let mut command = command::as_root(OsStr::new("env"))?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]);
    if verb == "install" {
        command.arg("--no-install-recommends");
    }
    command::run(command.arg(verb).args(packages))
}

/// Unpacks a package file into a directory, without installing it.
pub(crate) fn unpack(package: &Path, into: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(into)?;
    command::run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(into))
}
