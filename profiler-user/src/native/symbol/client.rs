//! Starts the symbol worker, talks to it, and ends it when it does not answer. Used by [`super::NativeSymbolizer`].

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::protocol::{Reply, Request, receive, send};

/// Addresses in one request.
pub(super) const CHUNK: usize = 256;
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
    /// It failed so often of late that none is started for a while. Nothing was asked.
    Resting,
}

/// The worker, when there is one.
#[derive(Debug)]
pub(super) struct Client {
    start: StartWorker,
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
            connection: None,
            failures: VecDeque::new(),
            generation: 0,
        }
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
            log::debug!("symbol worker: {error}");
            self.connection = None;
            self.failures.push_back(Instant::now());
            CallError::Failed
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
            none => Ok(none.insert(Connection::new((self.start)())?)),
        }
    }
}

impl Connection {
    fn new(mut command: Command) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        ours.set_read_timeout(Some(DEADLINE))?;
        ours.set_write_timeout(Some(DEADLINE))?;
        let child = command
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
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

impl Drop for Connection {
    fn drop(&mut self) {
        // It may be deep in a file and deaf to the end of the stream; it has nothing to lose.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            log::debug!("ending the symbol worker: {error}");
        }
    }
}
