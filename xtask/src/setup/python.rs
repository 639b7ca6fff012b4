//! A Python that pyebpf supports, to show something on: whichever this machine has.
//!
//! Looked for on `PATH`, then in `/usr/bin`, then among pyenv's builds and what `cargo xtask pythons` obtained. A machine
//! without any gets the distribution's own, or one of another distribution in a folder of its own.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use test_pythons::SUPPORTED;
use test_pythons::matrix::{self, Found, From};

use super::Need;
use crate::hint::hinted;
use crate::{command, debian, pythons};

const PACKAGE: &str = "python3";
/// The distribution's own.
const SYSTEM: &str = "/usr/bin/python3";
/// Used if that does not exist or is not supported: a row of `tests/pythons.toml`.
const FALLBACK: &str = "3.13-trixie";

/// Imports what `xtask/demo/shop.py` imports, then says which interpreter this is. Runs on any version.
const QUESTION: &str = "
import platform, sys
import hashlib, http.client, http.server, json, sqlite3, zlib
print(' '.join([platform.python_implementation(), sys.version_info[3], '%d %d' % sys.version_info[:2], sys.executable]))
";
/// What `shop.py` is written for.
const OLDEST: (u8, u8) = (3, 6);

/// An interpreter, and how it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Interpreter {
    /// This program.
    Plain(PathBuf),
    /// This program, with another root than the host's; as root.
    InRoot { root: PathBuf, program: PathBuf },
}

impl Interpreter {
    /// A command that starts it; arguments follow. The process that is started becomes the interpreter.
    pub(crate) fn command(&self) -> anyhow::Result<Command> {
        match self {
            Self::Plain(program) => Ok(Command::new(program)),
            Self::InRoot { root, program } => {
                let words = matrix::words_in_root(root, program);
                let mut command = command::as_root(words[0].as_ref())?;
                command.args(&words[1..]);
                Ok(command)
            }
        }
    }
}

impl fmt::Display for Interpreter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(program) => write!(f, "{}", program.display()),
            Self::InRoot { root, program } => write!(f, "{} of {}", program.display(), root.display()),
        }
    }
}

/// The first that pyebpf supports and that has the whole standard library.
pub(crate) fn find() -> anyhow::Result<Option<Interpreter>> {
    for program in ["python3", SYSTEM] {
        if let Some(program) = ask(program.as_ref()) {
            return Ok(Some(Interpreter::Plain(program)));
        }
    }
    let others = pythons::found(|row| {
        row.env.is_empty() && matches!(row.from, From::Pyenv | From::DebianRoot { .. })
    })?;
    Ok(others.iter().find_map(usable))
}

/// The program, if it is one that can show something.
fn ask(program: &OsStr) -> Option<PathBuf> {
    let output = Command::new(program)
        .args(["-c", QUESTION])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    // A program that fails, or says something else, is not what is looked for.
    supported(&String::from_utf8_lossy(&output.stdout)).filter(|_| output.status.success())
}

/// The program of `CPython final 3 11 /usr/bin/python3`.
fn supported(answer: &str) -> Option<PathBuf> {
    let words: Vec<&str> = answer.trim().splitn(5, ' ').collect();
    let ["CPython", "final", major, minor, program] = words[..] else {
        return None;
    };
    let version = (major.parse().ok()?, minor.parse().ok()?);
    (version >= OLDEST && SUPPORTED.contains(&version)).then(|| PathBuf::from(program))
}

fn usable(found: &Found) -> Option<Interpreter> {
    match &found.root {
        None => ask(found.program.as_os_str()).map(Interpreter::Plain),
        // Asking takes root. Debian's packages have the whole library.
        Some(root) => Some(Interpreter::InRoot {
            root: root.clone(),
            program: found.program.clone(),
        }),
    }
}

/// Any of them.
pub(super) struct AnyPython;

impl Need for AnyPython {
    fn name(&self) -> &str {
        PACKAGE
    }

    fn plan(&self) -> anyhow::Result<String> {
        Ok(if Path::new(SYSTEM).exists() {
            format!("a Python that pyebpf supports: {FALLBACK} of tests/pythons.toml (cargo xtask pythons)")
        } else {
            format!("a Python: Debian's package {PACKAGE} (apt-get install)")
        })
    }

    fn is_present(&self) -> anyhow::Result<bool> {
        Ok(find()?.is_some())
    }

    fn install(&self) -> anyhow::Result<()> {
        if !debian::has_apt() {
            let (oldest, newest) = (OLDEST, SUPPORTED.end());
            return Err(hinted(
                "there is no Python here that pyebpf supports, and no apt-get to install one",
                format!(
                    "install CPython {}.{} to {}.{} with its standard library, then: cargo xtask run",
                    oldest.0, oldest.1, newest.0, newest.1
                ),
            ));
        }
        if !Path::new(SYSTEM).exists() {
            debian::install(&[PACKAGE])?;
        }
        if find()?.is_some() {
            return Ok(());
        }
        pythons::ensure_named(&[FALLBACK.to_owned()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_releases_of_cpython_that_are_supported_are_taken() {
        let program = |answer: &str| supported(answer).map(|path| path.display().to_string());
        assert_eq!(
            program("CPython final 3 11 /usr/bin/python3\n").as_deref(),
            Some("/usr/bin/python3")
        );
        assert_eq!(
            program("CPython final 3 8 /a b/python\n").as_deref(),
            Some("/a b/python")
        );
        assert_eq!(program("CPython final 2 7 /usr/bin/python\n"), None);
        assert_eq!(program("CPython final 3 99 /usr/bin/python3\n"), None);
        assert_eq!(program("CPython candidate 3 14 /usr/bin/python3\n"), None);
        assert_eq!(program("PyPy final 3 10 /usr/bin/pypy3\n"), None);
        assert_eq!(program("python3: command not found\n"), None);
    }

    #[test]
    fn the_fallback_is_a_row_of_the_matrix() {
        pythons::find(FALLBACK).expect("a row of tests/pythons.toml");
    }
}
