//! A worker that is asked one thing after another by a thread that may wait for it.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::forker::{Forker, StartError, Started};
use super::spent::Spent;
use super::stream::{Incoming, send};

/// Time between two looks at a worker that has not answered.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long the end of a worker is waited for: one that hangs in the kernel may never end.
const END_AT_MOST: Duration = Duration::from_millis(500);

/// A worker, ended when this is dropped.
#[derive(Debug)]
pub struct Single {
    forker: Forker,
    started: Started,
    incoming: Incoming,
}

impl Single {
    /// Starts a worker.
    ///
    /// # Errors
    /// When the process that starts workers is gone.
    pub fn start(forker: &Forker, role: &str) -> Result<Self, StartError> {
        Ok(Self {
            started: forker.start(role)?,
            forker: forker.clone(),
            incoming: Incoming::default(),
        })
    }

    /// Its process id, once it has one.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.forker.state(self.started.serial).pid
    }

    /// Asks it, and waits for the answer until it has spent `deadline` on it, blocked or on a CPU. Questions and answers have
    /// at most `most` bytes.
    ///
    /// # Errors
    /// When it is gone or too slow.
    pub fn call(
        &mut self,
        question: &[u8],
        file: Option<BorrowedFd<'_>>,
        most: usize,
        deadline: Duration,
    ) -> io::Result<Bytes> {
        let stream = &self.started.stream;
        // A worker that does not read does not answer either.
        stream.set_nonblocking(false)?;
        stream.set_write_timeout(Some(deadline))?;
        send(stream, question, most, file)?;
        stream.set_nonblocking(true)?;
        let (started, mut spent) = (Instant::now(), Spent::default());
        let timeout = deadline.min(LOOK_EVERY);
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let mut is_late = false;
        loop {
            if is_late && let Some(pid) = self.pid() {
                spent.look(pid, started);
            }
            // After the look: one that has answered waits for the next question, which looks as if it were blocked.
            let is_open = self.incoming.read(&self.started.stream)?;
            if let Some(answer) = self.incoming.next(most)? {
                return Ok(answer);
            }
            if !is_open {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if spent.blocked + spent.computed >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let socket = PollFd::from_borrowed_fd(self.started.stream.as_fd(), PollFlags::IN);
            is_late = poll(&mut [socket], Some(&timeout)).is_ok_and(|ready| ready == 0);
        }
    }

    /// Ends it; the signal that it died of.
    #[must_use]
    pub fn end(self) -> Option<i32> {
        let end = Instant::now() + END_AT_MOST;
        self.forker.end(self.started.serial);
        loop {
            if let Some(signal) = self.forker.state(self.started.serial).ended {
                return signal;
            }
            if Instant::now() >= end {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
            // The forker notices those that have ended whenever it is asked for something.
            self.forker.end(self.started.serial);
        }
    }
}

impl Drop for Single {
    fn drop(&mut self) {
        self.forker.let_go(self.started.serial);
    }
}
