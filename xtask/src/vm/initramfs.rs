//! What the guest has for a disk: the files of an initramfs, collected from this machine and written as one archive.
//!
//! Programs keep their paths and bring their shared libraries, so nothing is emulated but the CPU and the kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufWriter;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};

use super::cpio::CpioWriter;
use crate::command;

/// The files, by their paths in the guest.
#[derive(Default)]
pub(super) struct Initramfs {
    dirs: BTreeSet<PathBuf>,
    /// Path in the guest: where its content comes from.
    files: BTreeMap<PathBuf, Source>,
}

enum Source {
    /// A file of this machine; symbolic links are followed.
    Host(PathBuf),
    Bytes(Vec<u8>),
}

impl Initramfs {
    /// A program and every shared library it starts with.
    pub(super) fn add_program(&mut self, host: &Path, guest: &Path) -> anyhow::Result<()> {
        self.add_file(host, guest);
        for library in shared_libraries(host)? {
            self.add_file(&library, &library);
        }
        Ok(())
    }

    pub(super) fn add_file(&mut self, host: &Path, guest: &Path) {
        self.insert(guest, Source::Host(host.to_path_buf()));
    }

    pub(super) fn add_bytes(&mut self, guest: &Path, bytes: Vec<u8>) {
        self.insert(guest, Source::Bytes(bytes));
    }

    /// A directory, with all directories above it.
    pub(super) fn add_dir(&mut self, guest: &Path) {
        self.dirs.extend(
            guest
                .ancestors()
                .filter(|dir| dir.parent().is_some())
                .map(Path::to_path_buf),
        );
    }

    /// The files directly in `dir` that are wanted.
    pub(super) fn add_files(&mut self, dir: &Path, wanted: impl Fn(&Path) -> bool) -> anyhow::Result<()> {
        for path in entries(dir)? {
            if path.is_file() && wanted(&path) {
                self.add_file(&path, &path);
            }
        }
        Ok(())
    }

    /// Everything below `dir`.
    pub(super) fn add_tree(&mut self, dir: &Path) -> anyhow::Result<()> {
        for path in entries(dir)? {
            if path.is_dir() {
                self.add_tree(&path)?;
            } else if path.is_file() {
                self.add_file(&path, &path);
            }
        }
        Ok(())
    }

    /// Writes the archive, uncompressed: an emulated CPU unpacks slowly.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let file = fs::File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        let mut cpio = CpioWriter::new(BufWriter::new(file));
        for dir in &self.dirs {
            cpio.directory(&name(dir)?)?;
        }
        for (guest, source) in &self.files {
            match source {
                Source::Host(host) => {
                    let read = || anyhow::Ok((fs::read(host)?, fs::metadata(host)?.permissions().mode()));
                    let (bytes, mode) = read().with_context(|| format!("cannot read {}", host.display()))?;
                    cpio.file(&name(guest)?, mode & 0o111 != 0, &bytes)?;
                }
                Source::Bytes(bytes) => cpio.file(&name(guest)?, false, bytes)?,
            }
        }
        cpio.finish()
            .with_context(|| format!("cannot write {}", path.display()))
    }

    fn insert(&mut self, guest: &Path, source: Source) {
        if let Some(parent) = guest.parent() {
            self.add_dir(parent);
        }
        self.files.insert(guest.to_path_buf(), source);
    }
}

/// A path of the guest as the archive names it.
fn name(guest: &Path) -> anyhow::Result<String> {
    let relative = guest
        .strip_prefix("/")
        .with_context(|| format!("{} is not absolute", guest.display()))?;
    let name = relative
        .to_str()
        .with_context(|| format!("{} is not UTF-8", guest.display()))?;
    Ok(name.to_owned())
}

fn entries(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let read = || {
        fs::read_dir(dir)?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<_>>>()
    };
    read().with_context(|| format!("cannot read {}", dir.display()))
}

/// What the dynamic linker would load, itself included, by its own account (ldd(1)).
fn shared_libraries(program: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let text = command::output(Command::new("ldd").arg(program))?;
    parse_ldd(&text).with_context(|| format!("ldd {}", program.display()))
}

/// Lines of `name => /path (0x...)`, of `/path (0x...)`, and of `linux-vdso.so.1 (0x...)`, which is not a file.
fn parse_ldd(text: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut libraries = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.ends_with("not found") {
            bail!("a library is missing: {line}");
        }
        let path = line.split_once(" => ").map_or(line, |(_, path)| path);
        let path = path.rsplit_once(" (").map_or(path, |(path, _)| path);
        if path.starts_with('/') {
            libraries.push(PathBuf::from(path));
        }
    }
    Ok(libraries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_libraries_of_this_very_program_are_found() {
        let exe = std::env::current_exe().expect("a running program has a path");
        let libraries = shared_libraries(&exe).expect("ldd is part of libc");
        assert!(libraries.iter().all(|path| path.is_file()), "{libraries:?}");
        assert!(
            libraries
                .iter()
                .any(|path| path.to_string_lossy().contains("libc.so")),
            "{libraries:?}"
        );
    }

    #[test]
    fn a_missing_library_is_an_error() {
        assert!(parse_ldd("\tlibz.so.1 => not found\n").is_err());
        assert_eq!(
            parse_ldd("\tlinux-vdso.so.1 (0x7f)\n").expect("no file"),
            Vec::<PathBuf>::new()
        );
    }

    #[test]
    fn directories_come_before_what_is_in_them() {
        let mut initramfs = Initramfs::default();
        initramfs.add_bytes(Path::new("/a/b/c"), b"x".to_vec());
        let dirs: Vec<_> = initramfs
            .dirs
            .iter()
            .map(|dir| name(dir).expect("UTF-8"))
            .collect();
        assert_eq!(dirs, ["a", "a/b"]);
    }
}
