//! The worker of the role `inspect`: answers by looking at processes, and hangs where they make it hang.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use profiler_common::memory::RemoteAddr;

use super::code_maps::CodeMaps;
use super::held::HeldFiles;
use super::messages::{
    About, Answer, Failure, Found, FoundStack, Look, Question, RefusedInterpreter, sentence,
};
use super::packages::Packages;
use super::source::lines;
use super::stacks::stack;
use crate::language::python::threads::lookup::Registries;
use crate::language::python::{Finding, InspectError, Inspector};
use crate::priority;
use crate::proc::memory::ProcMemory;
use crate::proc::root::Root;
use crate::proc::{self, ProcessError};
use crate::workers::stream::send;
use crate::workers::{Role, answer_all, limit_this_process};

/// The row of `crate::roles`.
pub const ROLE: Role = Role {
    name: "inspect",
    serve,
};

/// Bytes of heap that this process may have.
const MAX_HEAP: u64 = 1 << 30;

/// What a worker remembers.
#[derive(Debug, Default)]
struct Worker {
    inspector: Inspector,
    packages: Packages,
    registries: Registries,
    code_maps: CodeMaps,
    held: HeldFiles,
}

/// Answers questions until nobody asks any more.
fn serve(stream: &UnixStream) -> io::Result<()> {
    limit_this_process(MAX_HEAP);
    // The event loop waits for it, if only for a moment.
    priority::raise();
    let mut worker = Worker::default();
    answer_all(stream, |question, socket| {
        let question = Question::decode(question)?;
        Some(worker.answer(question, socket).encode())
    })
}

impl Worker {
    fn answer(&mut self, question: Question, socket: Option<OwnedFd>) -> Answer {
        match question {
            Question::Space { pid, known } => {
                let space = self.code_maps.of_process(pid, known);
                Answer::Space(
                    space
                        .map(|space| space.map(Box::new))
                        .map_err(|error| failure(&error)),
                )
            }
            Question::Hold { reach } => {
                self.held.hold(&reach);
                Answer::Done
            }
            Question::Discard { .. } => {
                drop(socket);
                Answer::Done
            }
            Question::Release { .. } => {
                self.held.expire();
                Answer::Done
            }
            Question::Open { wanted } => {
                let sent = self.held.open(&wanted).and_then(|file| {
                    let socket = socket.ok_or(io::ErrorKind::InvalidInput)?;
                    send(&UnixStream::from(socket), &[], 0, Some(file.as_fd()))
                });
                Answer::Opened(sent.is_ok())
            }
            Question::Look { pid } => Answer::Look(self.look(pid)),
            Question::About { pid } => Answer::About(about(pid).map_err(|error| failure(&error))),
            Question::Definition {
                pid,
                code,
                interpreter,
                layout,
                mut known,
            } => {
                // The process may still run: what was too long for the kernel half, or not resident, is there.
                let memory = ProcMemory::open(proc::visible_id(pid));
                let interpreter = RemoteAddr(interpreter);
                let completed =
                    memory.is_ok_and(|memory| known.complete(code, interpreter, &memory, &layout).is_ok());
                Answer::Definition(completed.then_some(known))
            }
            Question::ShortPath { pid, root, path } => {
                let short = self.packages.shorten(pid, root, &path);
                Answer::ShortPath(u32::try_from(short.len()).unwrap_or(u32::MAX))
            }
            Question::Stack { thread, locals } => {
                let memory = ProcMemory::open(proc::visible_id(thread.pid));
                let read = |memory| stack(&memory, &thread, locals.as_deref());
                Answer::Stack(memory.map_or_else(|_| FoundStack::default(), read))
            }
            Question::Source { pid, path, first } => Answer::Source(lines(pid, &path, first)),
            Question::ThreadName { thread, fields } => {
                Answer::ThreadName(self.registries.name(thread, &fields))
            }
        }
    }

    fn look(&mut self, pid: u32) -> Result<Look, Failure> {
        let found = match self.inspect(pid).map_err(|error| inspect_failure(&error))? {
            Finding::Python(interpreter) => Found::Python(interpreter),
            Finding::Refused(refused) => Found::Refused(RefusedInterpreter {
                text: sentence(&refused.to_string()),
                what: refused.what,
                file: refused.file,
            }),
            Finding::NotPython { may_still_load } => Found::NotPython { may_still_load },
        };
        let about = match found {
            Found::NotPython { .. } => None,
            // It may have ended meanwhile.
            Found::Python(_) | Found::Refused(_) => about(pid).ok(),
        };
        Ok(Look { found, about })
    }

    /// What a process is, also when its first thread has exited.
    fn inspect(&mut self, pid: u32) -> Result<Finding, InspectError> {
        let found = self.inspector.inspect(pid);
        if let Ok(Finding::Python(_) | Finding::Refused(_)) = found {
            return found;
        }
        match proc::visible_id(pid) {
            id if id == pid => found,
            thread => self.inspector.inspect(thread),
        }
    }
}

/// Who a process is now.
fn about(pid: u32) -> Result<About, ProcessError> {
    let stat = proc::stat(pid)?;
    let visible = proc::visible_id(pid);
    Ok(About {
        user: proc::user(pid)?,
        arguments: proc::command_line(visible)?,
        threads: stat.threads,
        cpu_time: stat.cpu_time(),
        comm: stat.name,
        root: Root::of_process(visible).ok().map(|root| root.id()),
        // Not worth losing the process.
        cgroup: proc::cgroup(pid).unwrap_or_default(),
        directory: proc::directory(visible).unwrap_or_default(),
        parent: stat.parent,
    })
}

fn inspect_failure(error: &InspectError) -> Failure {
    match error {
        InspectError::Process(error) => failure(error),
        _ if error.is_gone() => Failure::Gone,
        InspectError::File { source, .. } => Failure::Other(sentence(&format!("{error}: {source}"))),
    }
}

fn failure(error: &ProcessError) -> Failure {
    match error {
        ProcessError::Gone { .. } => Failure::Gone,
        ProcessError::Denied { .. } => Failure::Denied,
        ProcessError::Io { .. } | ProcessError::Malformed { .. } => {
            Failure::Other(sentence(&error.to_string()))
        }
    }
}
