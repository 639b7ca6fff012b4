//! A supported interpreter in a process, and all that reading it takes. Made by `judgement`.

use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::path::PathBuf;

use profiler_common::contract::layout::Layout;
use profiler_common::contract::process::ThreadLookup;

use super::analysis::Libc;
use super::evaluation_loop::NoLoop;
use super::version::Version;
use crate::language::python::layout;
use crate::language::python::layout::objects::ObjectFields;
use crate::language::python::lookup::thread_specific;

/// How the interpreter came into the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Linkage {
    /// It is part of the program.
    Static,
    /// It is a library, loaded at the start or by `dlopen`.
    Shared,
}

impl Linkage {
    /// For people and `ps --format json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Shared => "shared",
        }
    }
}

/// A supported interpreter in a process, and all that reading it takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interpreter {
    /// Its version.
    pub version: Version,
    /// Built without the GIL.
    pub is_free_threaded: bool,
    /// Where it keeps its fields.
    #[serde(with = "crate::as_bytes::numbers")]
    pub layout: Layout,
    /// Where it keeps what only user space reads.
    pub objects: ObjectFields,
    /// Where its threads find their state.
    #[serde(with = "crate::as_bytes::numbers")]
    pub lookup: ThreadLookup,
    /// Where its `_PyRuntime` is (3.7+); nowhere if that is not known.
    pub runtime: Range<u64>,
    /// The C library it runs with.
    pub libc: Libc,
    /// Program or library.
    pub linkage: Linkage,
    /// The code of its evaluation loop, addresses in the process, one piece or several; or why it is not known.
    pub evaluation_loop: Result<Box<[Range<u64>]>, NoLoop>,
    /// The file it is in, as the kernel prints it: for a process in another mount namespace, a path in that
    /// one. It may be deleted.
    #[serde(with = "crate::as_bytes::path")]
    pub file: PathBuf,
}

impl Interpreter {
    /// `3.13.5`, or `3.13.5t` of a free-threaded build, as `python3.13t` is called.
    #[must_use]
    pub fn version_text(&self) -> String {
        let mark = if self.is_free_threaded { "t" } else { "" };
        format!("{}{mark}", self.version)
    }

    /// Where its C library keeps the kernel's id of a thread, bytes from `pthread_self()`; 4 bytes.
    #[must_use]
    pub fn kernel_id(&self) -> Option<u16> {
        thread_specific::kernel_id(layout::ARCHITECTURE, self.libc)
    }

    /// Whether a thread that waits for the lock at this address waits for the GIL of the first interpreter. Known of 3.7 and
    /// newer with glibc, whose condition variables wait at addresses of their own: the GIL's condition variable and mutex are
    /// in `_PyRuntime`. Nothing else there is waited for: the other locks of CPython are on the heap or on stacks.
    #[must_use]
    pub fn is_gil(&self, address: u64) -> bool {
        !self.is_free_threaded && self.runtime.contains(&address)
    }

    /// Whether the instruction at this address is part of the evaluation loop; `false` where that is not known. A caller's
    /// instruction is the one before the address it returns to.
    #[must_use]
    pub fn is_in_evaluation_loop(&self, address: u64) -> bool {
        let pieces = self.evaluation_loop.as_deref().unwrap_or_default();
        pieces.iter().any(|piece| piece.contains(&address))
    }

    /// One line for people: `CPython 3.11.7, shared, glibc, /usr/lib/libpython3.11.so.1.0`.
    #[must_use]
    pub fn describe(&self) -> String {
        let (linkage, libc) = (self.linkage.name(), self.libc.name());
        format!(
            "CPython {}{}, {linkage}, {libc}, {}",
            self.version,
            if self.is_free_threaded {
                " free-threaded"
            } else {
                ""
            },
            self.file.display()
        )
    }
}
