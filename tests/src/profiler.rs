//! Runs the `pyebpf` binary as a user would: arguments in; output file, messages and exit status out.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::folded::Folded;
use crate::report::Report;

/// How long `pyebpf` may take for what should be done in a few seconds.
const DEADLINE: Duration = Duration::from_secs(60);

/// The binary under test: `PYEBPF_BIN`, else the newest build beside this test.
///
/// # Errors
/// When it has not been built.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os("PYEBPF_BIN") {
        return Ok(path.into());
    }
    // target/debug/deps/live_x-123 -> target
    let test = std::env::current_exe()?;
    let target = test
        .ancestors()
        .nth(3)
        .context("a test lies in target/PROFILE/deps")?;
    ["release", "debug"]
        .iter()
        .map(|profile| target.join(profile).join("pyebpf"))
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max()
        .map(|(_, path)| path)
        .context("pyebpf is not built: cargo xtask build --release")
}

/// Says what to do when BPF programs cannot be loaded.
///
/// # Errors
/// When this process is not root.
pub fn require_root() -> anyhow::Result<()> {
    anyhow::ensure!(
        rustix::process::geteuid().is_root(),
        "live tests load BPF programs, which needs root: cargo xtask test   (it uses sudo)"
    );
    Ok(())
}

/// A call of `pyebpf` being prepared.
#[derive(Debug)]
pub struct Pyebpf {
    command: Command,
}

impl Pyebpf {
    /// With these arguments.
    ///
    /// # Errors
    /// As [`binary`].
    pub fn new<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> anyhow::Result<Self> {
        let mut command = Command::new(binary()?);
        command.args(arguments);
        Ok(Self::of_command(command))
    }

    /// A command that runs it, passing signals and all that it writes on.
    #[must_use]
    pub fn of_command(mut command: Command) -> Self {
        command
            .env_remove("SUDO_UID")
            .env_remove("SUDO_GID")
            .env_remove("RUST_LOG");
        Self { command }
    }

    /// Changes anything else about the call.
    pub fn command(&mut self) -> &mut Command {
        &mut self.command
    }

    /// Runs it to its end.
    ///
    /// # Errors
    /// When it does not start or does not end in time.
    pub fn run(self) -> anyhow::Result<Finished> {
        self.start()?.wait()
    }

    /// Runs `ps --format json` to its end: the rows by process id.
    ///
    /// # Errors
    /// When it fails, or writes something else.
    pub fn rows(self) -> anyhow::Result<BTreeMap<u32, Value>> {
        let rows: Vec<Value> = serde_json::from_slice(&self.run()?.success()?.stdout)?;
        let by_pid = |row: Value| Some((u32::try_from(row["pid"].as_u64()?).ok()?, row));
        Ok(rows.into_iter().filter_map(by_pid).collect())
    }

    /// Starts it.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(mut self) -> anyhow::Result<Running> {
        let mut child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {:?}", self.command.get_program()))?;
        let mut stdout = child.stdout.take().context("stdout is a pipe")?;
        let stdout = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            // What was read before an error is what a user would see.
            let _ = stdout.read_to_end(&mut bytes);
            bytes
        });
        let stderr = BufReader::new(child.stderr.take().context("stderr is a pipe")?);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stderr.split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        Ok(Running {
            child: Some(child),
            stdout: Some(stdout),
            lines,
            stderr: String::new(),
        })
    }
}

/// A running `pyebpf`. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Option<Child>,
    stdout: Option<JoinHandle<Vec<u8>>>,
    lines: Receiver<String>,
    stderr: String,
}

