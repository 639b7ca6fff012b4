//! Cells of the README's table: which interpreter passed which test of which column, noted for `cargo xtask test`.
//!
//! One line per test, `VERSION<TAB>COLUMN<TAB>yes|no<TAB>INTERPRETER<TAB>TEST`, appended to the file that [`CELLS`] names;
//! without it nothing is noted.

use std::fmt;
use std::fs::File;
use std::io::Write as _;

use anyhow::Context as _;

use super::Build;
use crate::python::Python;

/// Environment variable: the file to append to.
pub const CELLS: &str = "PYEBPF_SUPPORT_CELLS";

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Names of functions.
    Function,
    /// Names of files.
    File,
    /// Current lines.
    Line,
    /// `Class.method`.
    QualifiedName,
    /// Whether the thread holds the GIL.
    GilState,
    /// Generators, coroutines and asyncio.
    Generator,
    /// Further interpreters in one process.
    Subinterpreter,
    /// A build without the GIL passed.
    FreeThreaded,
    /// A build on musl passed.
    Musl,
    /// A build without shared library passed.
    Static,
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function => "function",
            Self::File => "file",
            Self::Line => "line",
            Self::QualifiedName => "qualified name",
            Self::GilState => "GIL state",
            Self::Generator => "generator",
            Self::Subinterpreter => "subinterpreter",
            Self::FreeThreaded => "free-threaded",
            Self::Musl => "musl",
            Self::Static => "static",
        })
    }
}

/// Notes that a test of this column ran on this interpreter, and whether it passed.
///
/// # Errors
/// When the file cannot be written.
pub fn record_cell(
    python: &Python,
    build: Build,
    column: Column,
    test: &str,
    passed: bool,
) -> anyhow::Result<()> {
    let Some(path) = std::env::var_os(CELLS) else {
        return Ok(());
    };
    let (major, minor) = build.version;
    let passed = if passed { "yes" } else { "no" };
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))?;
    // One write: tests of several threads append to it.
    let line = format!("{major}.{minor}\t{column}\t{passed}\t{python}\t{test}\n");
    file.write_all(line.as_bytes())
        .context("noting a cell of the table")
}
