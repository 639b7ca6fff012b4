//! Starts the symbol worker, talks to it, and ends it when it does not answer. Used by [`super::NativeSymbolizer`].

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::messages::{Reply, Request};
use super::protocol::{MAX_MESSAGE_BYTES, decode, encode};
use super::worker;
use crate::inspect::SentFile;
use crate::workers::{Role, Single, start_forker};

/// How long one request may take: the largest debug information that is read (256 MB) takes a few seconds.
const DEADLINE: Duration = Duration::from_secs(20);
/// So many workers may fail ...
const MAX_FAILURES: usize = 12;
/// ... in this time, before there is a rest.
const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// The row of `crate::roles`.
pub const ROLE: Role = Role {
    name: "parse-symbols",
    serve: worker::serve,
};

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// The worker died or was too slow; it is gone, with everything that was loaded.
    Failed,
    /// The same, but somebody asked it to end: no file is to blame.
    Ended,
    /// It has failed so often recently that none is started for a while. Nothing was asked.
    Resting,
}

/// The worker, when there is one.
#[derive(Debug)]
pub(super) struct Client {
    /// The name of the worker's role.
    role: &'static str,
    deadline: Duration,
    worker: Option<Single>,
    failures: VecDeque<Instant>,
    /// Counts workers: what was loaded into one is not in the next.
    generation: u32,
}

impl Client {
    pub(super) fn new(role: &'static str) -> Self {
        Self {
            role,
            deadline: DEADLINE,
            worker: None,
            failures: VecDeque::new(),
            generation: 0,
        }
    }

    /// The process id of the worker.
    #[cfg(test)]
    pub(super) fn worker_pid(&self) -> Option<u32> {
        self.worker.as_ref().and_then(Single::pid)
    }

    #[cfg(test)]
    pub(super) fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Which worker is, or was the last to be, at work.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// Asks the worker, which is started when there is none. A file comes in a socket.
    pub(super) fn call(&mut self, request: &Request, file: Option<SentFile>) -> Result<Reply, CallError> {
        if self.is_resting() {
            return Err(CallError::Resting);
        }
        let answer = self.ask(request, file);
        answer.map_err(|error| {
            let signal = self.worker.take().and_then(Single::end);
            log::debug!("symbol worker: {error}, signal {signal:?}");
            self.failures.push_back(Instant::now());
            match signal.and_then(Signal::from_named_raw) {
                Some(Signal::INT | Signal::TERM | Signal::HUP) => CallError::Ended,
                _ => CallError::Failed,
            }
        })
    }

    fn is_resting(&mut self) -> bool {
        self.failures.retain(|failure| failure.elapsed() < FAILURE_WINDOW);
        self.failures.len() >= MAX_FAILURES
    }

    fn ask(&mut self, request: &Request, file: Option<SentFile>) -> io::Result<Reply> {
        let deadline = self.deadline;
        let socket = file.as_ref().and_then(SentFile::socket);
        let bytes = self
            .worker()?
            .call(&encode(request), socket, MAX_MESSAGE_BYTES, deadline)?;
        // It takes a file out before it answers.
        file.into_iter().for_each(SentFile::taken);
        decode(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn worker(&mut self) -> io::Result<&mut Single> {
        if self.worker.is_none() {
            self.generation += 1;
        }
        match &mut self.worker {
            Some(worker) => Ok(worker),
            none => {
                let worker = Single::start(&start_forker(), self.role).map_err(io::Error::other)?;
                Ok(none.insert(worker))
            }
        }
    }
}
