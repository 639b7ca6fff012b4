//! Debian's kernels: downloaded by package name, checked by apt, kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::matrix::KernelRow;
use crate::debian::{self, archive::Archive};
use crate::workspace;

/// A kernel image, ready to boot.
pub(super) struct Kernel {
    /// Package and version: `linux-image-6.1.0-39-cloud-amd64`.
    pub(super) package: String,
    pub(super) image: PathBuf,
}

/// Finds the row's kernel in the cache, else downloads it (20 to 30 MB). `refresh` asks for today's version.
pub(super) fn fetch(row: &KernelRow, refresh: bool) -> anyhow::Result<Kernel> {
    let dir = workspace::cache_dir()?.join("kernels").join(&row.name);
    if !refresh && let Some(kernel) = cached(&dir)? {
        return Ok(kernel);
    }
    eprintln!(
        "test-vm: downloading the kernel {} of Debian {}",
        row.package, row.suite
    );
    let archive = Archive::open(&row.suite)?;
    let package = archive.dependency(&row.package, "linux-image-")?;
    // Filled elsewhere and renamed: a stopped download never looks complete.
    let partial = dir.with_extension(format!("{}.partial", std::process::id()));
    let deb = archive.download(&package, &partial)?;
    let unpacked = partial.join("root");
    debian::unpack(&deb, &unpacked)?;
    fs::rename(find_image(&unpacked.join("boot"))?, partial.join("vmlinuz"))?;
    fs::write(partial.join("package"), &package)?;
    fs::remove_dir_all(&unpacked)?;
    fs::remove_file(&deb)?;
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    fs::rename(&partial, &dir).with_context(|| format!("cannot create {}", dir.display()))?;
    cached(&dir)?.context("the kernel just downloaded is not in the cache")
}

fn cached(dir: &Path) -> anyhow::Result<Option<Kernel>> {
    let image = dir.join("vmlinuz");
    if !image.is_file() {
        return Ok(None);
    }
    let package =
        fs::read_to_string(dir.join("package")).context("the cached kernel does not say its name")?;
    Ok(Some(Kernel { package, image }))
}

fn find_image(boot: &Path) -> anyhow::Result<PathBuf> {
    for entry in fs::read_dir(boot).with_context(|| format!("cannot read {}", boot.display()))? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz-"))
        {
            return Ok(path);
        }
    }
    bail!("the package holds no vmlinuz")
}