impl Running {
    /// Its process id.
    ///
    /// # Panics
    /// Never: the process is there until `wait`, which consumes `self`.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("there until `wait`").id()
    }

    /// Waits until it says that it is sampling.
    ///
    /// # Errors
    /// With what it said instead, when it ended or took too long.
    pub fn wait_until_sampling(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let Ok(line) = self
                .lines
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            else {
                bail!("pyebpf did not start sampling:\n{}", self.stderr);
            };
            self.push(&line);
            if line.contains("Sampling ") {
                // The events are opened right after the announcement.
                std::thread::sleep(Duration::from_millis(200));
                return Ok(());
            }
        }
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let child = self.child.as_ref().context("still running")?;
        kill_process(Pid::from_child(child), signal).context("signalling pyebpf")
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// When it does not end in time.
    pub fn wait(mut self) -> anyhow::Result<Finished> {
        let deadline = Instant::now() + DEADLINE;
        let mut child = self.child.take().context("still running")?;
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("pyebpf did not end within {DEADLINE:?}:\n{}", self.stderr);
            }
            while let Ok(line) = self.lines.try_recv() {
                self.push(&line);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        // A command that outlives pyebpf may hold stderr open, so this waits for silence, not for the end.
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(300)) {
            self.push(&line);
        }
        let stdout = self.stdout.take().context("taken once")?;
        let stdout = stdout
            .join()
            .map_err(|_| anyhow::anyhow!("the reader of stdout died"))?;
        Ok(Finished {
            status,
            stdout,
            stderr: std::mem::take(&mut self.stderr),
        })
    }

    fn push(&mut self, line: &str) {
        self.stderr.push_str(line);
        self.stderr.push('\n');
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A call of `pyebpf` that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Finished {
    /// Fails unless the exit status is 0.
    ///
    /// # Errors
    /// The exit status, and what was printed.
    pub fn success(self) -> anyhow::Result<Self> {
        anyhow::ensure!(
            self.status.success(),
            "pyebpf ended with {}:\n{}",
            self.status,
            self.stderr
        );
        Ok(self)
    }

    /// The report at the end.
    ///
    /// # Errors
    /// When it is missing.
    pub fn report(&self) -> anyhow::Result<Report> {
        Report::parse(&self.stderr)
    }

    /// The command that the hint shows, for a shell, without what explains it; empty if there is no hint.
    #[must_use]
    pub fn hinted_command(&self) -> &str {
        let hint = self.stderr.lines().find_map(|line| line.strip_prefix("hint: "));
        let hint = hint.unwrap_or_default();
        hint.split_once("   # ").map_or(hint, |(command, _)| command)
    }

    /// The lines of stderr that start with `start`.
    #[must_use]
    pub fn lines(&self, start: &str) -> Vec<&str> {
        self.stderr
            .lines()
            .filter(|line| line.starts_with(start))
            .collect()
    }
}

/// A recording into folded stacks, which goes on until it is stopped.
#[derive(Debug)]
pub struct Recording {
    running: Running,
    folder: TempDir,
}

/// A recording that has ended.
#[derive(Debug)]
pub struct Recorded {
    /// What was recorded.
    pub stacks: Folded,
    /// The report at the end.
    pub report: Report,
    /// Everything that was printed.
    pub stderr: String,
}

impl Recording {
    /// The profiler's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Starts `pyebpf record` with these arguments and waits until it samples.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn start<A: Into<OsString>>(arguments: impl IntoIterator<Item = A>) -> anyhow::Result<Self> {
        Self::start_by(|arguments| Pyebpf::new(arguments), arguments)
    }

    /// As [`Self::start`], where `prepare` makes the call of the arguments. It must see the host's temporary folder.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_by<A: Into<OsString>>(
        prepare: impl FnOnce(&[OsString]) -> anyhow::Result<Pyebpf>,
        arguments: impl IntoIterator<Item = A>,
    ) -> anyhow::Result<Self> {
        require_root()?;
        let folder = tempfile::tempdir()?;
        let mut all: Vec<OsString> = vec!["record".into(), "-f".into(), "raw".into(), "-o".into()];
        all.push(folder.path().join("out.txt").into());
        all.extend(arguments.into_iter().map(Into::into));
        let mut running = prepare(&all)?.start()?;
        running.wait_until_sampling()?;
        Ok(Self { running, folder })
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        self.running.signal(signal)
    }

    /// Stops it and reads what it wrote. Fails when its accounting does not add up.
    ///
    /// # Errors
    /// When it fails, or writes something unreadable.
    pub fn stop(self) -> anyhow::Result<Recorded> {
        self.running.signal(Signal::INT)?;
        self.wait()
    }

    /// Waits until it ends by itself and reads what it wrote. Fails when its accounting does not add up.
    ///
    /// # Errors
    /// When it fails, or writes something unreadable.
    pub fn wait(self) -> anyhow::Result<Recorded> {
        let finished = self.running.wait()?.success()?;
        Self::read(&self.folder, finished)
    }

    /// As [`Self::stop`], where it may fail with status 1 because another file could not be written.
    ///
    /// # Errors
    /// As there.
    pub fn stop_although_another_file_may_fail(self) -> anyhow::Result<Recorded> {
        self.running.signal(Signal::INT)?;
        let finished = self.running.wait()?;
        let is_right = matches!(finished.status.code(), Some(0 | 1));
        anyhow::ensure!(
            is_right,
            "pyebpf ended with {}:\n{}",
            finished.status,
            finished.stderr
        );
        Self::read(&self.folder, finished)
    }

    fn read(folder: &TempDir, finished: Finished) -> anyhow::Result<Recorded> {
        let text = std::fs::read_to_string(folder.path().join("out.txt"))
            .with_context(|| format!("reading what pyebpf wrote:\n{}", finished.stderr))?;
        let report = finished.report()?;
        report.check()?;
        Ok(Recorded {
            stacks: Folded::parse(&text)?,
            report,
            stderr: finished.stderr,
        })
    }
}
