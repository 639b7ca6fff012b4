//! One worker, as the main process sees it. Used by [`super::pool`].

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf as _, Bytes};

use super::culprit::Culprit;
use super::forker::{Forker, StartError};
use super::spent::Spent;
use super::stream::{Incoming, header, send_some};
use super::ticket::{MAX_BYTES, TICKET_BYTES, Ticket};

/// A worker and the questions that it has not answered.
#[derive(Debug)]
pub(super) struct Worker {
    forker: Forker,
    started: super::forker::Started,
    pid: Option<u32>,
    incoming: Incoming,
    /// What the socket had no room for.
    outgoing: VecDeque<Outgoing>,
    /// In the order in which they will be answered.
    pub(super) unanswered: VecDeque<Ticket>,
    /// When the first of them became the first.
    first_since: Instant,
    /// Questions that were taken back, and asked of others.
    relieved: Vec<Ticket>,
    pub(super) spent: Spent,
    /// Set once it has been at its first question for long: whose process that is about. It gets no further questions then.
    pub(super) stuck_over: Option<Culprit>,
    /// Whether it has answered anything.
    pub(super) has_answered: bool,
}

/// A message on its way.
#[derive(Debug)]
struct Outgoing {
    /// What has not been sent of it.
    bytes: Bytes,
    /// What goes with its first byte.
    file: Option<Arc<OwnedFd>>,
}

impl Worker {
    /// Asks for a worker; it can be asked at once.
    pub(super) fn start(forker: &Forker, role: &str) -> Result<Self, StartError> {
        let started = forker.start(role)?;
        started.stream.set_nonblocking(true)?;
        Ok(Self {
            forker: forker.clone(),
            started,
            pid: None,
            incoming: Incoming::default(),
            outgoing: VecDeque::new(),
            unanswered: VecDeque::new(),
            first_since: Instant::now(),
            relieved: Vec::new(),
            spent: Spent::default(),
            stuck_over: None,
            has_answered: false,
        })
    }

    /// The socket, to wait for an answer.
    pub(super) fn stream(&self) -> &std::os::unix::net::UnixStream {
        &self.started.stream
    }

    /// Its process id, once it has one.
    pub(super) fn pid(&mut self) -> Option<u32> {
        if self.pid.is_none() {
            self.pid = self.forker.state(self.started.serial).pid;
        }
        self.pid
    }

    /// Since when the first question has been waiting.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        (!self.unanswered.is_empty()).then_some(self.first_since)
    }

    /// Asks a question; a file may go with it.
    pub(super) fn ask(
        &mut self,
        ticket: Ticket,
        question: &[u8],
        file: Option<Arc<OwnedFd>>,
    ) -> io::Result<()> {
        if self.unanswered.is_empty() {
            self.begin();
        }
        let length = TICKET_BYTES + question.len();
        let header = header(length, MAX_BYTES).ok_or(io::ErrorKind::FileTooLarge)?;
        let bytes = [&header[..], &ticket.0.to_le_bytes(), question].concat().into();
        self.outgoing.push_back(Outgoing { bytes, file });
        self.unanswered.push_back(ticket);
        self.write()
    }

    /// Writes what there is room for, and takes the answers that have come.
    pub(super) fn exchange(&mut self, mut take: impl FnMut(Ticket, Bytes)) -> io::Result<()> {
        self.write()?;
        let is_open = self.incoming.read(&self.started.stream)?;
        while let Some(mut answer) = self.incoming.next(MAX_BYTES)? {
            let ticket = Ticket(answer.try_get_u64_le().map_err(|_| io::ErrorKind::InvalidData)?);
            if self.unanswered.front() == Some(&ticket) {
                self.unanswered.pop_front();
                self.begin();
            } else if !self.was_relieved(ticket) {
                return Err(io::ErrorKind::InvalidData.into());
            }
            self.has_answered = true;
            self.stuck_over = None;
            take(ticket, answer);
        }
        if is_open {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Takes back all questions but the first, which it is at. It will still answer them, late.
    pub(super) fn relieve(&mut self) -> Vec<Ticket> {
        let others: Vec<Ticket> = self.unanswered.drain(1.min(self.unanswered.len())..).collect();
        self.relieved.extend(&others);
        others
    }

    /// Whether a question was taken back from it and is answered now.
    fn was_relieved(&mut self, ticket: Ticket) -> bool {
        let position = self.relieved.iter().position(|relieved| *relieved == ticket);
        position.map(|position| self.relieved.remove(position)).is_some()
    }

    fn begin(&mut self) {
        self.first_since = Instant::now();
        self.spent = Spent::default();
    }

    fn write(&mut self) -> io::Result<()> {
        while let Some(message) = self.outgoing.front_mut() {
            let file = message.file.as_ref().map(|file| file.as_fd());
            match send_some(&self.started.stream, &message.bytes, file) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(sent) => {
                    message.file = None;
                    message.bytes.advance(sent);
                    if message.bytes.is_empty() {
                        self.outgoing.pop_front();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may be deaf to the end of the stream; it has nothing to lose.
        self.forker.let_go(self.started.serial);
    }
}
