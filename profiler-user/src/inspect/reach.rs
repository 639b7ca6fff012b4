//! How a file is named to a worker that is to open it and pass it on.

use serde::{Deserialize, Serialize};

use super::space::FoundFile;
use crate::proc::root::RootId;

/// A file that a process maps, or did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// The process, or another thread of it.
    pub pid: u32,
    /// Its line of `/proc/PID/maps`.
    pub line: Box<[u8]>,
    /// Which file, in which state.
    pub file: FoundFile,
    /// The root directory of the process.
    pub root: Option<RootId>,
}

/// A file to be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileWanted {
    /// This one.
    Mapped(Reach),
    /// One that may hold the debug information of another: the `skip`th and next of those that exist among these paths, beneath
    /// the root of the process and beneath that of the worker.
    Debug {
        /// The process.
        pid: u32,
        /// The other file, if it is one.
        of: Option<Reach>,
        /// Absolute paths, most likely first.
        paths: Vec<String>,
        /// How many to pass over.
        skip: u32,
    },
    /// The map that a process writes for profilers.
    PerfMap {
        /// The process.
        pid: u32,
    },
}

impl FileWanted {
    /// The process that it is about.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match self {
            Self::Mapped(reach) => reach.pid,
            Self::Debug { pid, .. } | Self::PerfMap { pid } => *pid,
        }
    }
}
