//! What a process turned out to be, or why that could not be told. Made by [`super::Inspector`].

use std::fmt;
use std::path::PathBuf;

use super::interpreter::Interpreter;
use super::refusal::{InterpreterName, Refusal};
use crate::proc::ProcessError;
use crate::proc::file::FileError;

/// An interpreter that was found and is not profiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was found.
    pub what: InterpreterName,
    /// Why it is not profiled.
    pub reason: Refusal,
    /// The file it is in, as the kernel prints it.
    pub file: PathBuf,
}

/// One sentence for people: `CPython 3.16.0 is not supported yet`.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.reason)
    }
}

/// What a process turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It runs a supported interpreter (or will: the interpreter may not have initialised itself yet).
    Python(Box<Interpreter>),
    /// It runs Python, but not one that can be profiled.
    Refused(Refused),
    /// No interpreter is mapped.
    NotPython {
        /// The dynamic loader is still at work (just after `exec`, or inside a `dlopen`), so an interpreter
        /// may appear any moment: ask again after 1, 2, 4, 8 ... ms. `false` says that the libraries the
        /// program was linked with are all there; an interpreter can then only come by a later `dlopen` or
        /// `exec`.
        may_still_load: bool,
    },
}

/// Why a process could not be inspected.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The process is gone, or may not be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// No interpreter was found, but the program or a file with `python` in its name could not be read.
    #[error("{} could not be analysed", .path.display())]
    File {
        /// The file, as the kernel prints it.
        path: PathBuf,
        /// Why.
        source: FileError,
    },
}

impl InspectError {
    /// Whether the process no longer exists.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(
            self,
            Self::Process(ProcessError::Gone { .. })
                | Self::File {
                    source: FileError::Process(ProcessError::Gone { .. }),
                    ..
                }
        )
    }
}
