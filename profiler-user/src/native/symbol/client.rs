//! Starts the symbol worker, talks to it, and ends it when it does not answer. Used by [`super::NativeSymbolizer`].

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::channel::{receive, send};
use super::messages::{Reply, Request};

/// How long one request may take: the largest debug information that is read (256 MB) takes a few seconds.
const DEADLINE: Duration = Duration::from_secs(20);
/// So many workers may fail ...
const MAX_FAILURES: usize = 12;
/// ... in this time, before there is a rest.
const FAILURE_WINDOW: Duration = Duration::from_secs(60);

/// The verb by which pyebpf starts itself as a worker.
pub const WORKER_VERB: &str = "symbol-worker";

/// How the worker is started.
pub(super) type StartWorker = fn() -> Command;

/// pyebpf itself, under another verb.
pub(super) fn start_self() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(WORKER_VERB);
    command
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum CallError {
    /// The worker died or was too slow; it is gone, with everything that was loaded.
    Failed,
    /// The same, but somebody asked it to end: no file is to blame.
    Ended,
    /// It failed so often of late that none is started for a while. Nothing was asked.
    Resting,
}

/// The worker, when there is one.
#[derive(Debug)]
pub(super) struct Client {
    start: StartWorker,
    deadline: Duration,
    connection: Option<Connection>,
    failures: VecDeque<Instant>,
    /// Counts workers: what was loaded into one is not in the next.
    generation: u32,
}

#[derive(Debug)]
struct Connection {
    child: Child,
    stream: UnixStream,
}

impl Client {
    pub(super) fn new(start: StartWorker) -> Self {
        Self {
            start,
            deadline: DEADLINE,
            connection: None,
            failures: VecDeque::new(),
            generation: 0,
        }
    }

    /// The process id of the worker.
    #[cfg(test)]
    pub(super) fn worker(&self) -> Option<u32> {
        self.connection.as_ref().map(|connection| connection.child.id())
    }

    #[cfg(test)]
    pub(super) fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Which worker is, or was the last to be, at work.
    pub(super) fn generation(&self) -> u32 {
        self.generation
    }

    /// Asks the worker, which is started when there is none.
    pub(super) fn call(&mut self, request: &Request, file: Option<&File>) -> Result<Reply, CallError> {
        if self.is_resting() {
            return Err(CallError::Resting);
        }
        let answer = self
            .connection()
            .and_then(|connection| connection.call(request, file));
        answer.map_err(|error| {
            let signal = self.connection.take().and_then(Connection::end);
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

    fn connection(&mut self) -> io::Result<&mut Connection> {
        if self.connection.is_none() {
            self.generation += 1;
        }
        match &mut self.connection {
            Some(connection) => Ok(connection),
            none => Ok(none.insert(Connection::new((self.start)(), self.deadline)?)),
        }
    }
}

impl Connection {
    fn new(mut command: Command, deadline: Duration) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(deadline))?;
        ours.set_write_timeout(Some(deadline))?;
        let child = command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C is for pyebpf, which still wants names then.
            .process_group(0)
            .spawn()?;
        Ok(Self { child, stream: ours })
    }

    fn call(&self, request: &Request, file: Option<&File>) -> io::Result<Reply> {
        send(&self.stream, request, file.map(File::as_fd))?;
        let answer = receive(&self.stream)?;
        answer
            .map(|(reply, _)| reply)
            .ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }
}

impl Connection {
    /// Ends the worker; the signal that it died of.
    fn end(mut self) -> Option<i32> {
        self.reap().ok()?.signal()
    }

    fn reap(&mut self) -> io::Result<ExitStatus> {
        // It may be deep in a file and deaf to the end of the stream; it has nothing to lose.
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Err(error) = self.reap() {
            log::debug!("ending the symbol worker: {error}");
        }
    }
}
