//! Has files of processes opened by workers, which pass them on: no descriptor of such a file is ever one of this process.
//!
//! A file travels in a socket. The worker puts it in, whoever is to read it (a `parse` worker) is given the socket and takes it
//! out. To open a file may take forever, so workers are asked as about everything else: see [`crate::workers`].
//!
//! Whoever closes a socket closes what is left in it, and that may take forever, too. So one whose file nobody has taken out is
//! given back to a worker.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use super::culprits::culprits;
use super::held::HOLD;
use super::messages::{Answer, Question};
use super::reach::{FileWanted, Reach};
use super::serve::ROLE;
use crate::workers::stream::send;
use crate::workers::{Pool, Ticket, start_forker};

/// Time between two looks at workers that are late.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Has files opened, on a thread of its own. Ends with its last copy.
#[derive(Clone, Debug)]
pub struct Opener(Sender<Request>);

#[derive(Debug)]
enum Request {
    Prepare,
    Hold(Arc<Reach>),
    Open(Box<FileWanted>, Sender<Outcome>),
    /// A socket with a file of a process that nobody has taken out.
    Discard(u32, OwnedFd),
    Renew(u32),
}

/// A socket with an open file in it, or why there is none.
type Outcome = Result<OwnedFd, NotOpened>;

/// A socket with an open file in it.
#[derive(Debug)]
pub struct SentFile {
    socket: Option<OwnedFd>,
    /// Who is to close it, and whose file it is; for a file of another process.
    left_to: Option<(Sender<Request>, u32)>,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotOpened {
    /// It is not there, or not what it was, or may not be read.
    #[error("it cannot be opened any more")]
    NotThere,
    /// Its file system does not answer.
    #[error("its file system does not answer")]
    Unanswered,
}

/// A file that is being opened.
#[derive(Debug)]
pub struct Opening {
    outcome: Receiver<Outcome>,
    left_to: Sender<Request>,
    pid: u32,
}

impl SentFile {
    /// Sends a file of this process itself.
    ///
    /// # Errors
    /// When there can be no socket.
    pub fn of_own(file: &File) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        send(&ours, &[], 0, Some(file.as_fd()))?;
        Ok(Self {
            socket: Some(theirs.into()),
            left_to: None,
        })
    }

    /// The socket, to be passed on.
    #[must_use]
    pub fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(OwnedFd::as_fd)
    }

    /// Whoever was given the socket has taken the file out.
    pub fn taken(mut self) {
        self.left_to = None;
    }
}

impl Drop for SentFile {
    fn drop(&mut self) {
        if let (Some((sender, pid)), Some(socket)) = (self.left_to.take(), self.socket.take()) {
            // Without the thread this process is about to end.
            let _ = sender.send(Request::Discard(pid, socket));
        }
    }
}

impl Opening {
    /// The file; `None` when it has not come in this time.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> Option<Result<SentFile, NotOpened>> {
        let outcome = match self.outcome.recv_timeout(at_most) {
            Ok(outcome) => outcome,
            Err(RecvTimeoutError::Timeout) => return None,
            Err(RecvTimeoutError::Disconnected) => Err(NotOpened::Unanswered),
        };
        Some(outcome.map(|socket| SentFile {
            socket: Some(socket),
            left_to: Some((self.left_to.clone(), self.pid)),
        }))
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        // It may have come since.
        drop(self.wait(Duration::ZERO));
    }
}

impl Opener {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be none.
    pub fn start() -> io::Result<Self> {
        Self::with_role(ROLE.name)
    }

    /// With workers of this role.
    pub(super) fn with_role(role: &'static str) -> io::Result<Self> {
        let (asked, requests) = channel();
        std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || Thread::new(role).run(&requests))?;
        Ok(Self(asked))
    }

    /// Has a worker started, so that the first file does not wait for that.
    pub fn prepare(&self) {
        self.ask(Request::Prepare);
    }

    /// Keeps a file reachable for a while, although its process may end.
    pub fn hold(&self, reach: &Arc<Reach>) {
        self.ask(Request::Hold(Arc::clone(reach)));
    }

    /// Has a file opened.
    #[must_use]
    pub fn open(&self, wanted: FileWanted) -> Opening {
        let (sender, outcome) = channel();
        let pid = wanted.pid();
        self.ask(Request::Open(Box::new(wanted), sender));
        Opening {
            outcome,
            left_to: self.0.clone(),
            pid,
        }
    }

    /// Another program runs under this process id.
    pub fn renew(&self, pid: u32) {
        self.ask(Request::Renew(pid));
    }

    fn ask(&self, request: Request) {
        // Without the thread nobody waits in vain: what it would have answered is dropped with the request.
        let _ = self.0.send(request);
    }
}

/// A question that has not been answered.
struct Asked {
    ticket: Ticket,
    /// Whose file it is.
    pid: u32,
    /// Where the file will be, and who waits for it.
    waiting: Option<(UnixStream, Sender<Outcome>)>,
}

struct Thread {
    pool: Pool,
    asked: Vec<Asked>,
    /// When a worker may hold something that is to be let go.
    release_at: Option<Instant>,
}

impl Thread {
    fn new(role: &'static str) -> Self {
        Self {
            pool: Pool::new(start_forker(), role, culprits()),
            asked: Vec::new(),
            release_at: None,
        }
    }

