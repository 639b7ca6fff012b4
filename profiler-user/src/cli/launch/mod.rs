//! The command after `--`: run as the user who called sudo, with its own signals, and waited for, as `time` and `strace` do.
//!
//! Its [runner](runner) is between it and pyebpf. What it starts is ended with it, as far as it stays in its process group.

mod caller;
mod family;
mod report;
mod runner;

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::Signal;
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};

pub(super) use self::caller::Caller;
use self::caller::Ids;
use self::family::{Relative, below};
use self::report::Report;
pub use self::runner::{RUNNER_VERB, run_command};
use super::failure::{Failure, exit_code};
use super::terminal;
use crate::limits::FileLimit;
use crate::proc;
use crate::session::Signals;
use crate::shell;

/// How long the command may take to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the status of a command that has ended may take to arrive.
const STATUS_WITHIN: Duration = Duration::from_secs(1);
/// Time between two looks at whether all have ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often SIGKILL is sent to what is left: a process may be starting others.
const KILL_ROUNDS: usize = 50;
/// Processes that go on running and are named, at most.
const NAMED_AT_MOST: usize = 5;

/// A running command.
pub(super) struct Launched {
    runner: Child,
    /// The runner ends when this is dropped.
    stream: OwnedWriteHalf,
    pid: u32,
    /// As `waitpid` gives it, once it has ended.
    status: watch::Receiver<Option<i32>>,
}

/// Where a command reads and writes.
pub(super) enum Streams {
    /// Where pyebpf does.
    Own,
    /// Elsewhere: the terminal is in use.
    Kept {
        /// Its standard output.
        stdout: File,
        /// Its standard error.
        stderr: File,
    },
}

/// What ended the recording of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EndedBy {
    /// The command itself.
    Command,
    /// `--duration`.
    Time,
    /// A signal to pyebpf, or an error.
    Request,
}

impl Launched {
    /// Starts the command. From now on `signals` leaves the first Ctrl-C to it.
    pub(super) async fn start(
        command: &[OsString],
        files: FileLimit,
        signals: &mut Signals,
    ) -> Result<Self, Failure> {
        Self::start_with(command, files, signals, Streams::Own).await
    }

    /// The same with other streams.
    pub(super) async fn start_with(
        command: &[OsString],
        files: FileLimit,
        signals: &mut Signals,
        streams: Streams,
    ) -> Result<Self, Failure> {
        let starting = |error: io::Error| Failure::new(format_args!("starting the command: {error}"));
        let caller = Caller::of_sudo();
        let ids = caller.as_ref().map_or(Ids::Own, Caller::ids);
        let mut builder = Command::new("/proc/self/exe");
        builder
            .arg0("pyebpf")
            .args([RUNNER_VERB, &ids.text()])
            .args(command);
        if let Some(caller) = &caller {
            caller.set_environment(&mut builder);
        }
        let stdin = streams.give(&mut builder).map_err(starting)?;
        // The socket is made within the old limit too: the C library passes on no descriptor whose number is beyond it.
        let (mut runner, ours) = files
            .with_old(move || {
                let (ours, theirs) = UnixStream::pair()?;
                let runner = builder.stdin(OwnedFd::from(theirs)).spawn()?;
                io::Result::Ok((runner, ours))
            })
            .map_err(starting)?;
        let said = match send_start(&ours, stdin.as_fd()) {
            Ok(()) => first_report(ours, signals).await,
            Err(error) => Err(starting(error)),
        };
        let (pid, reader, stream) = match said {
            Ok(said) => said,
            Err(failure) => {
                // The command may have been started just now.
                for relative in below(runner.id(), 0).0 {
                    relative.signal(Signal::TERM);
                }
                // The runner has ended, or ends now that the socket is closed.
                let _ = runner.wait();
                return Err(failure);
            }
        };
        let started = match pid {
            Report::Started(pid) => Ok(pid),
            Report::NotStarted(errno) => Err(not_started(command, errno)),
            Report::NotTheUser(errno) => {
                let error = io::Error::from_raw_os_error(errno);
                Err(
                    Failure::new(format_args!("cannot become the user who called sudo: {error}"))
                        .hint("call pyebpf as root itself: the command then runs as root"),
                )
            }
            Report::Interrupted | Report::Ended(_) => Err(not_run()),
        };
        // Signals will be sent to this process, so what the runner says is checked.
        let is_child = |pid: &u32| proc::stat(*pid).map_or(true, |stat| stat.parent == runner.id());
        let pid = match started {
            Ok(pid) if is_child(&pid) => pid,
            failed => {
                drop((reader, stream));
                let _ = runner.wait();
                return Err(failed.err().unwrap_or_else(not_run));
            }
        };
        let (interrupts, interrupted) = mpsc::unbounded_channel();
        let (ended, status) = watch::channel(None);
        tokio::spawn(listen(reader, interrupts, ended));
        signals.share(interrupted);
        Ok(Self {
            runner,
            stream,
            pid,
            status,
        })
    }

