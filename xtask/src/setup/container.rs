//! Real containers for the live tests: runc, and the root of another distribution with a Python in it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Need;
use crate::debian::mirror;
use crate::{command, debian, workspace};

/// Debian's release in the root; its Python is in the tables of the tests.
const SUITE: &str = "trixie";
/// Its interpreter with the parts of the standard library that the workloads import, and nothing else.
const PACKAGES: &str = "python3.13-minimal,libpython3.13-stdlib";

/// Runs containers without a daemon.
pub(super) struct Runc;

/// What is in the containers.
pub(super) struct Root;

impl Need for Runc {
    fn plan(&self) -> anyhow::Result<String> {
        Ok("runc, which runs containers: Debian's package runc (apt-get install)".to_owned())
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        // Not on every user's path; the tests run as root.
        Ok(command::find_on_path("runc").is_some() || Path::new("/usr/sbin/runc").is_file())
    }

    fn install(&self) -> anyhow::Result<()> {
        debian::install(&["runc"])
    }
}

impl Need for Root {
    fn plan(&self) -> anyhow::Result<String> {
        Ok(format!(
            "a container's root with Debian {SUITE} and its Python in {} (debootstrap; half a minute, once)",
            root()?.display()
        ))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        Ok(root()?.is_dir())
    }

    fn install(&self) -> anyhow::Result<()> {
        if command::find_on_path("debootstrap").is_none() && !Path::new("/usr/sbin/debootstrap").is_file() {
            debian::install(&["debootstrap"])?;
        }
        let root = root()?;
        let scratch = workspace::cache_dir()?.join("apt");
        std::fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
        let mirror = mirror::find(&scratch)?;
        // Renamed when complete, so that what is there is whole.
        let partial = root.with_extension("partial");
        let parent = root.parent().context("it is below the cache")?;
        std::fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        command::run(
            command::as_root(OsStr::new("rm"))?
                .args(["-rf", "--"])
                .arg(&partial),
        )?;
        command::run(
            command::as_root(OsStr::new("/usr/sbin/debootstrap"))?
                .args(["--variant=minbase", &format!("--include={PACKAGES}")])
                .arg(format!("--keyring={}", mirror.keyring.display()))
                .arg(SUITE)
                .arg(&partial)
                .arg(&mirror.uri),
        )?;
        command::run(
            command::as_root(OsStr::new("mv"))?
                .arg("--")
                .arg(&partial)
                .arg(&root),
        )
    }
}

/// Where the root is; the tests are told by `PYEBPF_CONTAINER_ROOT`.
pub(crate) fn root() -> anyhow::Result<PathBuf> {
    Ok(workspace::cache_dir()?.join("containers").join(SUITE))
}
