//! What the main process and the workers of the role `inspect` say to each other.
//!
//! Workers read what strangers wrote, so an answer is trusted no more than a file: decoding copes with any bytes,
//! allocates in proportion to the bytes that are there, and checks what the numbers mean before anybody uses them.

use std::path::PathBuf;
use std::time::Duration;

use profiler_common::contract::layout::Layout;
use profiler_common::contract::process::ThreadLookup;
use serde::{Deserialize, Serialize};

use super::reach::{FileWanted, Reach};
use super::space::Space;
use crate::language::python::code::definition::{CodeKey, Definition};
use crate::language::python::layout::check::check;
use crate::language::python::locals::{self, FrameLocals, LocalsWanted};
use crate::language::python::threads::SampledThread;
use crate::language::python::threads::lookup::ThreadFields;
use crate::language::python::{Interpreter, InterpreterName};
use crate::proc::root::RootId;

/// Pieces of an evaluation loop, at most.
const MAX_PIECES: usize = 64;
/// Lines of source, at most.
pub(super) const MAX_SOURCE_LINES: usize = 1024;
/// Characters of a reason or an error, and of a line of source.
const MAX_REASON: usize = 1024;

/// What a worker is asked. Process ids are those of the initial pid namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Question {
    /// What it runs, and who it is if that is Python.
    Look {
        /// The process.
        pid: u32,
    },
    /// Who it is.
    About {
        /// The process.
        pid: u32,
    },
    /// The rest of a definition.
    Definition {
        /// The process.
        pid: u32,
        /// Which code object.
        code: CodeKey,
        /// Address of the interpreter that it belongs to.
        interpreter: u64,
        /// Where its interpreter keeps its fields.
        #[serde(with = "crate::as_bytes::numbers")]
        layout: Layout,
        /// What is known of it.
        known: Box<Definition>,
    },
    /// The part of a path from its package on, in the file system of a process.
    ShortPath {
        /// The process.
        pid: u32,
        /// Its root; another process may have its id by now.
        root: RootId,
        /// A source file, as the interpreter has it.
        path: String,
    },
    /// What it executes.
    Space {
        /// The process.
        pid: u32,
        /// What is known of its mappings: `CodeMaps::of_process`.
        known: Option<u64>,
    },
    /// Keep a file reachable for a while.
    Hold {
        /// The file.
        reach: Reach,
    },
    /// Open a file, and put it into the socket that comes with the question.
    Open {
        /// The file.
        wanted: Box<FileWanted>,
    },
    /// Close the socket that comes with the question, and the file in it.
    Discard {
        /// Whose file it is.
        pid: u32,
    },
    /// Let go of files that were kept reachable for long enough.
    Release {
        /// Nobody's in particular: the asker.
        pid: u32,
    },
    /// The stack of a thread, best of one that is blocked.
    Stack {
        /// The thread.
        thread: Box<ThreadToRead>,
        /// The variables of its frames are wanted, too.
        locals: Option<Box<LocalsWanted>>,
    },
    /// Lines of a source file.
    Source {
        /// A process that runs it.
        pid: u32,
        /// As the interpreter has it.
        path: String,
        /// The first line that is wanted.
        first: u32,
    },
    /// The name of a thread.
    ThreadName {
        /// The thread.
        thread: SampledThread,
        /// How its interpreter is read.
        fields: Box<ThreadFields>,
    },
}

/// A thread that should stay where it is, and how its stack is found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ThreadToRead {
    /// Its process.
    pub pid: u32,
    /// Itself.
    pub tid: u32,
    /// `ProcessEntry::incarnation`.
    pub incarnation: u64,
    /// `ThreadSlot::thread_pointer`.
    pub thread_pointer: u64,
    /// What leads from it to the thread state.
    #[serde(with = "crate::as_bytes::numbers")]
    pub lookup: ThreadLookup,
    /// `ProcessEntry::layout`.
    pub layout_index: u32,
    /// The layout with this index.
    #[serde(with = "crate::as_bytes::numbers")]
    pub layout: Layout,
}

/// The stack of a thread, as far as it could be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FoundStack {
    /// Records as the kernel half sends them: see `stacks`. Empty when the process could not be read.
    pub records: Vec<u8>,
    /// The thread was off its CPU all the while: what was read is of one moment.
    pub is_of_one_moment: bool,
    /// It was blocked, not waiting for a CPU.
    pub was_blocked: bool,
    /// For each frame of Python code, innermost first, its variables, if they were wanted and could be read.
    pub locals: Vec<Option<FrameLocals>>,
    /// The thread did not run between the reading of its stack and that of its variables.
    pub locals_are_of_that_moment: bool,
}

/// What a worker answers; each to the question of the same name, where no other is named.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    /// See [`Question::Look`].
    Look(Result<Look, Failure>),
    /// See [`Question::About`].
    About(Result<About, Failure>),
    /// As complete as it can be had; `None` when the process could not be read.
    Definition(Option<Box<Definition>>),
    /// How many bytes at the end of the path make the short one.
    ShortPath(u32),
    /// `None` when it has not changed.
    Space(Result<Option<Box<Space>>, Failure>),
    /// To [`Question::Hold`], [`Question::Discard`] and [`Question::Release`].
    Done,
    /// Whether it is in the socket.
    Opened(bool),
    /// See [`Question::Stack`].
    Stack(FoundStack),
    /// The lines from the first one on that is wanted; or a sentence that says why there are none.
    Source(Result<Vec<String>, Failure>),
    /// See [`Question::ThreadName`].
    ThreadName(Option<String>),
}