    /// Its process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Ends what still runs of the command, or lets it go on (`keep`). Returns the command's exit status as a shell would
    /// show it.
    pub(super) async fn finish(mut self, by: EndedBy, keep: bool, signals: &mut Signals) -> u8 {
        if by == EndedBy::Command {
            let ended = self.status.wait_for(Option::is_some);
            let _ = tokio::time::timeout(STATUS_WITHIN, ended).await;
        } else if !keep {
            if by == EndedBy::Time && !self.has_ended() {
                terminal::status("Ended the command, since the time of -d is up (--keep lets it go on)");
            }
            self.end(signals).await;
        }
        let status = *self.status.borrow();
        let (inside, outside) = below(self.runner.id(), self.pid);
        if keep && by != EndedBy::Command {
            terminal::status(&format!("Goes on: {}", list(inside.iter().chain(&outside))));
        } else if !inside.is_empty() || !outside.is_empty() {
            let left = list(inside.iter().chain(&outside));
            terminal::status(&format!("The command left running: {left}"));
        }
        // The runner ends, and what goes on belongs to the host.
        drop(self.stream);
        if let Err(error) = self.runner.wait() {
            log::debug!("waiting for the runner: {error}");
        }
        match status.map(ExitStatus::from_raw) {
            // Its time was up, which is what was asked for.
            Some(status) if by == EndedBy::Time && was_ended(status) => 0,
            Some(status) => shell_status(status),
            None if keep => 0,
            None => exit_code::FAILURE,
        }
    }

