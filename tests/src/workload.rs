//! The Python programs of `tests/workloads`: started, released step by step, and asked what they did.
//!
//! Protocol (`truth.py`): a program says `{"ready": true}` on stdout, waits for a line on stdin, works, reports what it
//! measured by its own clock with `"done": true`, and stays until stdin is closed. So a recording that starts before the
//! release and ends after the report holds all of the work and nothing else.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Map, Value};

use crate::python::Python;

/// How long a program may be silent.
const PATIENCE: Duration = Duration::from_secs(120);

/// The folder of the programs.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads")
}

/// The program with this name.
#[must_use]
pub fn script(name: &str) -> PathBuf {
    folder().join(name).with_extension("py")
}

/// The 1-based number of the line that ends with the comment `# mark: NAME`.
///
/// # Errors
/// When the program has no such line.
pub fn marked_line(script: &Path, mark: &str) -> anyhow::Result<u32> {
    let text = std::fs::read_to_string(script).with_context(|| format!("reading {}", script.display()))?;
    let wanted = format!("# mark: {mark}");
    let index = text.lines().position(|line| line.ends_with(&wanted));
    let index = index.with_context(|| format!("{} has no `{wanted}`", script.display()))?;
    Ok(u32::try_from(index + 1)?)
}

/// One frame as a program reports it: name, file, line.
#[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct TrueFrame(pub String, pub String, pub u32);

/// What a program reported, all lines merged into one object.
#[derive(Clone, Debug, Default)]
pub struct Facts(pub Map<String, Value>);

impl Facts {
    /// A fact.
    ///
    /// # Errors
    /// When it is missing or of another shape.
    pub fn get<T: serde::de::DeserializeOwned>(&self, name: &str) -> anyhow::Result<T> {
        let value = self
            .0
            .get(name)
            .with_context(|| format!("the workload reported no `{name}`"))?;
        serde_json::from_value(value.clone()).with_context(|| format!("`{name}` of the workload is {value}"))
    }

    /// The fact `stack`, turned to outermost frame first.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn stack(&self) -> anyhow::Result<Vec<TrueFrame>> {
        let mut frames: Vec<TrueFrame> = self.get("stack")?;
        frames.reverse();
        Ok(frames)
    }
}

/// A running program. Killed when dropped.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    facts: Facts,
}

impl Workload {
    /// Starts the program `script` and waits until it is ready.
    ///
    /// # Errors
    /// When it does not start, or ends or is silent instead.
    pub fn start<A: AsRef<OsStr>>(python: &Python, script: &Path, arguments: &[A]) -> anyhow::Result<Self> {
        let mut workload = Self::spawn(python, script, arguments, &[])?;
        workload.wait_for("ready")?;
        Ok(workload)
    }

    /// As [`Self::start`], with modules of other folders at hand, and without waiting until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub fn spawn<A: AsRef<OsStr>>(
        python: &Python,
        script: &Path,
        arguments: &[A],
        modules: &[PathBuf],
    ) -> anyhow::Result<Self> {
        Self::launch(python.command(), script, arguments, modules)
    }

    /// As [`Self::start`], with the same addresses in every run.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_at_fixed_addresses<A: AsRef<OsStr>>(
        python: &Python,
        script: &Path,
        arguments: &[A],
        modules: &[PathBuf],
    ) -> anyhow::Result<Self> {
        let mut command = python.command_behind(&["setarch", "--addr-no-randomize"]);
        command.env("PYTHONHASHSEED", "0");
        let mut workload = Self::launch(command, script, arguments, modules)?;
        workload.wait_for("ready")?;
        Ok(workload)
    }

    fn launch<A: AsRef<OsStr>>(
        mut command: Command,
        script: &Path,
        arguments: &[A],
        modules: &[PathBuf],
    ) -> anyhow::Result<Self> {
        let path = std::env::join_paths(modules.iter().chain([&folder()]))?;
        command.arg(script).args(arguments).env("PYTHONPATH", path);
        Self::of_command(command)
    }

    /// Starts a command that runs a program, without waiting until that is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub fn of_command(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command
            // Nothing of the tests stays in the source tree; modules are found wherever the script was copied to.
            .env("PYTHONDONTWRITEBYTECODE", "1")
            // Before 3.7 the second alone decides how file names are encoded.
            .env("PYTHONUTF8", "1")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {:?}", command.get_program()))?;
        let stdout = child.stdout.take().context("stdout is a pipe")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        Ok(Self {
            child,
            stdin,
            lines,
            facts: Facts::default(),
        })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it work.
    ///
    /// # Errors
    /// When it has ended.
    pub fn release(&mut self) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("stdin is a pipe")?;
        stdin.write_all(b"go\n").context("releasing the workload")
    }

    /// Waits until it reports that it has finished, and returns all that it reported.
    ///
    /// # Errors
    /// When it ends or is silent instead.
    pub fn finish(&mut self) -> anyhow::Result<&Facts> {
        self.wait_for("done")?;
        Ok(&self.facts)
    }

    /// Waits until it reports `name`, and returns all that it reported so far.
    ///
    /// # Errors
    /// When it ends or is silent instead.
    pub fn wait_for(&mut self, name: &str) -> anyhow::Result<&Facts> {
        let deadline = Instant::now() + PATIENCE;
        while !self.facts.0.contains_key(name) {
            let line = match self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => bail!("the workload said nothing for {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => bail!("the workload ended (see its stderr)"),
            };
            let facts: Map<String, Value> =
                serde_json::from_str(&line).with_context(|| format!("the workload said {line:?}"))?;
            self.facts.0.extend(facts);
        }
        Ok(&self.facts)
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to the workload"))
    }

    /// Waits until it does not run: stopped, or asleep in the kernel.
    ///
    /// # Errors
    /// When it goes on running.
    pub fn wait_until_still(&self) -> anyhow::Result<()> {
        let path = format!("/proc/{}/stat", self.pid());
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let stat = std::fs::read_to_string(&path).context("the workload ended")?;
            let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
            if matches!(state, Some('S' | 'T' | 't')) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("the workload did not come to rest")
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