/// Why a worker could not find something out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// The process is gone.
    Gone,
    /// The worker may not look at it.
    Denied,
    /// Any other reason, as a sentence.
    Other(String),
}

/// What a process turned out to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// What it runs.
    pub found: Found,
    /// Who it is; for what runs Python.
    pub about: Option<About>,
}

/// What a process runs: a `language::python::Finding`, as it travels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Found {
    /// A supported interpreter.
    Python(Box<Interpreter>),
    /// An interpreter that is not profiled.
    Refused(RefusedInterpreter),
    /// No interpreter is mapped; see `Finding::NotPython`.
    NotPython {
        /// One may appear at any moment.
        may_still_load: bool,
    },
}

/// An interpreter that was found and is not profiled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefusedInterpreter {
    /// What was found.
    pub what: InterpreterName,
    /// One sentence for people: `CPython 3.16.0 is not supported yet`.
    pub text: String,
    /// The file it is in, as the kernel prints it.
    #[serde(with = "crate::as_bytes::path")]
    pub file: PathBuf,
}

/// Who a process is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Effective user id, in the worker's user namespace.
    pub user: u32,
    /// The kernel's name of its first thread.
    pub comm: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Threads at this moment.
    pub threads: u32,
    /// CPU time so far, of all its threads.
    pub cpu_time: Duration,
    /// Its root directory.
    pub root: Option<RootId>,
    /// The text of `/proc/PID/cgroup`.
    pub cgroup: Vec<u8>,
    /// The process that started it; 0 when that is not visible.
    pub parent: u32,
    /// Its working directory, as it sees it.
    #[serde(with = "crate::as_bytes::path")]
    pub directory: PathBuf,
}

impl Question {
    /// The process that it is about, or one of its threads.
    #[must_use]
    pub fn pid(&self) -> u32 {
        match self {
            Self::Look { pid }
            | Self::About { pid }
            | Self::Definition { pid, .. }
            | Self::ShortPath { pid, .. }
            | Self::Source { pid, .. }
            | Self::Space { pid, .. }
            | Self::Discard { pid }
            | Self::Release { pid } => *pid,
            Self::Hold { reach } => reach.pid,
            Self::Open { wanted } => wanted.pid(),
            Self::Stack { thread, .. } => thread.pid,
            Self::ThreadName { thread, .. } => thread.process.tgid,
        }
    }

    /// Whether nothing is known of the process yet.
    #[must_use]
    pub fn is_first(&self) -> bool {
        matches!(self, Self::Look { .. })
    }

    /// As bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// From bytes that the main process wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        postcard::from_bytes(bytes).ok()
    }
}

impl Answer {
    /// As bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        postcard::to_stdvec(self).unwrap_or_default()
    }

    /// From bytes that a worker wrote; `None` for what no worker says.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (answer, rest) = postcard::take_from_bytes::<Self>(bytes).ok()?;
        (rest.is_empty() && answer.is_sound()).then_some(answer)
    }

    /// Whether its numbers can be used.
    fn is_sound(&self) -> bool {
        let is_short = |text: &String| text.chars().count() <= MAX_REASON;
        match self {
            Self::Look(Ok(Look { found, .. })) => match found {
                Found::Python(interpreter) => {
                    let pieces = interpreter.evaluation_loop.as_deref().unwrap_or_default();
                    check(&interpreter.layout).is_ok()
                        && pieces.len() <= MAX_PIECES
                        && pieces.iter().all(|piece| piece.start <= piece.end)
                }
                Found::Refused(refused) => is_short(&refused.text),
                Found::NotPython { .. } => true,
            },
            Self::Look(Err(Failure::Other(text)))
            | Self::About(Err(Failure::Other(text)))
            | Self::Source(Err(Failure::Other(text)))
            | Self::Space(Err(Failure::Other(text))) => is_short(text),
            Self::Space(Ok(Some(space))) => space.is_sound(),
            Self::Look(Err(_)) | Self::About(_) | Self::Space(_) | Self::Done | Self::Opened(_) => true,
            Self::Definition(definition) => definition.as_ref().is_none_or(|known| known.is_sound()),
            Self::Source(Ok(lines)) => lines.len() <= MAX_SOURCE_LINES && lines.iter().all(is_short),
            Self::Stack(found) => locals::are_sound(&found.locals),
            Self::Source(Err(_)) | Self::ShortPath(_) => true,
            Self::ThreadName(name) => name.as_ref().is_none_or(is_short),
        }
    }
}

/// A sentence that is not too long for an answer.
pub(super) fn sentence(text: &str) -> String {
    text.chars().take(MAX_REASON).collect()
}

/// Whether these bytes are an answer; panics if it changes when it travels again. For the fuzz target.
#[must_use]
pub fn is_answer(bytes: &[u8]) -> bool {
    let Some(answer) = Answer::decode(bytes) else {
        return false;
    };
    let again = Answer::decode(&answer.encode());
    assert_eq!(
        again.as_ref(),
        Some(&answer),
        "an answer that travels stays the same"
    );
    if let Answer::Definition(Some(definition)) = &answer {
        let _ = (
            definition.full_name(),
            definition.line_table.line(7),
            definition.heap_bytes(),
        );
        assert!(definition.is_part_of(definition));
    }
    if let Answer::Stack(found) = &answer {
        assert!(locals::are_sound(&found.locals), "variables have limits");
    }
    true
}