    /// SIGTERM, and SIGKILL to what has not ended 2 s later or at one more Ctrl-C.
    async fn end(&mut self, signals: &mut Signals) {
        for relative in self.running() {
            relative.signal(Signal::TERM);
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() && Instant::now() < deadline {
            tokio::select! {
                _ = signals.stop() => break,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
        for _ in 0..KILL_ROUNDS {
            if self.has_ended() {
                return;
            }
            for relative in self.running() {
                relative.signal(Signal::KILL);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn running(&self) -> Vec<Relative> {
        below(self.runner.id(), self.pid).0
    }

    fn has_ended(&self) -> bool {
        self.status.borrow().is_some() && self.running().is_empty()
    }
}

impl Streams {
    /// Nothing to read, and both outputs into this file.
    pub(super) fn kept(output: &File) -> io::Result<Self> {
        Ok(Self::Kept {
            stdout: output.try_clone()?,
            stderr: output.try_clone()?,
        })
    }

    /// Makes the outputs the runner's; returns the input, which comes later.
    fn give(self, builder: &mut Command) -> io::Result<OwnedFd> {
        match self {
            Self::Own => io::stdin().as_fd().try_clone_to_owned(),
            Self::Kept { stdout, stderr } => {
                builder.stdout(stdout).stderr(stderr);
                Ok(File::open("/dev/null")?.into())
            }
        }
    }
}

/// Tells the runner to start the command, with the standard input that it is to have.
fn send_start(stream: &UnixStream, stdin: BorrowedFd<'_>) -> io::Result<()> {
    let files = [stdin];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(&files));
    rustix::net::sendmsg(
        stream.as_fd(),
        &[IoSlice::new(b"!")],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?;
    Ok(())
}

/// What became of the start, and the two halves of the socket.
async fn first_report(
    stream: UnixStream,
    signals: &mut Signals,
) -> Result<(Report, OwnedReadHalf, OwnedWriteHalf), Failure> {
    let stream = stream
        .set_nonblocking(true)
        .and_then(|()| tokio::net::UnixStream::from_std(stream));
    let (mut reader, writer) = stream.map_err(|_| not_run())?.into_split();
    tokio::select! {
        report = next_report(&mut reader) => report.map(|report| (report, reader, writer)).ok_or_else(not_run),
        _ = signals.stop() => Err(not_run()),
    }
}

async fn next_report(reader: &mut OwnedReadHalf) -> Option<Report> {
    let mut bytes = [0; report::BYTES];
    reader.read_exact(&mut bytes).await.ok()?;
    Report::decode(bytes)
}

/// Hands on what the runner reports, until it ends.
async fn listen(
    mut reader: OwnedReadHalf,
    interrupts: mpsc::UnboundedSender<()>,
    ended: watch::Sender<Option<i32>>,
) {
    while let Some(report) = next_report(&mut reader).await {
        match report {
            Report::Interrupted => {
                // The recording may have ended.
                let _ = interrupts.send(());
            }
            Report::Ended(status) => {
                ended.send_replace(Some(status));
            }
            _ => {}
        }
    }
}

/// The command was not executed.
fn not_started(command: &[OsString], errno: i32) -> Failure {
    let program = command.first().map(|program| program.to_string_lossy());
    let program = program.unwrap_or_default();
    let error = io::Error::from_raw_os_error(errno);
    let failure = Failure::new(format_args!("cannot run '{program}': {error}"));
    if error.kind() == io::ErrorKind::NotFound {
        return failure
            .with_code(exit_code::NOT_FOUND)
            .hint("give the command's full path after `--`; sudo may have another PATH");
    }
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            format!("ls -l {}   # may this user execute it?", shell::word(&*program))
        }
        _ => format!("file {}   # is it a program?", shell::word(&*program)),
    };
    failure.with_code(exit_code::NOT_EXECUTABLE).hint(hint)
}

/// A signal came first, or the runner is gone.
fn not_run() -> Failure {
    Failure::new("stopped before the command was started").with_code(exit_code::INTERRUPTED)
}

/// Whether one of pyebpf's own signals ended it, or ended what it ran as a shell (128 + N).
fn was_ended(status: ExitStatus) -> bool {
    let [term, kill] = [Signal::TERM, Signal::KILL].map(Signal::as_raw);
    let code = status.code().map(|code| code - exit_code::SIGNAL);
    [Some(term), Some(kill)]
        .iter()
        .any(|signal| status.signal() == *signal || code == *signal)
}

/// Exit code, or 128 + signal.
fn shell_status(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| exit_code::SIGNAL + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// `python3 (process 12), sh (process 14) and 3 more`.
fn list<'a>(relatives: impl Iterator<Item = &'a Relative>) -> String {
    let all: Vec<&Relative> = relatives.collect();
    let named = all.iter().take(NAMED_AT_MOST);
    let named: Vec<String> = named
        .map(|relative| format!("{} (process {})", relative.name(), relative.pid))
        .collect();
    match all.len().checked_sub(NAMED_AT_MOST) {
        Some(more) if more > 0 => format!("{} and {more} more", named.join(", ")),
        _ => named.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::{not_started, shell_status, was_ended};

    #[test]
    fn a_status_reads_as_in_a_shell() {
        for (raw, status, ended) in [
            (0, 0, false),
            (5 << 8, 5, false),
            (15, 143, true),
            (9, 137, true),
            (11, 139, false),
            (2, 130, false),
            (143 << 8, 143, true),
        ] {
            let raw = ExitStatus::from_raw(raw);
            assert_eq!((shell_status(raw), was_ended(raw)), (status, ended), "{raw}");
        }
    }

    #[test]
    fn a_command_that_cannot_be_started_has_the_status_that_a_shell_gives_it() {
        for (errno, code) in [(2, 127), (13, 126), (8, 126), (20, 126)] {
            assert_eq!(not_started(&["./x".into()], errno).code, code);
        }
    }
}
