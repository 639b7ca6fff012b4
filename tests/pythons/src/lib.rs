//! The interpreters that this run of the tests has: rows of `tests/pythons.toml` ([`matrix`]), as many as the
//! [`Selection`] says. A row that should be here and is not is said loudly, and is a failure with [`REQUIRE`];
//! `cargo xtask pythons` obtains it.
//!
//! Used by the tests (as `tests::python`) and by xtask. Nothing here obtains an interpreter, or needs the profiler.

pub mod matrix;
mod selection;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, OnceLock};

use anyhow::Context as _;

pub use self::matrix::Trait;
use self::matrix::{From, Matrix, Places, Row};
pub use self::selection::Selection;

/// Major and minor numbers that pyebpf supports. What is outside is in the matrix and not tested.
pub static SUPPORTED: LazyLock<RangeInclusive<(u8, u8)>> = LazyLock::new(|| {
    let supported = matrix().expect("a checkout has its matrix").supported;
    supported.oldest..=supported.newest
});

/// Interpreters that pyebpf does not support, whatever their version.
pub const UNSUPPORTED: &[Trait] = &[];

/// Environment variable that turns a missing interpreter into a failure.
pub const REQUIRE: &str = "PYEBPF_REQUIRE_PYTHONS";

/// Major, minor and micro number.
pub type Version = (u8, u8, u8);

/// An interpreter.
#[derive(Clone, Debug)]
pub struct Python {
    /// What it says about itself.
    pub version: Version,
    /// `3.13t-built`: the name of its row.
    pub name: String,
    slug: String,
    row: Row,
    env: BTreeMap<String, String>,
    program: PathBuf,
    root: Option<PathBuf>,
}

impl PartialEq for Python {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Python {
    /// Whether code objects carry qualified names.
    #[must_use]
    pub fn has_qualified_names(&self) -> bool {
        self.version >= (3, 11, 0)
    }

    /// Whether its row says so.
    #[must_use]
    pub fn is(&self, wanted: Trait) -> bool {
        self.row.traits.contains(&wanted)
    }

    /// A name for files: `3.11.7-pyenv`.
    #[must_use]
    pub fn slug(&self) -> &str {
        &self.slug
    }

    /// Whether it is one of pyenv's builds.
    #[must_use]
    pub fn is_of_pyenv(&self) -> bool {
        matches!(self.row.from, From::Pyenv)
    }

    /// Its root folder, if it does not run in the host's: the files of another distribution.
    #[must_use]
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// Its executable, as it sees it: in [`Self::root`] if there is one.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The words that start it, in a shell or behind `pyebpf record --`: the process that is started becomes the
    /// interpreter. Arguments follow.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        if !self.env.is_empty() {
            words.push("env".to_owned());
            words.extend(self.env.iter().map(|(name, value)| format!("{name}={value}")));
        }
        match &self.root {
            Some(root) => words.extend(matrix::words_in_root(root, &self.program)),
            None => words.push(self.program.to_string_lossy().into_owned()),
        }
        words
    }

    /// Starts it; the process is the interpreter itself.
    #[must_use]
    pub fn command(&self) -> Command {
        self.command_behind(&[])
    }

    /// Starts it by a program that becomes what it is told to run: `taskset -c 1`.
    #[must_use]
    pub fn command_behind(&self, wrapper: &[&str]) -> Command {
        let words = self.words();
        let mut words = wrapper.iter().copied().chain(words.iter().map(String::as_str));
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }
}

impl fmt::Display for Python {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.slug)
    }
}

/// Every supported interpreter of this run, oldest first.
///
/// # Panics
/// When there is none, or one of the run is missing and [`REQUIRE`] is `1`.
#[must_use]
pub fn all() -> &'static [Python] {
    static FOUND: OnceLock<Vec<Python>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let selection = Selection::from_env().expect("a selection of interpreters");
        let (pythons, missing) = find(selection).expect("tests/pythons.toml");
        if !missing.is_empty() {
            let names = missing.join(", ");
            eprintln!("!!! NOT TESTED on {names}: not here (cargo xtask pythons)");
            let is_required = std::env::var_os(REQUIRE).is_some_and(|value| value == "1");
            assert!(!is_required, "{REQUIRE}=1, but {names} is missing");
        }
        assert!(
            !pythons.is_empty(),
            "no supported interpreter of tests/pythons.toml is here: cargo xtask pythons"
        );
        pythons
    })
}

