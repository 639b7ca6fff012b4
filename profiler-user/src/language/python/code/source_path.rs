//! Short file names: the part of a path from its outermost package on, as py-spy shows it.
//!
//! `/usr/lib/python3.11/asyncio/base_events.py` is `asyncio/base_events.py`, a script is its base name. What was installed
//! (`site-packages/`) or lies in an archive (`app.pyz/`) is named from there on, packages without `__init__.py` included.
//! Two files may come to the same name: `output` lengthens both. Asks its caller whether a directory is a package, and
//! never touches a file system itself: paths come from targets.

use std::collections::HashMap;

use crate::path::base_name;

/// Longer paths cannot be opened (`PATH_MAX`), so they are not asked about.
const MAX_PATH_BYTES: usize = 4096;
/// Packages within packages, at most; real ones reach about ten.
const MAX_DEPTH: usize = 64;
/// Directories remembered take up to this many bytes.
const MAX_CACHE_BYTES: usize = 4 << 20;
/// What a directory costs besides its path.
const ENTRY_BYTES: usize = 64;

/// Shortens paths as one file system has them: one for each root directory that targets have.
#[derive(Debug, Default)]
pub struct SourcePaths {
    /// Directory -> whether it is a package.
    packages: HashMap<Box<str>, bool>,
    bytes: usize,
}

impl SourcePaths {
    /// The part of `path` from its outermost package on; always an end of `path`.
    ///
    /// `is_package` says whether a directory, as written in `path`, contains `__init__.py`; `None` when that cannot
    /// be told, as for a process or a directory that is gone. It may be asked about relative directories, and about ones with `..`
    /// in them: look beneath the process's own root and working directory. Answers about absolute ones are remembered.
    pub fn shorten<'p>(
        &mut self,
        path: &'p str,
        mut is_package: impl FnMut(&str) -> Option<bool>,
    ) -> &'p str {
        if is_pseudo(path) {
            return path;
        }
        if let Some(module) = after_last(path, |component| is_installed(component) || is_archive(component)) {
            return module;
        }
        if path.len() > MAX_PATH_BYTES || path.contains('\0') {
            return shorten_by_name(path);
        }
        let mut directory = parent(path);
        for _ in 0..MAX_DEPTH {
            if !may_be_package(directory) {
                break;
            }
            match self.ask(directory, &mut is_package) {
                None => return shorten_by_name(path),
                Some(false) => break,
                Some(true) => directory = parent(directory),
            }
        }
        behind(path, directory)
    }

    fn ask(&mut self, directory: &str, is_package: &mut impl FnMut(&str) -> Option<bool>) -> Option<bool> {
        if let Some(known) = self.packages.get(directory) {
            return Some(*known);
        }
        let answer = is_package(directory)?;
        if !directory.starts_with('/') {
            // Each process has a working directory of its own.
            return Some(answer);
        }
        let bytes = directory.len() + ENTRY_BYTES;
        if self.bytes + bytes > MAX_CACHE_BYTES {
            self.packages.clear();
            self.bytes = 0;
        }
        self.bytes += bytes;
        self.packages.insert(directory.into(), answer);
        Some(answer)
    }
}

/// Without asking: the part after `site-packages`, `dist-packages`, an archive or `python3.N`, or the whole path.
#[must_use]
pub fn shorten_by_name(path: &str) -> &str {
    if is_pseudo(path) {
        return path;
    }
    after_last(path, holds_packages).unwrap_or(path)
}

/// What follows the last component that `is_wanted`.
fn after_last(path: &str, is_wanted: impl Fn(&str) -> bool) -> Option<&str> {
    let mut found = None;
    let mut rest = path;
    while let Some((component, tail)) = rest.split_once('/') {
        rest = tail;
        let tail = tail.trim_start_matches('/');
        if is_wanted(component) && !tail.is_empty() {
            found = Some(tail);
        }
    }
    found
}

/// `<string>`, `<frozen importlib._bootstrap>`: not a path.
fn is_pseudo(path: &str) -> bool {
    path.is_empty() || (path.starts_with('<') && path.ends_with('>'))
}

/// The directory of `path` without trailing slashes; empty for a bare name, `/` for an entry of the root.
fn parent(path: &str) -> &str {
    match path
        .rsplit_once('/')
        .map(|(directory, _)| directory.trim_end_matches('/'))
    {
        None => "",
        Some("") => "/",
        Some(directory) => directory,
    }
}

/// The root, the working directory and `..` have no package name of their own.
fn may_be_package(directory: &str) -> bool {
    let name = base_name(directory);
    !matches!(name, "" | "." | "..")
}

/// `path` without `directory`, which it starts with; `path` itself if nothing would remain.
fn behind<'p>(path: &'p str, directory: &str) -> &'p str {
    let rest = path
        .strip_prefix(directory)
        .unwrap_or(path)
        .trim_start_matches('/');
    if rest.is_empty() { path } else { rest }
}

/// Names of directories that interpreters search for packages.
fn holds_packages(name: &str) -> bool {
    let minor = name
        .strip_prefix("python3.")
        .map(|minor| minor.trim_end_matches(['t', 'd']));
    is_installed(name)
        || is_archive(name)
        || minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()))
}

/// Where installers put packages.
fn is_installed(name: &str) -> bool {
    matches!(name, "site-packages" | "dist-packages")
}

/// A file, or a folder in place of one, that modules are imported from. A name that is nothing but an extension is a hidden
/// folder (`~/.pex`).
fn is_archive(name: &str) -> bool {
    let extension = name.rsplit_once('.').filter(|(stem, _)| !stem.is_empty());
    matches!(
        extension,
        Some((_, "zip" | "pyz" | "pyzw" | "pex" | "egg" | "whl"))
    )
}

#[cfg(test)]
mod tests;
