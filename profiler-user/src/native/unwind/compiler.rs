//! The thread that compiles: reads files, never writes maps, never holds up the event loop.
//!
//! Used by [`super::tables`]. Both directions are bounded. It keeps the files open that it used last.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::error::TableError;
use super::file::{CompiledBlock, FileTables};
use super::files::FileNumber;
use super::origin::{Lost, Origin};

/// Blocks asked for and not answered, at most. Few, so that what a sample needs does not wait long.
pub(super) const MAX_OUTSTANDING: usize = 4;
/// Files kept open, at most.
const MAX_OPEN: usize = 24;

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
    pub(super) fn start(ready: Arc<Notify>) -> std::io::Result<Self> {
        let (requests, inbox) = sync_channel::<CompileRequest>(MAX_OUTSTANDING);
        let (outbox, responses) = sync_channel(MAX_OUTSTANDING);
        let thread = std::thread::Builder::new()
            .name("unwind-tables".to_owned())
            .spawn(move || {
                let mut files = OpenFiles::default();
                while let Ok(request) = inbox.recv() {
                    if outbox.send(files.answer(&request)).is_err() {
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
        while self.responses.recv().is_ok() {}
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::warn!("the thread that compiles unwind tables had failed");
        }
    }
}

/// Files, the one used last at the end.
#[derive(Default)]
struct OpenFiles {
    files: VecDeque<(FileNumber, FileTables)>,
}

impl OpenFiles {
    fn answer(&mut self, request: &CompileRequest) -> CompileResponse {
        let begun = Instant::now();
        let result = self
            .find(request)
            .and_then(|tables| tables.block(request.block).map_err(CompileFailure::Hopeless));
        CompileResponse {
            file: request.file,
            block: request.block,
            result,
            elapsed: begun.elapsed(),
        }
    }

    fn find(&mut self, request: &CompileRequest) -> Result<&mut FileTables, CompileFailure> {
        let tables = match self.files.iter().position(|(file, _)| *file == request.file) {
            Some(at) => self.files.remove(at),
            None => {
                let bytes = request.origin.open().map_err(|lost| match lost {
                    Lost::Unreachable => CompileFailure::Unreachable,
                    Lost::NotRegular => CompileFailure::Hopeless(TableError::NotSupported),
                })?;
                if self.files.len() >= MAX_OPEN {
                    self.files.pop_front();
                }
                Some((
                    request.file,
                    FileTables::open(bytes).map_err(CompileFailure::Hopeless)?,
                ))
            }
        };
        self.files.extend(tables);
        match self.files.back_mut() {
            Some((_, tables)) => Ok(tables),
            None => Err(CompileFailure::Unreachable),
        }
    }
}
