//! Containers of podman, root's.

use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use super::bundle::{self, Bundle};
use super::{command_of, run};
use crate::python::Python;
use crate::workload::Workload;

/// A container that podman runs. Killed and removed when dropped.
#[derive(Debug)]
pub struct PodmanContainer {
    /// Its program; the process id is podman's.
    pub workload: Workload,
    /// Process id of the interpreter, as the host counts.
    pub pid: u32,
    /// As podman made it.
    pub id: String,
    name: String,
    _bundle: Bundle,
}

impl PodmanContainer {
    /// Starts `script` of `tests/workloads` in a container with this name and waits until it is ready; `options` are
    /// podman's.
    ///
    /// # Errors
    /// When the interpreter cannot run without the host's files, there is no podman, or the container does not start.
    pub fn start(
        name: &str,
        python: &Python,
        script: &str,
        arguments: &[&str],
        options: &[&str],
    ) -> anyhow::Result<Self> {
        python.root().context("an interpreter with a root of its own")?;
        let (bundle, _) = Bundle::of_python(python)?;
        let mut podman = Command::new("podman");
        podman.args(["run", "--interactive", "--network", "none", "--name", name]);
        // Podman's own limits are higher than this process's may be, which not every root may raise.
        podman.args(["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096"]);
        for variable in bundle::environment() {
            podman.args(["--env", &variable]);
        }
        podman.args(options).arg("--rootfs").arg(bundle.root());
        podman.args(command_of(python, script, arguments));
        let mut container = Self {
            workload: Workload::of_command(podman).context("podman: cargo xtask test installs it")?,
            pid: 0,
            id: String::new(),
            name: name.to_owned(),
            _bundle: bundle,
        };
        let ready = container.workload.wait_for("ready");
        ready.with_context(|| format!("podman's container {name}"))?;
        let inspected = Command::new("podman")
            .args(["container", "inspect", name])
            .output()?;
        let text = String::from_utf8_lossy(&inspected.stderr);
        ensure!(inspected.status.success(), "podman inspect: {text}");
        let inspected: Value = serde_json::from_slice(&inspected.stdout).context("podman inspect")?;
        let pid = inspected[0]["State"]["Pid"].as_u64().context("its pid")?;
        container.pid = u32::try_from(pid)?;
        inspected[0]["Id"]
            .as_str()
            .context("its id")?
            .clone_into(&mut container.id);
        Ok(container)
    }
}

impl Drop for PodmanContainer {
    fn drop(&mut self) {
        run(Command::new("podman").args(["rm", "--force", "--ignore", "--time", "0", &self.name]));
    }
}
