//! At least one Python to profile: the tests run on every one they find.
//!
//! Interpreters are found where pyenv and Debian put them; none is installed unless there is none at all.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::Need;
use crate::debian;

const PACKAGE: &str = "python3";

pub(crate) struct Python;

impl Need for Python {
    fn plan(&self) -> anyhow::Result<String> {
        Ok(format!(
            "a Python to profile: Debian's package {PACKAGE} (apt-get install)"
        ))
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        Ok(!interpreters().is_empty())
    }

    fn install(&self) -> anyhow::Result<()> {
        debian::install(&[PACKAGE])
    }
}

/// pyenv's directory, if there is one.
pub(crate) fn pyenv_root() -> Option<PathBuf> {
    let named = env::var_os("PYENV_ROOT").map(PathBuf::from);
    let usual = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv"));
    named.or_else(usual).filter(|root| root.join("versions").is_dir())
}

/// Every Python 3 of pyenv's and of Debian's, sorted by path.
pub(crate) fn interpreters() -> Vec<PathBuf> {
    let mut found = Vec::new();
    if let Some(root) = pyenv_root() {
        for version in entries(&root.join("versions")) {
            found.extend(
                entries(&version.join("bin"))
                    .into_iter()
                    .filter(|path| is_versioned_python(path)),
            );
        }
    }
    found.extend(
        entries(Path::new("/usr/bin"))
            .into_iter()
            .filter(|path| is_versioned_python(path)),
    );
    found.sort();
    found
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

/// `python3.11`, not `python3`, `python3-config` or `python3.11-config`.
fn is_versioned_python(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    let minor = name.and_then(|name| name.strip_prefix("python3."));
    minor.is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|byte| byte.is_ascii_digit()))
        && path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interpreter_found_says_the_version_of_its_name() {
        let interpreters = interpreters();
        assert!(
            !interpreters.is_empty(),
            "`cargo xtask test` installs a Python before it runs this"
        );
        for path in interpreters {
            let version = crate::command::output(std::process::Command::new(&path).arg("--version"))
                .expect("a Python prints its version");
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .expect("ASCII by its search");
            let minor = name.strip_prefix("python").expect("found by this prefix");
            assert!(
                version.starts_with(&format!("Python {minor}.")),
                "{} says {version}",
                path.display()
            );
        }
    }
}