    fn run(&mut self, requests: &Receiver<Request>) {
        loop {
            let until_release = self
                .release_at
                .map(|at| at.saturating_duration_since(Instant::now()));
            let patience = match self.asked.is_empty() {
                true => until_release,
                false => Some(LOOK_EVERY),
            };
            let request = match patience {
                Some(patience) => requests.recv_timeout(patience),
                None => requests.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match request {
                Ok(request) => self.answer(request),
                Err(RecvTimeoutError::Timeout) => self.release(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.pool.pump();
            self.settle();
        }
    }

    fn answer(&mut self, request: Request) {
        match request {
            Request::Prepare => self.pool.prepare(),
            Request::Hold(reach) => {
                let question = Question::Hold {
                    reach: (*reach).clone(),
                };
                self.ask(reach.pid, &question);
                // Somewhat later than what is put there now.
                self.release_at = Some(Instant::now() + HOLD + HOLD / 10);
            }
            Request::Open(wanted, outcome) => self.open(wanted, outcome),
            Request::Discard(pid, socket) => self.discard(pid, socket),
            Request::Renew(pid) => self.pool.renew(pid),
        }
    }

    fn ask(&mut self, pid: u32, question: &Question) {
        let ticket = self.pool.ask(pid, false, question.encode());
        self.asked.push(Asked {
            ticket,
            pid,
            waiting: None,
        });
    }

    fn open(&mut self, wanted: Box<FileWanted>, outcome: Sender<Outcome>) {
        let Ok((ours, theirs)) = UnixStream::pair() else {
            // Nobody may wait for it any more.
            let _ = outcome.send(Err(NotOpened::NotThere));
            return;
        };
        let pid = wanted.pid();
        let question = Question::Open { wanted }.encode();
        let ticket = self.pool.ask_with(pid, question, theirs.into());
        self.asked.push(Asked {
            ticket,
            pid,
            waiting: Some((ours, outcome)),
        });
        // In the ordinary case it is there at once.
        self.pool.wait_for(ticket);
    }

    fn discard(&mut self, pid: u32, socket: OwnedFd) {
        let ticket = self.pool.give(pid, Question::Discard { pid }.encode(), socket);
        self.asked.push(Asked {
            ticket,
            pid,
            waiting: None,
        });
    }

    /// Has workers let go of what they have held for long enough; they do it by themselves while they are asked for files.
    fn release(&mut self) {
        if self.release_at.is_some_and(|at| Instant::now() >= at) {
            self.release_at = None;
            let pid = std::process::id();
            self.ask(pid, &Question::Release { pid });
        }
    }

    fn settle(&mut self) {
        for asked in std::mem::take(&mut self.asked) {
            let Some(outcome) = self.pool.take(asked.ticket) else {
                self.asked.push(asked);
                continue;
            };
            let Some((socket, waiting)) = asked.waiting else {
                continue;
            };
            // A worker that was asked before, and is late, has nowhere to put it any more.
            let _ = socket.shutdown(Shutdown::Read);
            let outcome = match outcome.map(|bytes| Answer::decode(&bytes)) {
                Ok(Some(Answer::Opened(true))) => Ok(socket.into()),
                Ok(Some(Answer::Opened(false))) => Err(NotOpened::NotThere),
                Ok(_) | Err(_) => {
                    // It may have put it there all the same.
                    self.discard(asked.pid, socket.into());
                    Err(NotOpened::Unanswered)
                }
            };
            // Nobody may wait for it any more.
            if let Err(unsent) = waiting.send(outcome)
                && let Ok(socket) = unsent.0
            {
                self.discard(asked.pid, socket);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use crate::inspect::code_maps::CodeMaps;
    use crate::inspect::space::MappedContent;
    use crate::workers::stream::take_file;

    #[test]
    fn a_file_of_a_process_comes_through_a_worker() {
        let pid = std::process::id();
        let space = CodeMaps::default()
            .of_process(pid, None)
            .expect("this process")
            .expect("new");
        let first = space.mappings.iter().find_map(|mapping| match &mapping.content {
            MappedContent::Code { file, .. } => Some(Reach {
                pid,
                line: mapping.line.clone(),
                file: *file,
                root: space.root,
            }),
            _ => None,
        });
        let reach = first.expect("this program is a file");
        let opener = Opener::start().expect("a thread");
        opener.hold(&Arc::new(reach.clone()));
        let sent = opener
            .open(FileWanted::Mapped(reach.clone()))
            .wait(Duration::from_secs(20));
        let sent = sent.expect("in time").expect("it is there");
        let mut magic = [0; 4];
        let socket = sent.socket().expect("not closed yet");
        let mut file = File::from(take_file(socket).expect("it is in there"));
        sent.taken();
        file.read_exact(&mut magic).expect("readable");
        assert_eq!(&magic, b"\x7fELF");
        let mut changed = reach;
        changed.file.stamp.size += 1;
        for wanted in [FileWanted::Mapped(changed), FileWanted::PerfMap { pid }] {
            let missing = opener.open(wanted).wait(Duration::from_secs(20));
            assert_eq!(missing.expect("in time").err(), Some(NotOpened::NotThere));
        }
    }

    #[test]
    fn a_socket_whose_file_nobody_takes_is_closed() {
        let opener = Opener::start().expect("a thread");
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let file = File::open("/proc/self/exe").expect("this program is a file");
        send(&ours, &[], 0, Some(file.as_fd())).expect("room");
        drop(SentFile {
            socket: Some(theirs.into()),
            left_to: Some((opener.0.clone(), std::process::id())),
        });
        // The other end learns when neither this process nor a worker has the socket any more: first that something was
        // left in it.
        ours.set_read_timeout(Some(Duration::from_secs(20)))
            .expect("a socket");
        let left = (&ours).read(&mut [0]).expect_err("nothing is ever sent here");
        assert_eq!(left.kind(), io::ErrorKind::ConnectionReset);
    }
}