/// The newest ordinary interpreter that starts by its path alone, for tests whose subject does not depend on it.
///
/// # Panics
/// As [`all`], and when there is no such interpreter.
#[must_use]
pub fn newest() -> &'static Python {
    all()
        .iter()
        .rev()
        .find(|python| {
            python.root.is_none()
                && python.env.is_empty()
                && matches!(python.row.from, From::Pyenv | From::System)
        })
        .expect("an interpreter of pyenv or of the distribution")
}

/// An interpreter that every user of this machine may run; the others may lie in a home folder that is closed to
/// others.
#[must_use]
pub fn for_every_user() -> Option<&'static Python> {
    all()
        .iter()
        .find(|python| matches!(python.row.from, From::System))
}

/// Major and minor numbers of every version of the matrix that is supported.
///
/// # Panics
/// When the matrix cannot be read.
#[must_use]
pub fn supported_versions() -> BTreeSet<(u8, u8)> {
    let matrix = matrix().expect("tests/pythons.toml");
    let rows = matrix.rows.iter().filter(|row| may_be_supported(row));
    let versions = rows.filter(|row| row.version.contains('.'));
    versions
        .map(|row| numbers(&row.version).expect("checked by `may_be_supported`"))
        .map(|(major, minor, _)| (major, minor))
        .collect()
}

fn matrix() -> anyhow::Result<Matrix> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    Matrix::read(checkout.context("a member of the workspace")?)
}

/// As far as its row says: a row of any version may find one that is not.
fn may_be_supported(row: &Row) -> bool {
    let version = numbers(&row.version).ok();
    let version = version.is_some_and(|(major, minor, _)| SUPPORTED.contains(&(major, minor)));
    (version || !row.version.contains('.')) && !is_unsupported_build(row)
}

fn is_unsupported_build(row: &Row) -> bool {
    row.traits.iter().any(|one| UNSUPPORTED.contains(one))
}

/// Whether pyebpf supports the interpreter that a row has found.
#[must_use]
pub fn is_supported(row: &Row, (major, minor, _): Version) -> bool {
    SUPPORTED.contains(&(major, minor)) && !is_unsupported_build(row)
}

/// What is here, and the names of the rows that should be and are not.
fn find(selection: Selection) -> anyhow::Result<(Vec<Python>, Vec<String>)> {
    let matrix = matrix()?;
    let places = Places::from_env()?;
    let mut pythons = Vec::new();
    let mut missing = Vec::new();
    let rows = matrix.rows.iter().filter(|row| selection.has(row));
    for row in rows.filter(|row| may_be_supported(row)) {
        let Some(found) = matrix.find(row, &places)? else {
            if selection.promises(row) {
                missing.push(row.name.clone());
            }
            continue;
        };
        let version = numbers(&found.version)?;
        if !is_supported(row, version) {
            continue;
        }
        pythons.push(Python {
            version,
            name: row.name.clone(),
            slug: slug(row, &found.version),
            env: environment(&matrix, row)?,
            row: row.clone(),
            program: found.program,
            root: found.root,
        });
    }
    pythons.sort_by_key(|python| python.version);
    // Some tests need one that every user may run.
    let (system, others): (Vec<_>, Vec<_>) = pythons
        .into_iter()
        .partition(|python: &Python| matches!(python.row.from, From::System));
    let mut pythons = selection.few_of(others);
    pythons.extend(system);
    pythons.sort_by_key(|python| python.version);
    Ok((pythons, missing))
}

/// `3.13.5`; what is absent is 0.
///
/// # Errors
/// When it is not a version.
pub fn numbers(version: &str) -> anyhow::Result<Version> {
    let mut numbers = version.split('.').map(str::parse);
    let mut next = || numbers.next().unwrap_or(Ok(0));
    let parsed = next().and_then(|major| Ok((major, next()?, next()?)));
    parsed.with_context(|| format!("the version {version:?}"))
}

/// The name of the row with the full version: `3.13.5t-built`.
fn slug(row: &Row, version: &str) -> String {
    let rest = row.name.strip_prefix(&row.version).unwrap_or(&row.name);
    format!("{version}{rest}")
}

/// That of the row it is a variant of, and its own.
fn environment(matrix: &Matrix, row: &Row) -> anyhow::Result<BTreeMap<String, String>> {
    let mut environment = match &row.from {
        From::Variant { base } => environment(matrix, matrix.row(base)?)?,
        _ => BTreeMap::new(),
    };
    environment.extend(row.env.clone());
    Ok(environment)
}
