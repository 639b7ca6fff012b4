//! A cgroup v2 of the tests' own, wherever version 2 is mounted (alone or beside version 1), and who is in any cgroup.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Removed when dropped; it is empty by then.
#[derive(Debug)]
pub struct Cgroup {
    directory: PathBuf,
    path: String,
}

impl Cgroup {
    /// Makes one below the root.
    ///
    /// # Errors
    /// When no cgroup v2 is mounted, or this process may not.
    pub fn new(name: &str) -> anyhow::Result<Self> {
        let mount = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"]
            .into_iter()
            .map(Path::new)
            .find(|mount| mount.join("cgroup.procs").exists())
            .context("no cgroup v2 is mounted below /sys/fs/cgroup")?;
        let name = format!("pyebpf-test-{name}-{}", std::process::id());
        let directory = mount.join(&name);
        std::fs::create_dir(&directory).with_context(|| format!("making {}", directory.display()))?;
        Ok(Self {
            directory,
            path: format!("/{name}"),
        })
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its path from the root of the hierarchy.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Moves a process into it.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn take_in(&self, pid: u32) -> anyhow::Result<()> {
        std::fs::write(self.directory.join("cgroup.procs"), pid.to_string())
            .with_context(|| format!("moving process {pid}"))
    }
}

/// The processes in a cgroup (path from the root), in whichever hierarchies it exists.
///
/// # Errors
/// When it is in none.
pub fn members(path: &str) -> anyhow::Result<BTreeSet<u32>> {
    let mount = Path::new("/sys/fs/cgroup");
    let mounts = std::fs::read_dir(mount).context("cgroups are mounted")?;
    let mounts = mounts.filter_map(|entry| Some(entry.ok()?.path()));
    let lists: Vec<String> = std::iter::once(mount.to_owned())
        .chain(mounts)
        .map(|mount| mount.join(path.trim_start_matches('/')).join("cgroup.procs"))
        .filter_map(|list| std::fs::read_to_string(list).ok())
        .collect();
    anyhow::ensure!(!lists.is_empty(), "there is no cgroup {path}");
    let lines = lists.iter().flat_map(|list| list.lines());
    lines
        .map(|line| line.parse().with_context(|| format!("{line:?} in {path}")))
        .collect()
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // A process that was killed is a member until it is reaped.
        for _ in 0..200 {
            if std::fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        eprintln!("!!! {} could not be removed", self.directory.display());
    }
}
