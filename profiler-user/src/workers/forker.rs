//! The forker: a small process that starts workers. It is started before anything else, keeps the rights that workers need
//! when the main process gives its own up, and opens and parses nothing.
//!
//! A worker is this program again, with the name of its role as the last argument and its socket as standard input. Only
//! the forker waits for workers, so the id of one that ended is not used again before the main process has let go of it.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::role::Role;
use super::spent::cpu_time;
use super::stream::{Incoming, receive, send};
use crate::proc::{self, status};

/// The argument before the name of a role.
pub const VERB: &str = "worker";
/// The forker's own role.
pub const FORKER: Role = Role {
    name: "forker",
    serve,
};
/// The link to this program in `/proc/self`, and so the kernel's name of every worker.
const EXECUTED_AS: &str = "exe";
/// Bytes of a message to or from the forker.
const MAX_BYTES: usize = 256;

/// What the forker is asked for.
#[derive(Debug, Serialize, Deserialize)]
enum Request<'a> {
    /// A worker with this role; its socket comes with the message.
    Start { serial: u64, role: &'a str },
    /// This one is to end, if it has not already.
    End { serial: u64 },
    /// Say which ones have ended.
    Look,
}

/// What the forker says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reply {
    /// The worker runs under this id until it is ended.
    Started { serial: u64, pid: u32 },
    /// It is gone, ended by this signal if by one. Also said if it could not be started.
    Ended { serial: u64, signal: Option<i32> },
}

/// Why a worker was not started.
#[derive(Debug, thiserror::Error)]
#[error("starting a worker process: {0}")]
pub struct StartError(#[from] io::Error);

/// A worker that was asked for.
#[derive(Debug)]
pub(crate) struct Started {
    /// Its number.
    pub(crate) serial: u64,
    /// The socket to it.
    pub(crate) stream: UnixStream,
}

/// What is known of a worker that was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Its process id, once it has one.
    pub(crate) pid: Option<u32>,
    /// Whether it is gone, and by which signal.
    pub(crate) ended: Option<Option<i32>>,
    /// Nobody will ask about it any more.
    is_let_go: bool,
}

/// The handle of the forker. Never waits for it.
#[derive(Clone, Debug)]
pub struct Forker(Arc<Mutex<Connection>>);

#[derive(Debug, Default)]
struct Connection {
    /// Until it failed.
    process: Option<(Child, UnixStream)>,
    incoming: Incoming,
    states: HashMap<u64, State>,
    last: u64,
    /// Workers of earlier processes that hung when somebody asked first.
    earlier: Option<usize>,
}

/// The forker of this process, which is started at the first call: before there are threads. Later calls, by those who need
/// a worker, return the same one.
pub fn start_forker() -> Forker {
    static OF_THIS_PROCESS: OnceLock<Forker> = OnceLock::new();
    OF_THIS_PROCESS
        .get_or_init(|| Forker(Arc::new(Mutex::new(Connection::default()))))
        .started()
}

impl Forker {
    fn started(&self) -> Self {
        if let Err(error) = self.lock().process() {
            log::warn!("starting the process that starts workers: {error}");
        }
        self.clone()
    }

    /// Asks for a worker.
    ///
    /// # Errors
    /// When the forker does not run.
    pub(crate) fn start(&self, role: &str) -> Result<Started, StartError> {
        let mut connection = self.lock();
        connection.last += 1;
        let serial = connection.last;
        let (ours, theirs) = UnixStream::pair()?;
        connection.send(&Request::Start { serial, role }, Some(&theirs))?;
        connection.states.insert(serial, State::default());
        Ok(Started { serial, stream: ours })
    }

    /// Ends a worker, if it has not ended by itself.
    pub(crate) fn end(&self, serial: u64) {
        if let Err(error) = self.lock().send(&Request::End { serial }, None) {
            log::debug!("ending a worker: {error}");
        }
    }

    /// What is known of a worker.
    pub(crate) fn state(&self, serial: u64) -> State {
        let mut connection = self.lock();
        connection.read();
        connection.states.get(&serial).copied().unwrap_or_default()
    }

    /// CPU time so far of the forker and of every worker, also of those that have ended.
    pub fn cpu_time(&self) -> Duration {
        let mut connection = self.lock();
        connection.read();
        let Some((forker, _)) = &connection.process else {
            return Duration::ZERO;
        };
        let ended = proc::stat(forker.id()).map_or(Duration::ZERO, |stat| stat.reaped_cpu_time());
        let running = connection.states.values();
        let running = running.filter(|state| state.ended.is_none() && !state.is_let_go);
        let pids = running.filter_map(|state| state.pid).chain([forker.id()]);
        ended + pids.filter_map(cpu_time).sum::<Duration>()
    }

    /// Ends a worker about which nobody will ask any more. It may hang in the kernel and stay.
    pub(crate) fn let_go(&self, serial: u64) {
        self.end(serial);
        let mut connection = self.lock();
        connection.update(serial, |state| state.is_let_go = true);
        connection.drop_ended();
    }

