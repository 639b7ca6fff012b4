//! What a container is made of: a file system and runc's configuration.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{WORKLOADS, run};
use crate::python::{Python, Trait};
use crate::{status, workload};

/// Names of the capabilities in the order of their numbers (linux/capability.h).
const CAPABILITIES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// How a container differs from the plainest.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Cgroup, from the root of the hierarchies; by default runc's choice, named like the container.
    pub cgroup: Option<String>,
    /// Its root is somebody else on the host.
    pub user_namespace: bool,
    /// It sees no cgroup above its own.
    pub cgroup_namespace: bool,
    /// As docker's `--privileged`: every capability that can be given, nothing hidden, everything writable.
    pub privileged: bool,
    /// As docker's `--pid=host`.
    pub host_pids: bool,
    /// Its root can be written to.
    pub writable_root: bool,
    /// Folders of the host that are in it under the same names, with what is mounted in them.
    pub binds: Vec<PathBuf>,
}

/// The mounted file system and the configuration of a container.
#[derive(Debug)]
pub(super) struct Bundle {
    folder: TempDir,
}

impl Bundle {
    /// The root that the interpreter comes with; for one of musl a root with a C library and nothing else, where the
    /// folder that is also returned must be bound.
    pub(super) fn of_python(python: &Python) -> anyhow::Result<(Self, Option<PathBuf>)> {
        if let Some(root) = python.root() {
            return Ok((Self::over(Some(root))?, None));
        }
        ensure!(
            python.is(Trait::Musl),
            "{python} has no root of its own, and needs more than a C library"
        );
        let bundle = Self::over(None)?;
        let loader = format!("lib/ld-musl-{}.so.1", std::env::consts::ARCH);
        bundle.put(&Path::new("/").join(&loader), &loader)?;
        // PREFIX/bin/python3.13
        let prefix = python.program().ancestors().nth(2);
        let prefix = prefix.context("an interpreter in a folder of its own")?;
        Ok((bundle, Some(prefix.to_owned())))
    }

    /// An overlay over a folder, or over nothing, with the programs of `tests/workloads`.
    pub(super) fn over(root: Option<&Path>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        // The root of a user namespace is nobody on the host, and must come this way.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        for name in ["rootfs", "writable", "nothing"] {
            fs::create_dir(folder.path().join(name))?;
        }
        // The upper part of an overlay cannot lie in another overlay, as the temporary folder may.
        mount("tmpfs", &folder.path().join("writable"), "mode=755")?;
        let bundle = Self { folder };
        let path = |name: &str| bundle.folder.path().join(name);
        for name in ["writable/work", "writable/upper"] {
            fs::create_dir(path(name))?;
        }
        let layers = format!(
            "lowerdir={},upperdir={},workdir={}",
            root.map_or_else(|| path("nothing"), Path::to_owned).display(),
            path("writable/upper").display(),
            path("writable/work").display()
        );
        mount("overlay", &bundle.root(), &layers)?;
        for entry in fs::read_dir(workload::folder())? {
            let from = entry?.path();
            if let Some(name) = from.file_name().filter(|_| from.is_file()) {
                let name = Path::new(WORKLOADS).join(name);
                bundle.put(&from, name.strip_prefix("/")?)?;
            }
        }
        Ok(bundle)
    }

    /// Copies a file of the host to `to`, from its root.
    pub(super) fn put(&self, file: &Path, to: impl AsRef<Path>) -> anyhow::Result<()> {
        let to = self.root().join(to);
        let folder = to.parent().context("a file in a folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        fs::copy(file, &to).with_context(|| format!("copying {} to {}", file.display(), to.display()))?;
        Ok(())
    }

    /// `runc --bundle` takes it.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its file system, as long as it exists.
    pub(super) fn root(&self) -> PathBuf {
        self.folder.path().join("rootfs")
    }

    /// runc's own default configuration, with as little changed as possible.
    pub(super) fn configure<A: AsRef<OsStr>>(&self, command: &[A], options: &Options) -> anyhow::Result<()> {
        let path = self.folder.path().join("config.json");
        if path.exists() {
            fs::remove_file(&path)?;
        }
        let status = Command::new("runc")
            .arg("spec")
            .arg("--bundle")
            .arg(self.folder.path())
            .status()
            .context("runc is missing: cargo xtask test installs it")?;
        ensure!(status.success(), "runc spec failed");
        let mut config: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let words: Option<Vec<&str>> = command.iter().map(|word| word.as_ref().to_str()).collect();
        config["process"]["args"] = json!(words.context("a command line of text")?);
        config["process"]["terminal"] = json!(false);
        config["process"]["env"] = json!(environment());
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
        }
        if options.writable_root {
            config["root"]["readonly"] = json!(false);
        }
        if options.privileged {
            give_privileges(&mut config)?;
        }
        choose_namespaces(&mut config, options)?;
        let mounts = config["mounts"].as_array_mut().context("a list of mounts")?;
        for folder in &options.binds {
            mounts
                .push(json!({"type": "bind", "source": folder, "destination": folder, "options": ["rbind"]}));
        }
        fs::write(&path, config.to_string()).with_context(|| format!("writing {}", path.display()))
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

/// What the programs of `tests/workloads` need, in any container.
pub(super) fn environment() -> Vec<String> {
    let fixed = [
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONUTF8=1",
    ];
    let mut all: Vec<String> = fixed.map(str::to_owned).into();
    all.push(format!("PYTHONPATH={WORKLOADS}"));
    all
}

fn give_privileges(config: &mut Value) -> anyhow::Result<()> {
    let own = own_capabilities()?;
    let sets = config["process"]["capabilities"].as_object_mut();
    for set in sets.context("sets of capabilities")?.values_mut() {
        *set = json!(own);
    }
    config["process"]["noNewPrivileges"] = json!(false);
    config["root"]["readonly"] = json!(false);
    config["linux"]["maskedPaths"] = json!([]);
    config["linux"]["readonlyPaths"] = json!([]);
    config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
    for mount in config["mounts"].as_array_mut().context("a list of mounts")? {
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|option| option != "ro");
        }
    }
    Ok(())
}

/// Those of this process: nobody can give more.
fn own_capabilities() -> anyhow::Result<Vec<String>> {
    let bits = u64::from_str_radix(&status::field(std::process::id(), "CapEff")?, 16)?;
    let own = CAPABILITIES.iter().enumerate();
    Ok(own
        .filter(|(number, _)| (bits >> number) & 1 == 1)
        .map(|(_, name)| format!("CAP_{name}"))
        .collect())
}

fn choose_namespaces(config: &mut Value, options: &Options) -> anyhow::Result<()> {
    let namespaces = config["linux"]["namespaces"].as_array_mut();
    let namespaces = namespaces.context("a list of namespaces")?;
    if options.host_pids {
        namespaces.retain(|namespace| namespace["type"] != "pid");
    }
    if options.user_namespace {
        namespaces.push(json!({"type": "user"}));
    }
    if options.cgroup_namespace && !namespaces.iter().any(|namespace| namespace["type"] == "cgroup") {
        namespaces.push(json!({"type": "cgroup"}));
    }
    Ok(())
}

fn mount(kind: &str, target: &Path, options: &str) -> anyhow::Result<()> {
    let status = Command::new("mount")
        .args(["-t", kind, kind, "-o", options])
        .arg(target)
        .status()?;
    ensure!(status.success(), "mounting {} failed", target.display());
    Ok(())
}
