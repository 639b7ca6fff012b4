//! What can be said about one file. Made by [`super::analyze`].

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ops::Range;

use crate::elf::{Architecture, Segment};
use crate::language::python::recognise::anchors::Anchors;
use crate::language::python::recognise::evaluation_loop::NoLoop;
use crate::language::python::recognise::version::Version;

/// The C library a program runs with, as far as the profiler cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

impl Libc {
    /// For people and `ps --format json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        }
    }
}

/// What can be said about an interpreter's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionEvidence {
    /// This.
    Known(Version),
    /// The file does not say.
    Absent,
    /// It says several things.
    Contradictory(BTreeSet<Version>),
}

/// A CPython interpreter inside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CPython {
    /// Static address of `_PyRuntime`; `None` before 3.7, which has none.
    pub runtime: Option<u64>,
    /// Bytes of it; 0 where the file does not say.
    pub runtime_bytes: u64,
    /// Its version.
    pub version: VersionEvidence,
    /// The file's bytes from `_PyRuntime` on, when they begin with the cookie of `_Py_DebugOffsets` (3.13+).
    pub debug_offsets: Option<Box<[u8]>>,
    /// `sizeof(PyObject)`, when the file exports `_Py_NoneStruct`; more than 16 in builds with other object
    /// layouts.
    pub object_header_bytes: Option<u64>,
    /// Static address of `PyCode_Type`; `None` when the file does not export it.
    pub code_type: Option<u64>,
    /// Built with `Py_STACKREF_DEBUG` (3.14+).
    pub has_stackref_debug: bool,
    /// Where it keeps what leads to a thread's state.
    pub anchors: Anchors,
    /// Static addresses of the code of its evaluation loop, one piece or several; or why they are not known.
    pub evaluation_loop: Result<Box<[Range<u64>]>, NoLoop>,
}

/// A Python implementation inside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// CPython.
    CPython(Box<CPython>),
    /// PyPy, of any version.
    PyPy,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// The interpreter in it; nearly always `None`.
    pub interpreter: Option<Implementation>,
    /// Processor.
    pub architecture: Architecture,
    /// 64-bit pointers.
    pub is_64_bit: bool,
    /// A program, not a library.
    pub is_program: bool,
    /// The C library it is linked with; `None` when the file does not tell.
    pub libc: Option<Libc>,
    /// Static address at which the dynamic loader leaves the address of its `r_debug` (the value of
    /// `DT_DEBUG`).
    pub debug_slot: Option<u64>,
    /// Has a `PyCode_Type`: besides interpreters, programs that the linker gave a copy of their library's.
    pub has_code_type: bool,
    /// `PT_LOAD` segments.
    pub segments: Box<[Segment]>,
}
