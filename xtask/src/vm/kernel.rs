//! Debian's kernels: downloaded by package name, checked by apt, kept in the cache.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

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
    // An older kernel is no longer what a package without a version needs: its row names the image itself.
    let package = archive
        .dependency(&row.package, "linux-image-")
        .unwrap_or_else(|_| row.package.clone());
    // Filled elsewhere and renamed: a stopped download never looks complete.
    let partial = dir.with_extension(format!("{}.partial", std::process::id()));
    // From 7.0 on the image is in a package of its own, which that one needs.
    let binary = archive.dependency(&package, "linux-binary-").ok();
    let deb = archive.download(binary.as_ref().unwrap_or(&package), &partial)?;
    let unpacked = partial.join("root");
    debian::unpack(&deb, &unpacked)?;
    fs::rename(find_image(&unpacked)?, partial.join("vmlinuz"))?;
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

/// In `/boot`, or from 7.0 on beside the modules.
fn find_image(root: &Path) -> anyhow::Result<PathBuf> {
    let entries = |dir: &str| fs::read_dir(root.join(dir)).into_iter().flatten().flatten();
    let in_boot = entries("boot").map(|entry| entry.path()).find(|path| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("vmlinuz-")
    });
    let mut beside_modules = entries("usr/lib/modules").map(|entry| entry.path().join("vmlinuz"));
    in_boot
        .or_else(|| beside_modules.find(|path| path.is_file()))
        .context("the package holds no vmlinuz")
}
