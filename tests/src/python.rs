//! The interpreters of this machine that the tests run on: pyenv's builds (shared libpython) and the distribution's
//! (static). A version of the list that is missing is said loudly, and is a failure with `PYEBPF_REQUIRE_PYTHONS=1`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Minor versions of CPython 3 that pyebpf supports, all of which are to be present.
pub const MINORS: std::ops::RangeInclusive<u8> = 8..=13;

/// Environment variable that turns a missing interpreter into a failure.
pub const REQUIRE: &str = "PYEBPF_REQUIRE_PYTHONS";

/// Major, minor and micro number.
pub type Version = (u8, u8, u8);

/// Where a build of CPython comes from, and with it how it is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Built by pyenv: shared libpython.
    Pyenv,
    /// The distribution's `/usr/bin/python3.N`: static.
    System,
}

/// An interpreter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// What it says about itself.
    pub version: Version,
    /// Where it comes from.
    pub origin: Origin,
    /// Its executable.
    pub path: PathBuf,
}

impl Python {
    /// Whether code objects carry qualified names.
    #[must_use]
    pub fn has_qualified_names(&self) -> bool {
        self.version >= (3, 11, 0)
    }

    /// A name for files: `3.11.7-pyenv`.
    #[must_use]
    pub fn slug(&self) -> String {
        let (major, minor, micro) = self.version;
        let origin = match self.origin {
            Origin::Pyenv => "pyenv",
            Origin::System => "system",
        };
        format!("{major}.{minor}.{micro}-{origin}")
    }
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.slug())
    }
}

/// Every supported interpreter of this machine, oldest first.
///
/// # Panics
/// When there is none, or one of the list is missing and [`REQUIRE`] is `1`.
#[must_use]
pub fn all() -> &'static [Python] {
    static ALL: OnceLock<Vec<Python>> = OnceLock::new();
    ALL.get_or_init(|| {
        let pythons = find();
        let missing: Vec<String> = MINORS
            .filter(|minor| !pythons.iter().any(|python| python.version.1 == *minor))
            .map(|minor| format!("3.{minor}"))
            .collect();
        if !missing.is_empty() {
            eprintln!(
                "!!! NOT TESTED on CPython {}: not installed here",
                missing.join(", ")
            );
        }
        let required = std::env::var_os(REQUIRE).is_some_and(|value| value == "1");
        assert!(
            missing.is_empty() || !required,
            "{REQUIRE}=1, but CPython {} is missing",
            missing.join(", ")
        );
        assert!(
            !pythons.is_empty(),
            "no CPython 3.8 to 3.13 found: install one with pyenv"
        );
        pythons
    })
}

/// The newest interpreter, for tests whose subject does not depend on the version.
///
/// # Panics
/// As [`all`].
#[must_use]
pub fn newest() -> &'static Python {
    all().last().expect("`all` is never empty")
}

/// An interpreter that every user of this machine may run; pyenv's may lie in a home folder that is closed to others.
#[must_use]
pub fn for_every_user() -> Option<&'static Python> {
    all().iter().find(|python| python.origin == Origin::System)
}

fn find() -> Vec<Python> {
    let mut candidates = Vec::new();
    if let Some(root) = pyenv_root() {
        for entry in std::fs::read_dir(root.join("versions"))
            .into_iter()
            .flatten()
            .flatten()
        {
            // Plain releases only: `3.13.0t` and `pypy3.10` are other interpreters.
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("3.") && name.chars().all(|c| c.is_ascii_digit() || c == '.') {
                candidates.push((Origin::Pyenv, entry.path().join("bin/python3")));
            }
        }
    }
    candidates
        .extend(MINORS.map(|minor| (Origin::System, PathBuf::from(format!("/usr/bin/python3.{minor}")))));
    let mut pythons: Vec<Python> = candidates
        .into_iter()
        .filter(|(_, path)| path.exists())
        .filter_map(|(origin, path)| {
            Some(Python {
                version: version(&path)?,
                origin,
                path,
            })
        })
        .filter(|python| python.version.0 == 3 && MINORS.contains(&python.version.1))
        .collect();
    pythons.sort_by_key(|python| (python.version, python.origin == Origin::System));
    pythons
}

fn pyenv_root() -> Option<PathBuf> {
    match std::env::var_os("PYENV_ROOT") {
        Some(root) => Some(root.into()),
        None => std::env::var_os("HOME").map(|home| Path::new(&home).join(".pyenv")),
    }
}

fn version(path: &Path) -> Option<Version> {
    let output = Command::new(path)
        .args(["-S", "-E", "-c", "import sys; print(*sys.version_info[:3])"])
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.split_whitespace().map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}
