//! Has files of processes opened by workers, which pass them on: no descriptor of such a file is ever one of this process.
//!
//! A file travels in a socket. The worker puts it in, whoever is to read it (a `parse` worker) is given the socket and takes it
//! out. To open a file may take forever, so workers are asked as about everything else: see [`crate::workers`].

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::time::Duration;

use super::culprits::culprits;
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
    Hold(Arc<Reach>),
    Open(Box<FileWanted>, Sender<Result<SentFile, NotOpened>>),
}

/// A socket with an open file in it.
#[derive(Debug)]
pub struct SentFile(OwnedFd);

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
pub struct Opening(Receiver<Result<SentFile, NotOpened>>);

impl SentFile {
    /// Sends a file of this process itself.
    ///
    /// # Errors
    /// When there can be no socket.
    pub fn of_own(file: &File) -> io::Result<Self> {
        let (ours, theirs) = UnixStream::pair()?;
        send(&ours, &[], 0, Some(file.as_fd()))?;
        Ok(Self(theirs.into()))
    }

    /// The socket, to be passed on.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Opening {
    /// The file; `None` when it has not come in this time.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> Option<Result<SentFile, NotOpened>> {
        match self.0.recv_timeout(at_most) {
            Ok(outcome) => Some(outcome),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Err(NotOpened::Unanswered)),
        }
    }
}

impl Opener {
    /// Starts the thread.
    ///
    /// # Errors
    /// When there can be none.
    pub fn start() -> io::Result<Self> {
        let (asked, requests) = channel();
        std::thread::Builder::new()
            .name("files".to_owned())
            .spawn(move || Thread::default().run(&requests))?;
        Ok(Self(asked))
    }

    /// Keeps a file reachable for a while, although its process may end.
    pub fn hold(&self, reach: &Arc<Reach>) {
        // Without the thread nothing is opened either.
        let _ = self.0.send(Request::Hold(Arc::clone(reach)));
    }

    /// Has a file opened.
    #[must_use]
    pub fn open(&self, wanted: FileWanted) -> Opening {
        let (outcome, opening) = channel();
        let _ = self.0.send(Request::Open(Box::new(wanted), outcome));
        Opening(opening)
    }
}

/// A question that has not been answered.
struct Asked {
    ticket: Ticket,
    /// Where the file will be, and who waits for it.
    waiting: Option<(UnixStream, Sender<Result<SentFile, NotOpened>>)>,
}

struct Thread {
    pool: Pool,
    asked: Vec<Asked>,
}

impl Default for Thread {
    fn default() -> Self {
        Self {
            pool: Pool::new(start_forker(), ROLE.name, culprits()),
            asked: Vec::new(),
        }
    }
}

impl Thread {
    fn run(&mut self, requests: &Receiver<Request>) {
        loop {
            let next = match self.asked.is_empty() {
                true => requests.recv().map_err(|_| TryRecvError::Disconnected),
                false => requests.recv_timeout(LOOK_EVERY).map_err(|error| match error {
                    RecvTimeoutError::Timeout => TryRecvError::Empty,
                    RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
                }),
            };
            match next {
                Ok(request) => self.ask(request),
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => return,
            }
            self.pool.pump();
            self.settle();
        }
    }

    fn ask(&mut self, request: Request) {
        match request {
            Request::Hold(reach) => {
                let pid = reach.pid;
                let question = Question::Hold {
                    reach: (*reach).clone(),
                };
                let ticket = self.pool.ask(pid, false, question.encode());
                self.asked.push(Asked {
                    ticket,
                    waiting: None,
                });
            }
            Request::Open(wanted, outcome) => {
                let Ok((ours, theirs)) = UnixStream::pair() else {
                    // Nobody may wait for it any more.
                    let _ = outcome.send(Err(NotOpened::NotThere));
                    return;
                };
                let pid = wanted.pid();
                let question = Question::Open { wanted }.encode();
                let theirs = Arc::new(OwnedFd::from(theirs));
                let ticket = self.pool.ask_with(pid, false, question, Some(theirs));
                self.asked.push(Asked {
                    ticket,
                    waiting: Some((ours, outcome)),
                });
                // In the ordinary case it is there at once.
                self.pool.wait_for(ticket);
            }
        }
    }

    fn settle(&mut self) {
        let pool = &mut self.pool;
        for asked in std::mem::take(&mut self.asked) {
            let Some(outcome) = pool.take(asked.ticket) else {
                self.asked.push(asked);
                continue;
            };
            let Some((socket, waiting)) = asked.waiting else {
                continue;
            };
            let outcome = match outcome.map(|bytes| Answer::decode(&bytes)) {
                Ok(Some(Answer::Opened(true))) => Ok(SentFile(socket.into())),
                Ok(Some(_)) => Err(NotOpened::NotThere),
                Ok(None) | Err(_) => Err(NotOpened::Unanswered),
            };
            // Nobody may wait for it any more.
            let _ = waiting.send(outcome);
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
        let mut file = File::from(take_file(sent.socket()).expect("it is in there"));
        file.read_exact(&mut magic).expect("readable");
        assert_eq!(&magic, b"\x7fELF");
        let mut other = reach;
        other.file.stamp.size += 1;
        other.line = other.line.iter().copied().chain(*b".none").collect();
        let missing = opener
            .open(FileWanted::PerfMap { pid })
            .wait(Duration::from_secs(20));
        assert_eq!(missing.expect("in time").err(), Some(NotOpened::NotThere));
    }
}
