//! What the pipeline cannot know by itself: it asks, the session finds out, the answers come back.

use crate::ids::ProcessKey;
use crate::language::python::code::definition::Definition;
use crate::language::python::code::store::Incomplete;
use crate::proc::root::RootId;

/// A question about a process that was sampled.
#[derive(Clone, Debug)]
pub enum Question {
    /// The rest of a definition that the kernel half captured in part only. To be read while the process is there.
    Definition {
        /// Which one.
        of: Incomplete,
        /// What is known of it.
        known: Definition,
    },
    /// The part of a path that people read: from its package on, as the process's file system has it.
    ShortPath(PathKey),
}

/// A source file of a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathKey {
    /// The process's root directory.
    pub root: RootId,
    /// A process with this root that may still be there.
    pub process: ProcessKey,
    /// As the interpreter has it.
    pub path: Box<str>,
}

/// What was found out.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A definition, as complete as it could be had.
    Definition {
        /// Which one.
        of: Incomplete,
        /// `None` when the process could not be read.
        completed: Option<Definition>,
    },
    /// A short path, an end of the one that was asked about.
    ShortPath {
        /// Which one.
        of: PathKey,
        /// The answer.
        short: Box<str>,
    },
}
