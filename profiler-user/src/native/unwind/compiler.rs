//! The thread that has blocks compiled: it never writes maps, never holds up the event loop, and reads no file itself. That
//! is for a worker ([`super::worker`]), which is replaced when it dies or takes too long.
//!
//! Used by [`super::tables`]. Both directions are bounded.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::error::TableError;
use super::file::CompiledBlock;
use super::files::FileNumber;
use super::messages::{Answer, Fault, MAX_MESSAGE_BYTES, Question, decode_answer};
use super::origin::{Lost, Origin};
use super::worker::ROLE;
use crate::inspect::{Opener, Openings, SentFile};
use crate::workers::{Single, start_forker};

/// Blocks asked for and not answered, at most. Few, so that what a sample needs does not wait long.
pub(super) const MAX_OUTSTANDING: usize = 4;
/// How long one question may take: the largest call frame information that is read (256 MiB) takes a second or two.
const DEADLINE: Duration = Duration::from_secs(5);
/// How long the end of the thread is waited for.
const END_AT_MOST: Duration = Duration::from_millis(50);
/// Files of which it is remembered that the worker was given them.
const MAX_GIVEN: usize = 1 << 14;
/// So many workers may be lost over a file before nothing more is asked about it.
const MAX_LOST_OVER_FILE: u32 = 2;
/// So many workers may be lost ...
const MAX_LOST: usize = 12;
/// ... in this time, before there is a rest.
const LOST_WINDOW: Duration = Duration::from_secs(60);

/// A block to compile.
#[derive(Debug)]
pub(super) struct CompileRequest {
    pub(super) file: FileNumber,
    pub(super) block: u32,
    pub(super) origin: Origin,
}

/// Why a block could not be compiled.
#[derive(Debug)]
pub(super) enum CompileFailure {
    /// Not by this way; another process may map the file too.
    Unreachable,
    /// Not yet: its file has not come.
    Late,
    /// Never.
    Hopeless(TableError),
}

/// A compiled block.
#[derive(Debug)]
pub(super) struct CompileResponse {
    pub(super) file: FileNumber,
    pub(super) block: u32,
    pub(super) result: Result<CompiledBlock, CompileFailure>,
    pub(super) elapsed: Duration,
}

/// The thread's other end.
#[derive(Debug)]
pub(super) struct Compiler {
    requests: Option<SyncSender<CompileRequest>>,
    responses: Receiver<CompileResponse>,
    thread: Option<JoinHandle<()>>,
}

impl Compiler {
    /// Starts the thread; `ready` is notified after each response.
    pub(super) fn start(opener: Opener, ready: Arc<Notify>) -> io::Result<Self> {
        let (requests, inbox) = sync_channel::<CompileRequest>(MAX_OUTSTANDING);
        let (outbox, responses) = sync_channel(MAX_OUTSTANDING);
        let thread = std::thread::Builder::new()
            .name("unwind-tables".to_owned())
            .spawn(move || {
                let mut worker = Worker::new(opener);
                // It takes a moment, and the first table is urgent.
                worker.prepare();
                while let Ok(request) = inbox.recv() {
                    if outbox.send(worker.answer(&request)).is_err() {
                        break;
                    }
                    ready.notify_one();
                }
            })?;
        Ok(Self {
            requests: Some(requests),
            responses,
            thread: Some(thread),
        })
    }

    /// Hands over a request; gives it back when there are too many, or the thread is gone.
    pub(super) fn ask(&self, request: CompileRequest) -> Result<(), CompileRequest> {
        let Some(requests) = &self.requests else {
            return Err(request);
        };
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(request) | TrySendError::Disconnected(request) => request,
        })
    }

    /// The next answer, if there is one.
    pub(super) fn answer(&self) -> Option<CompileResponse> {
        self.responses.try_recv().ok()
    }
}

impl Drop for Compiler {
    fn drop(&mut self) {
        self.requests = None;
        // The thread may be waiting for room.
        let end = Instant::now() + END_AT_MOST;
        let is_done = loop {
            match self
                .responses
                .recv_timeout(end.saturating_duration_since(Instant::now()))
            {
                Ok(_) => {}
                Err(error) => break error == RecvTimeoutError::Disconnected,
            }
        };
        // One that waits for a worker ends with this process.
        if let Some(thread) = self.thread.take()
            && is_done
            && thread.join().is_err()
        {
            log::warn!("the thread that compiles unwind tables had failed");
        }
    }
}

/// The worker, when there is one.
struct Worker {
    openings: Openings<FileNumber>,
    process: Option<Single>,
    /// Files that it was given.
    given: HashSet<FileNumber>,
    lost: VecDeque<Instant>,
    /// Files over which workers were lost, and how many.
    lost_over: HashMap<FileNumber, u32>,
}

impl Worker {
    fn new(opener: Opener) -> Self {
        Self {
            openings: Openings::new(opener),
            process: None,
            given: HashSet::new(),
            lost: VecDeque::new(),
            lost_over: HashMap::new(),
        }
    }

    fn prepare(&mut self) {
        if self.process.is_none() {
            self.given.clear();
            match Single::start(&start_forker(), ROLE.name) {
                Ok(process) => self.process = Some(process),
                Err(error) => log::debug!("{error}"),
            }
        }
    }

    fn answer(&mut self, request: &CompileRequest) -> CompileResponse {
        let begun = Instant::now();
        CompileResponse {
            file: request.file,
            block: request.block,
            result: self.compile(request),
            elapsed: begun.elapsed(),
        }
    }

    fn compile(&mut self, request: &CompileRequest) -> Result<CompiledBlock, CompileFailure> {
        loop {
            let lost = self.lost_over.get(&request.file).copied().unwrap_or(0);
            if lost >= MAX_LOST_OVER_FILE {
                return Err(CompileFailure::Hopeless(TableError::Lost));
            }
            self.lost.retain(|lost| lost.elapsed() < LOST_WINDOW);
            if self.lost.len() >= MAX_LOST {
                return Err(CompileFailure::Unreachable);
            }
            self.prepare();
            let is_given = self.given.contains(&request.file);
            let file = match is_given {
                true => None,
                false => {
                    let opened = request.origin.open(request.file, &mut self.openings);
                    Some(opened.map_err(|lost| match lost {
                        Lost::Unreachable => CompileFailure::Unreachable,
                        Lost::Late => CompileFailure::Late,
                    })?)
                }
            };
            match self.ask(request, file) {
                // It keeps only so many files.
                Ok(Err(Fault::NoFile)) if is_given => {
                    self.given.remove(&request.file);
                }
                Ok(answer) => {
                    if self.given.len() >= MAX_GIVEN {
                        self.given.clear();
                    }
                    self.given.insert(request.file);
                    return answer.map_err(|fault| CompileFailure::Hopeless(fault.error()));
                }
                Err(error) => {
                    let signal = self.process.take().and_then(Single::end);
                    log::debug!("the worker that compiles unwind tables: {error}, signal {signal:?}");
                    self.lost.push_back(Instant::now());
                    *self.lost_over.entry(request.file).or_default() += 1;
                }
            }
        }
    }

    fn ask(&mut self, request: &CompileRequest, file: Option<SentFile>) -> io::Result<Answer> {
        let process = self.process.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let question = Question {
            file: request.file.0,
            block: request.block,
        };
        let socket = file.as_ref().and_then(SentFile::socket);
        let bytes = process.call(&question.encode(), socket, MAX_MESSAGE_BYTES, DEADLINE)?;
        // It takes a file out before it answers.
        file.into_iter().for_each(SentFile::taken);
        decode_answer(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }
}
