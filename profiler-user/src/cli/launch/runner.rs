//! The process between pyebpf and the command after `--`: it becomes the user who called sudo, starts the command, waits for
//! it, and adopts what the command leaves behind, so that nothing of it is lost sight of.
//!
//! It stays in pyebpf's process group, so it gets Ctrl-C exactly when the command does. pyebpf alone could not know that.

use std::ffi::OsString;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode};

use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::process::{Pid, WaitOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::caller::Ids;
use super::report::Report;
use crate::host;

/// The verb by which pyebpf starts itself as a runner.
pub const RUNNER_VERB: &str = "run-command";

/// Its name for the kernel, at most 15 bytes: one that `pkill pyebpf` does not match.
const NAME: &std::ffi::CStr = c"command-runner";

/// Runs a command for pyebpf, which is at the other end of standard input. Arguments, after the verb: who to become
/// ([`Ids`]), the program, its arguments.
#[must_use]
pub fn run_command() -> ExitCode {
    let mut arguments = std::env::args_os().skip(2);
    let ids = arguments.next().and_then(|text| Ids::parse(text.to_str()?));
    match (ids, arguments.next()) {
        (Some(ids), Some(program)) => match serve(&ids, program, arguments.collect()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        _ => ExitCode::FAILURE,
    }
}

fn serve(ids: &Ids, program: OsString, arguments: Vec<OsString>) -> io::Result<()> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    // A name for people only.
    let _ = rustix::thread::set_name(NAME);
    // What the command's end leaves behind becomes a child of this process, not of the host's first one.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let become_user = ids.apply();
    runtime.block_on(async {
        // Handlers end at exec, so the command gets its signals as if nobody had touched them.
        let mut signals = Signals::listen()?;
        let stdin = wait_for_start(&stream)?;
        stream.set_nonblocking(true)?;
        let mut stream = tokio::net::UnixStream::from_std(stream)?;
        if let Err(error) = become_user {
            let errno = error.raw_os_error();
            return report(&mut stream, Report::NotTheUser(errno)).await;
        }
        let spawned = Command::new(program).args(arguments).stdin(stdin).spawn();
        let child = match spawned {
            Ok(child) => child,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(Errno::INVAL.raw_os_error());
                return report(&mut stream, Report::NotStarted(errno)).await;
            }
        };
        report(&mut stream, Report::Started(child.id())).await?;
        watch(&mut stream, &mut signals, Pid::from_child(&child)).await
    })
}

/// Reports until pyebpf closes the socket.
async fn watch(stream: &mut tokio::net::UnixStream, signals: &mut Signals, command: Pid) -> io::Result<()> {
    let mut byte = [0];
    loop {
        // Children that ended, including adopted ones and those in process groups of their own.
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == command {
                report(stream, Report::Ended(status.as_raw())).await?;
            }
        }
        tokio::select! {
            Some(()) = signals.interrupt.recv() => report(stream, Report::Interrupted).await?,
            Some(()) = signals.child.recv() => {}
            // pyebpf writes nothing more: this is the end of the stream.
            _ = stream.read(&mut byte) => return Ok(()),
        }
    }
}

async fn report(stream: &mut tokio::net::UnixStream, report: Report) -> io::Result<()> {
    stream.write_all(&report.encode()).await
}

/// Waits until the kernel half is ready; the standard input for the command comes with that.
fn wait_for_start(stream: &UnixStream) -> io::Result<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(
            stream.as_fd(),
            &mut [IoSliceMut::new(&mut byte)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
    })?;
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let file = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    file.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// The signals that a process group is sent as a whole. None of them ends the runner.
struct Signals {
    interrupt: Signal,
    child: Signal,
    /// Kept, so that they are caught.
    _others: Vec<Signal>,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        let mut others = vec![
            SignalKind::quit(),
            SignalKind::terminate(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        if !host::ignores_hang_up() {
            others.push(SignalKind::hangup());
        }
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            child: signal(SignalKind::child())?,
            _others: others.into_iter().map(signal).collect::<io::Result<_>>()?,
        })
    }
}
