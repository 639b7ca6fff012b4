//! The numbers of the data files held against the C compiler: `offsetof` and `sizeof` with CPython's own headers.
//!
//! Used by the test of the layouts and by `cargo xtask layouts`. A version that joins needs nothing here: its headers
//! say which fields it has.

mod compiler;
mod facts;

use std::fmt;
use std::path::{Path, PathBuf};

use pyebpf::language::python::layout::{LAYOUTS, VersionEntry};

use crate::python::matrix::Places;

pub use self::compiler::Headers;
pub use self::facts::{Fact, Relation};

/// What the headers of one build say.
#[derive(Debug)]
pub struct Comparison {
    /// Major and minor version.
    pub version: (u8, u8),
    /// Whether they were compiled as for a build without a GIL.
    pub free_threaded: bool,
    /// The numbers of the version, or of the newest one if it is unknown; with what the compiler says.
    pub numbers: Vec<(Fact, Option<u64>)>,
    /// Whether there is something to compare with.
    pub known: Known,
}

/// Whether the numbers of a build are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Its version has a data file.
    Yes,
    /// Its version has none yet.
    No,
    /// All its objects begin otherwise (`--with-trace-refs`), which is refused.
    OtherObjects,
}

impl Comparison {
    /// The numbers that differ.
    pub fn differences(&self) -> impl Iterator<Item = &(Fact, Option<u64>)> {
        self.numbers
            .iter()
            .filter(|(fact, computed)| self.known == Known::Yes && !fact.holds(*computed))
    }
}

/// One line, and one more for each difference; every number where the version has no data file yet.
impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (major, minor) = self.version;
        let suffix = if self.free_threaded { "t" } else { "" };
        write!(f, "CPython {major}.{minor}{suffix}: ")?;
        if self.known == Known::OtherObjects {
            return write!(
                f,
                "not compared: its objects begin otherwise than in ordinary builds"
            );
        }
        if self.known == Known::No {
            write!(f, "no data file; its headers say")?;
            for (fact, computed) in &self.numbers {
                if let Some(computed) = computed {
                    write!(f, "\n  {}: {computed}", fact.name)?;
                }
            }
            return Ok(());
        }
        let (count, different) = (self.numbers.len(), self.differences().count());
        write!(f, "{} of {count} numbers agree", count - different)?;
        for (fact, computed) in self.differences() {
            let relation = match fact.relation {
                Relation::Equal => "",
                Relation::AtLeast => "at least ",
                Relation::Below => "less than ",
            };
            write!(f, "\n  {}: {relation}{} expected, ", fact.name, fact.expected)?;
            match computed {
                Some(computed) => write!(f, "the headers say {computed}")?,
                None => write!(f, "the headers have none")?,
            }
            write!(f, " ({})", fact.expressions.join(" or "))?;
        }
        Ok(())
    }
}

/// Compares the headers in `folder` (that of `Python.h`): as they were installed, and where they are for both, without
/// a GIL too.
///
/// # Errors
/// When they do not compile, or there is no C compiler.
pub fn compare(folder: &Path) -> anyhow::Result<Vec<Comparison>> {
    const VERSION: [&str; 3] = ["PY_MAJOR_VERSION", "PY_MINOR_VERSION", "Py_GIL_DISABLED"];
    let installed = Headers {
        folder,
        free_threaded: false,
    };
    let [major, minor, without_gil] = *installed.values(&VERSION)? else {
        anyhow::bail!("a value for each expression");
    };
    let number = |value: Option<u64>| u8::try_from(value.unwrap_or_default());
    let version = (number(major)?, number(minor)?);
    let is_free_threaded = without_gil.is_some();
    let mut comparisons = vec![compare_build(installed, version, is_free_threaded)?];
    let has_both = |entry: &VersionEntry| (entry.major, entry.minor) == version && entry.free_threaded;
    if !is_free_threaded && LAYOUTS.iter().any(has_both) {
        let headers = Headers {
            folder,
            free_threaded: true,
        };
        comparisons.push(compare_build(headers, version, true)?);
    }
    Ok(comparisons)
}

fn compare_build(headers: Headers<'_>, version: (u8, u8), free_threaded: bool) -> anyhow::Result<Comparison> {
    let is_it = |entry: &&VersionEntry| {
        (entry.major, entry.minor, entry.free_threaded) == (version.0, version.1, free_threaded)
    };
    let entry = LAYOUTS.iter().find(is_it);
    let template = LAYOUTS
        .iter()
        .rfind(|entry| entry.free_threaded == free_threaded)
        .unwrap_or(&LAYOUTS[0]);
    let facts = facts::facts(entry.unwrap_or(template));
    let expressions: Vec<&str> = facts.iter().flat_map(|fact| fact.expressions).copied().collect();
    let mut values = headers.values(&expressions)?.into_iter();
    let numbers: Vec<(Fact, Option<u64>)> = facts
        .into_iter()
        .map(|fact| {
            let values: Vec<Option<u64>> = values.by_ref().take(fact.expressions.len()).collect();
            (fact, values.into_iter().flatten().next())
        })
        .collect();
    let is_ordinary = numbers
        .iter()
        .all(|(fact, computed)| fact.name != facts::OBJECT_HEADER || fact.holds(*computed));
    let known = match entry {
        None => Known::No,
        Some(_) if is_ordinary => Known::Yes,
        Some(_) => Known::OtherObjects,
    };
    Ok(Comparison {
        version,
        free_threaded,
        numbers,
        known,
    })
}

/// The folders with headers of CPython on this machine: of pyenv, of the distribution, and of what `cargo xtask pythons`
/// obtained.
#[must_use]
pub fn installed_headers() -> Vec<PathBuf> {
    let (pyenv, obtained) = match Places::from_env() {
        Ok(Places { pyenv, folder }) => (pyenv, Some(folder)),
        Err(_) => (None, None),
    };
    let entries = |folder: PathBuf| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let mut parents: Vec<PathBuf> = pyenv
        .into_iter()
        .flat_map(|root| entries(root.join("versions")))
        .map(|root| root.join("include"))
        .collect();
    for root in obtained.into_iter().flat_map(entries) {
        if root.extension().is_none_or(|extension| extension != "partial") {
            parents.extend([root.join("include"), root.join("root/usr/include")]);
        }
    }
    parents.push("/usr/include".into());
    let mut folders: Vec<PathBuf> = parents
        .into_iter()
        .flat_map(entries)
        .filter(|folder| folder.join("Python.h").is_file())
        .collect();
    folders.sort();
    folders
}
