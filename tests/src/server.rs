//! Servers that run `tests/workloads/served.py` in workers of their own.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Map, Value};

use crate::workload::Facts;

/// How long a server may take to start, and to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server with its workers. Killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    workers: BTreeSet<u32>,
}

impl Server {
    /// Starts it and waits until it has so many workers and listens on `socket`.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn start(command: &mut Command, workers: usize, socket: &Path) -> anyhow::Result<Self> {
        let child = command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {:?}", command.get_program()))?;
        let mut server = Self {
            child,
            workers: BTreeSet::new(),
        };
        let deadline = Instant::now() + PATIENCE;
        while server.workers.len() < workers || !socket.exists() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server ended with {status}");
            }
            ensure!(Instant::now() < deadline, "the server has no {workers} workers");
            std::thread::sleep(Duration::from_millis(20));
            server.workers = children(server.pid())?;
        }
        Ok(server)
    }

    /// The process that was started.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Keeps every worker busy with a request of its own, and returns what they answer. A worker has one request at a
    /// time.
    ///
    /// # Errors
    /// When an answer is missing, or not from a worker of its own.
    pub fn burn_in_every_worker(&self, socket: &Path) -> anyhow::Result<Facts> {
        let requests: Vec<_> = self.workers.iter().map(|_| request(socket)).collect();
        let mut burns = Map::new();
        let mut pids = BTreeSet::new();
        for (number, request) in requests.into_iter().enumerate() {
            let answer = answer(request?)?;
            pids.extend(answer[0]["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()));
            burns.insert(format!("burns-{number}"), answer);
        }
        ensure!(
            pids == self.workers,
            "answers of {pids:?}, not of the workers {:?}",
            self.workers
        );
        Ok(Facts(burns))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers end when their master is gone, or before; whoever is gone already is as good.
        for pid in &self.workers {
            let pid = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn children(pid: u32) -> anyhow::Result<BTreeSet<u32>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))?;
    Ok(text.split_whitespace().filter_map(|id| id.parse().ok()).collect())
}

/// Sends a request. The connection stays open for the answer.
fn request(socket: &Path) -> anyhow::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket).context("connecting to the server")?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: test\r\n\r\n")?;
    Ok(stream)
}

fn answer(mut stream: UnixStream) -> anyhow::Result<Value> {
    let mut text = String::new();
    stream.read_to_string(&mut text).context("the server's answer")?;
    let (head, body) = text
        .split_once("\r\n\r\n")
        .with_context(|| format!("the server says {text:?}"))?;
    ensure!(head.contains(" 200 "), "the server says {text:?}");
    Ok(serde_json::from_str(body)?)
}
