//! Where things are: the checkout, its target directory, and the cache outside it.
//!
//! Paths only; nothing here creates or installs.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Not ours: git's own, what was built, what the fuzzer found.
const SKIPPED: &[&str] = &[".git", "target", "corpus", "artifacts"];

/// The checkout this xtask was compiled from.
pub(crate) fn root() -> PathBuf {
    // Compiled in, so that it holds from whatever directory the verb was called.
    let member = Path::new(env!("CARGO_MANIFEST_DIR"));
    member.parent().unwrap_or(member).to_path_buf()
}

/// Cargo's target directory: the one this very program was built into.
pub(crate) fn target_dir() -> anyhow::Result<PathBuf> {
    let exe = env::current_exe().context("cannot find this program's own path")?;
    let profile_dir = exe.parent().context("this program has no parent directory")?;
    Ok(profile_dir.parent().unwrap_or(profile_dir).to_path_buf())
}

/// Everything installed or downloaded: `$XDG_CACHE_HOME/pyebpf`, else `~/.cache/pyebpf`.
pub(crate) fn cache_dir() -> anyhow::Result<PathBuf> {
    let absolute = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    Ok(base
        .context("neither XDG_CACHE_HOME nor HOME names a directory")?
        .join("pyebpf"))
}

/// Every file of the checkout but what was built or found by a tool; paths relative to [`root`].
pub(crate) fn files() -> anyhow::Result<Vec<String>> {
    let root = root();
    let mut names = Vec::new();
    let mut dirs = vec![root.clone()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
            let entry = entry?;
            let skipped = SKIPPED.iter().any(|name| entry.file_name() == *name);
            match entry.file_type()? {
                kind if kind.is_dir() && !skipped => dirs.push(entry.path()),
                kind if kind.is_file() && !skipped => {
                    let path = entry.path();
                    names.push(path.strip_prefix(&root)?.to_string_lossy().into_owned());
                }
                _ => {}
            }
        }
    }
    names.sort();
    Ok(names)
}