    /// Workers that have been let go and are still there: of this process, and at first also those of earlier ones that hang.
    /// One that has just been let go may be among them.
    #[must_use]
    pub fn left_behind(&self) -> usize {
        let mut connection = self.lock();
        let _ = connection.send(&Request::Look, None);
        connection.read();
        connection.drop_ended();
        let own = connection.states.values().filter(|state| state.is_let_go).count();
        own + *connection.earlier.get_or_insert_with(hanging_already)
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The socket to the forker, which is started if it does not run.
    fn process(&mut self) -> io::Result<&UnixStream> {
        if self.process.is_none() {
            let (ours, theirs) = UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            let child = command(FORKER.name).stdin(OwnedFd::from(theirs)).spawn()?;
            self.incoming = Incoming::default();
            self.process = Some((child, ours));
        }
        match &self.process {
            Some((_, stream)) => Ok(stream),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn send(&mut self, request: &Request<'_>, file: Option<&UnixStream>) -> io::Result<()> {
        let bytes = postcard::to_stdvec(request).map_err(io::Error::other)?;
        let sent = send(self.process()?, &bytes, MAX_BYTES, file.map(|file| file.as_fd()));
        if sent.is_err() {
            self.close();
        }
        sent
    }

    /// Takes in what the forker has said.
    fn read(&mut self) {
        let Some((_, stream)) = &self.process else {
            return;
        };
        let is_open = matches!(self.incoming.read(stream), Ok(true));
        while let Ok(Some(bytes)) = self.incoming.next(MAX_BYTES) {
            match postcard::from_bytes(&bytes) {
                Ok(Reply::Started { serial, pid }) => self.update(serial, |state| state.pid = Some(pid)),
                Ok(Reply::Ended { serial, signal }) => {
                    self.update(serial, |state| state.ended = Some(signal));
                }
                Err(error) => log::debug!("the forker: {error}"),
            }
        }
        if !is_open {
            self.close();
        }
    }

    /// Forgets those that are gone and that nobody will ask about.
    fn drop_ended(&mut self) {
        self.states
            .retain(|_, state| !(state.is_let_go && state.ended.is_some()));
    }

    fn update(&mut self, serial: u64, change: impl FnOnce(&mut State)) {
        if let Some(state) = self.states.get_mut(&serial) {
            change(state);
        }
    }

    /// It is gone, and its workers with it.
    fn close(&mut self) {
        if let Some((mut child, _)) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        for state in self.states.values_mut() {
            state.ended.get_or_insert(None);
        }
    }
}

/// Workers of other processes of pyebpf that have been killed and hang in the kernel. They are root's, have the name of the
/// link that they were executed by, and nobody is left who waits for them.
fn hanging_already() -> usize {
    let pids = proc::pids().unwrap_or_default().into_iter();
    let hanging = pids.filter(|pid| {
        proc::stat(*pid).is_ok_and(|stat| stat.name == EXECUTED_AS)
            && proc::user(*pid).is_ok_and(|user| user == 0)
            && status::waits_to_die(*pid)
    });
    hanging.count()
}

/// This program again, with another role.
fn command(role: &str) -> Command {
    let mut command = Command::new(format!("/proc/self/{EXECUTED_AS}"));
    command
        .arg0("pyebpf")
        .args(arguments())
        .arg(role)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        // Ctrl-C is for the main process, which still wants answers then.
        .process_group(0);
    command
}

#[cfg(not(test))]
fn arguments() -> Vec<String> {
    vec![VERB.to_owned()]
}

/// The test that serves.
#[cfg(test)]
fn arguments() -> Vec<String> {
    super::tests::ARGUMENTS.map(str::to_owned).to_vec()
}

/// Starts and ends workers until the main process is gone.
fn serve(stream: &UnixStream) -> io::Result<()> {
    let mut workers: HashMap<u64, Child> = HashMap::new();
    let mut ending: Vec<(u64, Child)> = Vec::new();
    while let Some((bytes, file)) = receive(stream, MAX_BYTES)? {
        let say = |reply: Reply| {
            let bytes = postcard::to_stdvec(&reply).map_err(io::Error::other)?;
            send(stream, &bytes, MAX_BYTES, None)
        };
        match postcard::from_bytes(&bytes).map_err(io::Error::other)? {
            Request::Start { serial, role } => {
                let Some(file) = file else { continue };
                match command(role).stdin(file).spawn() {
                    Ok(child) => {
                        say(Reply::Started {
                            serial,
                            pid: child.id(),
                        })?;
                        workers.insert(serial, child);
                    }
                    Err(_) => say(Reply::Ended { serial, signal: None })?,
                }
            }
            Request::End { serial } => {
                if let Some(mut child) = workers.remove(&serial) {
                    // It may have ended by itself.
                    let _ = child.kill();
                    ending.push((serial, child));
                }
            }
            Request::Look => {}
        }
        let mut gone = Vec::new();
        ending.retain_mut(|(serial, child)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                gone.push((*serial, status.signal()));
                false
            }
            Err(_) => false,
        });
        for (serial, signal) in gone {
            say(Reply::Ended { serial, signal })?;
        }
    }
    // Their sockets close with the main process. Those that do not notice are not left behind.
    for child in workers.values_mut() {
        let _ = child.kill();
    }
    Ok(())
}
