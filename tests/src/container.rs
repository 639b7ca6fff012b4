//! Real containers: runc, a read-only overlay over the root that `cargo xtask test` makes (another distribution, with its
//! own Python), namespaces of their own, no added capability.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::workload::{self, Workload};

/// Names the root to `cargo test`.
pub const ROOT: &str = "PYEBPF_CONTAINER_ROOT";

/// The interpreter in it.
pub const PYTHON: &str = "/usr/bin/python3.13";

/// Where the programs of `tests/workloads` are in it.
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
    /// When there is no root or no runc, or the container does not start.
    pub fn start(id: &str, script: &str, arguments: &[&str], options: &Options) -> anyhow::Result<Self> {
        let bundle = Bundle::mount()?;
        let script = format!("{WORKLOADS}/{script}.py");
        let command: Vec<&str> = [PYTHON, &script].iter().chain(arguments).copied().collect();
        bundle.configure(&command, options)?;
        let mut runc = Command::new("runc");
        runc.arg("run").arg("--bundle").arg(bundle.folder.path()).arg(id);
        let workload = Workload::of_command(runc).with_context(|| format!("container {id}"))?;
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
    fn mount() -> anyhow::Result<Self> {
        let root = root()?;
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

/// The root of the containers.
fn root() -> anyhow::Result<PathBuf> {
    let path = match std::env::var_os(ROOT) {
        Some(path) => PathBuf::from(path),
        None => {
            let home = std::env::var_os("HOME").context("HOME is not set")?;
            Path::new(&home).join(".cache/pyebpf/containers/trixie")
        }
    };
    ensure!(
        path.join(PYTHON.trim_start_matches('/')).is_file(),
        "there is no container root in {}: cargo xtask test makes it",
        path.display()
    );
    Ok(path)
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
