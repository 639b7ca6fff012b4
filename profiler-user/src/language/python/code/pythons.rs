//! The real interpreters that tests of this folder and of `native` run: pyenv's.

use std::path::PathBuf;

/// Set to `1` where every interpreter is promised: a missing one then fails the test.
const REQUIRE: &str = "PYEBPF_REQUIRE_PYTHONS";

/// A CPython 3 installed by pyenv.
pub(crate) struct Python {
    /// 11 for 3.11.
    pub(crate) minor: u8,
    /// The program.
    pub(crate) program: PathBuf,
}

/// The newest installed CPython of each of these minor versions. Prints which are not there.
///
/// # Panics
/// When one is missing although the environment requires all.
pub(crate) fn installed(minors: impl IntoIterator<Item = u8>) -> Vec<Python> {
    let versions = root().join("versions");
    let mut names: Vec<String> = std::fs::read_dir(&versions)
        .map(|entries| {
            entries
                .flatten()
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect()
        })
        .unwrap_or_default();
    names.sort();
    let mut found = Vec::new();
    for minor in minors {
        let prefix = format!("3.{minor}.");
        let program = names.iter().rev().filter(|name| name.starts_with(&prefix));
        let program = program
            .map(|name| versions.join(name).join("bin/python3"))
            .find(|path| path.exists());
        match program {
            Some(program) => found.push(Python { minor, program }),
            None => missing(minor, &versions.display().to_string()),
        }
    }
    found
}

fn root() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".pyenv");
    std::env::var_os("PYENV_ROOT").map_or_else(home, PathBuf::from)
}

fn missing(minor: u8, versions: &str) {
    let message = format!("CPython 3.{minor} is not tested: {versions} has none (`pyenv install 3.{minor}`)");
    assert!(
        std::env::var_os(REQUIRE).is_none_or(|value| value != "1"),
        "{message}"
    );
    println!("{message}");
}
