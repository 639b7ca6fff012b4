//! Finds the Python interpreter in a process and says how to read it, from outside and without stopping it.
//!
//! Used by the tracker (`record`), `ps` and `doctor`. An interpreter is recognised by what
//! its file contains, so renamed, deleted, embedded and statically linked ones are ordinary cases. What is
//! found but not understood is refused by name and with a reason. Nothing here loads BPF or writes anywhere;
//! of the target's memory only words of the dynamic loader are read (`loader.rs`, `thread_local.rs`).
//!
//! - [`elf`]: what one file contains.
//! - [`version`], [`layout`]: which CPython it is, and where that keeps its fields.
//! - [`thread_specific`], [`thread_local`]: how the C library keeps the thread state.
//! - `lookup`, `judgement`, `refusal`: what it comes to for one process, or why it comes to nothing.
//! - [`Inspector`]: all of it for one process, with a cache that makes known files free.

mod cache;
pub mod code;
pub mod elf;
mod inspector;
mod judgement;
pub mod layout;
#[cfg(test)]
mod live_test;
mod loader;
mod lookup;
pub mod objects;
mod refusal;
#[cfg(test)]
pub(crate) mod test_support;
pub mod thread_local;
pub mod thread_specific;
pub mod threads;
pub mod version;

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use profiler_common::contract::layout::Layout;
use profiler_common::contract::process::ThreadLookup;

use crate::proc::ProcessError;
use crate::proc::file::FileError;

use self::layout::objects::ObjectFields;

pub use self::elf::{Libc, NoLoop};
pub use self::inspector::Inspector;
pub use self::refusal::{Identity, Refusal};
pub use self::version::Version;

/// How the interpreter came into the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interpreter {
    /// Its version.
    pub version: Version,
    /// Built without the GIL.
    pub is_free_threaded: bool,
    /// Where it keeps its fields.
    pub layout: Layout,
    /// Where it keeps what only user space reads.
    pub objects: ObjectFields,
    /// Where its threads find their state.
    pub lookup: ThreadLookup,
    /// The C library it runs with.
    pub libc: Libc,
    /// Program or library.
    pub linkage: Linkage,
    /// The code of its evaluation loop, addresses in the process, one piece or several; or why it is not known.
    pub evaluation_loop: Result<Box<[Range<u64>]>, NoLoop>,
    /// The file it is in, as the kernel prints it: for a process in another mount namespace, a path in that
    /// one. It may be deleted.
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

/// An interpreter that was found and is not profiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was found.
    pub what: Identity,
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
