//! Real containers: runc, a read-only overlay over the root of another distribution with its own Python (a row of
//! `tests/pythons.toml`), namespaces of their own, no added capability.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::python::{self, Python};
use crate::workload::{self, Workload};

/// Where the programs of `tests/workloads` are in a container.
pub const WORKLOADS: &str = "/workloads";

/// How a container differs from the plainest.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Cgroup, from the root of the hierarchies; by default runc's choice, named like the container.
    pub cgroup: Option<String>,
    /// Its root is somebody else on the host.
    pub user_namespace: bool,
}

/// A container that runs one of the programs. Killed and removed when dropped.
#[derive(Debug)]
pub struct Container {
    /// Its program; the process id is runc's.
    pub workload: Workload,
    /// Process id of the interpreter, as the host counts.
    pub pid: u32,
    id: String,
    _bundle: Bundle,
}

/// The mounted file system and the configuration of a container.
#[derive(Debug)]
struct Bundle {
    folder: TempDir,
}

impl Container {
    /// Starts `script` of `tests/workloads` in a container and waits until it is ready.
    ///
    /// # Errors
    /// When the interpreter has no root, there is no runc, or the container does not start.
    pub fn start(
        id: &str,
        python: &Python,
        script: &str,
        arguments: &[&str],
        options: &Options,
    ) -> anyhow::Result<Self> {
        let root = python.root().context("an interpreter with a root of its own")?;
        let bundle = Bundle::mount(root)?;
        let script = format!("{WORKLOADS}/{script}.py");
        let program = python.program().to_string_lossy();
        let command: Vec<&str> = [&program, script.as_str()]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        bundle.configure(&command, options)?;
        let mut runc = Command::new("runc");
        runc.arg("run").arg("--bundle").arg(bundle.folder.path()).arg(id);
        let mut workload = Workload::of_command(runc)?;
        workload
            .wait_for("ready")
            .with_context(|| format!("container {id}"))?;
        let state = Command::new("runc").args(["state", id]).output()?;
        let state: Value = serde_json::from_slice(&state.stdout).context("runc state")?;
        let pid = state["pid"].as_u64().context("a running container has a pid")?;
        Ok(Self {
            workload,
            pid: u32::try_from(pid)?,
            id: id.to_owned(),
            _bundle: bundle,
        })
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        run(Command::new("runc").args(["delete", "--force", &self.id]));
    }
}

impl Bundle {
    fn mount(root: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // The root of a user namespace is nobody on the host, and must come this way.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let path = |name: &str| folder.path().join(name);
        for name in ["rootfs", "writable"] {
            fs::create_dir(path(name))?;
        }
        // The upper part of an overlay cannot lie in another overlay, as the temporary folder may.
        mount("tmpfs", &path("writable"), "mode=755")?;
        let bundle = Self { folder };
        let path = |name: &str| bundle.folder.path().join(name);
        let upper = path("writable/upper");
        fs::create_dir(path("writable/work"))?;
        let workloads = upper.join(WORKLOADS.trim_start_matches('/'));
        fs::create_dir_all(&workloads)?;
        for entry in fs::read_dir(workload::folder())? {
            let from = entry?.path();
            if let Some(name) = from.file_name().filter(|_| from.is_file()) {
                fs::copy(&from, workloads.join(name))?;
            }
        }
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            root.display(),
            upper.display(),
            path("writable/work").display()
        );
        mount("overlay", &path("rootfs"), &layers)?;
        Ok(bundle)
    }

    /// runc's own default configuration, with as little changed as possible.
    fn configure(&self, command: &[&str], options: &Options) -> anyhow::Result<()> {
        let status = Command::new("runc")
            .arg("spec")
            .arg("--bundle")
            .arg(self.folder.path())
            .status()
            .context("runc is missing: cargo xtask test installs it")?;
        ensure!(status.success(), "runc spec failed");
        let path = self.folder.path().join("config.json");
        let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
        config["process"]["args"] = json!(command);
        config["process"]["terminal"] = json!(false);
        config["process"]["env"] = json!([
            "PATH=/usr/bin:/bin",
            "PYTHONDONTWRITEBYTECODE=1",
            "PYTHONUTF8=1",
            format!("PYTHONPATH={WORKLOADS}")
        ]);
        ensure!(
            config["root"]["readonly"] == true,
            "runc's default is a read-only root"
        );
        if let Some(cgroup) = &options.cgroup {
            config["linux"]["cgroupsPath"] = json!(cgroup);
        }
        if options.user_namespace {
            let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
            config["linux"]["uidMappings"] = map.clone();
            config["linux"]["gidMappings"] = map;
            let namespaces = config["linux"]["namespaces"].as_array_mut().context("a list")?;
            namespaces.push(json!({"type": "user"}));
        }
        Ok(fs::write(path, config.to_string())?)
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        for name in ["rootfs", "writable"] {
            run(Command::new("umount")
                .arg("--lazy")
                .arg(self.folder.path().join(name)));
        }
    }
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

fn mount(kind: &str, target: &Path, options: &str) -> anyhow::Result<()> {
    let status = Command::new("mount")
        .args(["-t", kind, kind, "-o", options])
        .arg(target)
        .status()?;
    ensure!(status.success(), "mounting {} failed", target.display());
    Ok(())
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
