//! Real containers: runc or podman, an overlay over the root of another distribution with its own Python (a row of
//! `tests/pythons.toml`), namespaces of their own; plain ones have a read-only root and no added capability.

mod bundle;
mod podman;
mod profiler;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use self::bundle::Bundle;
pub use self::bundle::Options;
pub use self::podman::PodmanContainer;
pub use self::profiler::ContainedProfiler;
use crate::python::{self, Python};
use crate::workload::Workload;

/// Where the programs of `tests/workloads` are in a container.
pub const WORKLOADS: &str = "/workloads";

/// A container that runs one of the programs. Killed and removed when dropped.
#[derive(Debug)]
pub struct Container {
    /// Its program; the process id is runc's.
    pub workload: Workload,
    /// Process id of the interpreter, as runc counts that started it.
    pub pid: u32,
    runc: Vec<String>,
    id: String,
    _bundle: Bundle,
}

/// A container that is not started yet.
#[derive(Debug)]
pub struct Prepared {
    bundle: Bundle,
}

impl Container {
    /// Starts `script` of `tests/workloads` in a container and waits until it is ready.
    ///
    /// # Errors
    /// When the interpreter cannot run without the host's files, there is no runc, or the container does not start.
    pub fn start(
        id: &str,
        python: &Python,
        script: &str,
        arguments: &[&str],
        options: &Options,
    ) -> anyhow::Result<Self> {
        Prepared::new(python, script, arguments, options)?.start(id)
    }
}

impl Prepared {
    /// With the interpreter's own files; see [`Container::start`].
    ///
    /// # Errors
    /// As there.
    pub fn new(python: &Python, script: &str, arguments: &[&str], options: &Options) -> anyhow::Result<Self> {
        let (bundle, bind) = Bundle::of_python(python)?;
        let mut options = options.clone();
        options.binds.extend(bind);
        bundle.configure(&command_of(python, script, arguments), &options)?;
        Ok(Self { bundle })
    }

    /// With the files of the host: what runs there runs in it, also runc.
    ///
    /// # Errors
    /// As [`Container::start`].
    pub fn with_files_of_host(
        python: &Python,
        script: &str,
        arguments: &[&str],
        options: &Options,
    ) -> anyhow::Result<Self> {
        let bundle = Bundle::over(Some(Path::new("/")))?;
        bundle.configure(&command_of(python, script, arguments), options)?;
        Ok(Self { bundle })
    }

    /// With the files of the host, for any command, which finds the host's files only where [`Options::binds`] says so or
    /// where they lie on the file system of the root.
    ///
    /// # Errors
    /// As [`Container::start`].
    pub fn of_command<A: AsRef<OsStr>>(words: &[A], options: &Options) -> anyhow::Result<Self> {
        let bundle = Bundle::over(Some(Path::new("/")))?;
        bundle.configure(words, options)?;
        Ok(Self { bundle })
    }

    /// The words that run it in the foreground.
    #[must_use]
    pub fn words(&self, id: &str) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["runc", "run", "--bundle"].map(OsString::from).into();
        words.extend([self.bundle.folder().into(), id.into()]);
        words
    }

    /// What an outer container must be bound to, for this one to be started in it.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.bundle.folder()
    }

    /// Starts it and waits until its program is ready.
    ///
    /// # Errors
    /// When it does not come to that.
    pub fn start(self, id: &str) -> anyhow::Result<Container> {
        self.start_by(&["runc"], id)
    }

    /// Starts it in another container, which is to be dropped later, by the runc there.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_in(self, outer: &Container, id: &str) -> anyhow::Result<Container> {
        self.start_by(&["runc", "exec", &outer.id, "runc"], id)
    }

    fn start_by(self, runc: &[&str], id: &str) -> anyhow::Result<Container> {
        let runc = strings(runc);
        let mut start = command(&runc);
        start.arg("run").arg("--bundle").arg(self.bundle.folder()).arg(id);
        let mut container = Container {
            workload: Workload::of_command(start)?,
            pid: 0,
            runc,
            id: id.to_owned(),
            _bundle: self.bundle,
        };
        let ready = container.workload.wait_for("ready");
        ready.with_context(|| format!("container {id}"))?;
        let state = command(&container.runc).args(["state", id]).output()?;
        let state: Value = serde_json::from_slice(&state.stdout).context("runc state")?;
        let pid = state["pid"].as_u64().context("a running container has a pid")?;
        container.pid = u32::try_from(pid)?;
        Ok(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        run(command(&self.runc).args(["delete", "--force", &self.id]));
    }
}

/// Process id of what a container was started for.
///
/// # Errors
/// When there is no such container.
pub fn pid_of(id: &str) -> anyhow::Result<u32> {
    let state = Command::new("runc").args(["state", id]).output()?;
    let state: Value = serde_json::from_slice(&state.stdout).context("runc state")?;
    let pid = state["pid"].as_u64().context("a running container has a pid")?;
    Ok(u32::try_from(pid)?)
}

/// Ends a container that was started by its words.
pub fn end(id: &str) {
    run(Command::new("runc").args(["delete", "--force", id]));
}

/// The interpreters that come with a root of their own.
///
/// # Panics
/// When there is none: a test of containers would test nothing.
#[must_use]
pub fn pythons() -> Vec<&'static Python> {
    let pythons: Vec<_> = python::all()
        .iter()
        .filter(|python| python.root().is_some())
        .collect();
    assert!(
        !pythons.is_empty(),
        "no Python of another distribution is here: cargo xtask pythons 3.13-trixie"
    );
    pythons
}

/// A name that no other container of this machine has.
#[must_use]
pub fn unique(name: &str) -> String {
    format!("pyebpf-test-{name}-{}", std::process::id())
}

/// An id as docker makes them, that no other container of this machine has; `kind` tells those of one test apart.
#[must_use]
pub fn unique_hexadecimal(kind: u16) -> String {
    format!("{kind:04x}{:060x}", std::process::id())
}

/// The command line of a program of `tests/workloads`.
fn command_of(python: &Python, script: &str, arguments: &[&str]) -> Vec<String> {
    let program = python.program().to_string_lossy().into_owned();
    let script = format!("{WORKLOADS}/{script}.py");
    [program, script].into_iter().chain(strings(arguments)).collect()
}

fn command(words: &[String]) -> Command {
    let mut words = words.iter();
    let mut command = Command::new(words.next().map_or("", String::as_str));
    command.args(words);
    command
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Cleans up; a failure is said and leaves something behind.
fn run(command: &mut Command) {
    match command.output() {
        Ok(output) if output.status.success() => {}
        Ok(output) => eprintln!(
            "!!! {command:?}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        Err(error) => eprintln!("!!! {command:?}: {error}"),
    }
}
