//! Why an interpreter that was found is not profiled: a sentence for people, by name and with a reason.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

use super::version::Version;
use crate::elf::Architecture;
use crate::language::python::layout::DebugOffsetsError;

/// Why an interpreter is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No layout for this version or implementation yet.
    #[error("is not supported yet")]
    Unsupported,
    /// Alpha, beta or candidate.
    #[error("is a pre-release; its memory layout may differ from the release's")]
    PreRelease,
    /// Built without the GIL.
    #[error("is free-threaded, which is not supported in this version")]
    FreeThreaded,
    /// Built with `Py_STACKREF_DEBUG`, where frames hold numbers instead of addresses.
    #[error("is built with Py_STACKREF_DEBUG, which hides what its frames run")]
    StackRefDebug,
    /// Neither its symbols nor its code tell.
    #[error("does not tell where its threads find their state")]
    NoAnchor,
    /// Not x86-64.
    #[error("is built for a processor that is not supported yet ({0})")]
    Architecture(Architecture),
    /// 32-bit pointers.
    #[error("is a 32-bit program, which is not supported yet")]
    Is32Bit,
    /// `PyObject` has another size.
    #[error("is an unusual build: its object header has {found} bytes instead of {expected}")]
    ObjectLayout {
        /// Bytes in ordinary builds.
        expected: u64,
        /// Bytes in this one.
        found: u64,
    },
    /// The interpreter's own table of offsets is not believed.
    #[error("cannot be read: {0}")]
    DebugOffsets(#[from] DebugOffsetsError),
    /// The file does not tell its version.
    #[error("does not tell its version")]
    NoVersion,
    /// The file tells several versions.
    #[error("tells several versions: {}", list(.0))]
    Contradictory(BTreeSet<Version>),
    /// The C library could not be told, so thread-specific data cannot be found.
    #[error("runs with a C library that was not recognised")]
    UnknownLibc,
}

fn list(versions: &BTreeSet<Version>) -> String {
    versions
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// A Python implementation, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InterpreterName {
    /// CPython; without a version when the file does not tell.
    CPython(Option<Version>),
    /// PyPy.
    PyPy,
}

impl fmt::Display for InterpreterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CPython(Some(version)) => write!(f, "CPython {version}"),
            Self::CPython(None) => f.write_str("CPython"),
            Self::PyPy => f.write_str("PyPy"),
        }
    }
}
