//! A Python program with a known stack, running until it is dropped.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::plan::{Python, environment};

/// Spins.
const SPINS: &str = "/vm-test/workloads/known_stack.py";
/// Sleeps.
const WAITS: &str = "/vm-test/workloads/known_wait.py";

/// What every stack of the workload ends in.
pub(crate) const KNOWN_STACK: &[&str] = &["<module>", "outer", "middle", "inner"];

/// A running program; ended when dropped.
pub(crate) struct Workload {
    child: Child,
}

impl Workload {
    /// Starts one that spins, and waits until its known stack is reached.
    pub(crate) fn start(python: &Python) -> anyhow::Result<Self> {
        Self::run(python, SPINS)
    }

    /// The same, but it sleeps there, and has another thread that waits all the time.
    pub(crate) fn start_waiting(python: &Python) -> anyhow::Result<Self> {
        Self::run(python, WAITS)
    }

    fn run(python: &Python, script: &str) -> anyhow::Result<Self> {
        let program = python.path.display();
        let child = Command::new(&python.path)
            .arg(script)
            .env_clear()
            .envs(environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        // Owned before anything can fail: it is killed on every way out.
        let mut workload = Self { child };
        let stdout = workload
            .child
            .stdout
            .take()
            .context("the workload has no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        ensure!(
            line.trim() == "ready",
            "{program} {script} said {line:?} instead of `ready`"
        );
        Ok(workload)
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // It may have died already; the check that cared has said so.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
