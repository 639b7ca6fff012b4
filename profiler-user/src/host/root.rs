//! The host around the container that pyebpf may run in: one that shares the host's pids, for no other one can record
//! (`Host::initial_pid_namespace`).

use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use super::namespaces::initial_pid_namespace;
use crate::proc;

/// The initial cgroup namespace has this fixed inode number (`PROC_CGROUP_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_CGROUP_NAMESPACE: &str = "cgroup:[4026531835]";

/// Ancestors looked at; most processes have less than ten.
const MAX_ANCESTORS: usize = 256;

/// The host's file system: that of the outermost ancestor which may be looked at, usually process 1.
#[must_use]
pub fn root() -> &'static Path {
    static FOUND: OnceLock<Option<(OwnedFd, PathBuf)>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        // Held open: an ancestor may end.
        let handle = ancestors().into_iter().rev().find_map(open_root)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        Some((handle, path))
    });
    found.as_ref().map_or(Path::new("/"), |(_, path)| path)
}

/// What a path beneath [`root`] is called on the host: for people, who have no descriptors of this process.
#[must_use]
pub fn path_on_host(path: &Path) -> PathBuf {
    match path.strip_prefix(root()) {
        Ok(rest) => Path::new("/").join(rest),
        Err(_) => path.to_owned(),
    }
}

/// This process and those above it.
fn ancestors() -> Vec<u32> {
    let parent = |pid: &u32| proc::stat(*pid).ok().map(|stat| stat.parent);
    let up = std::iter::successors(Some(std::process::id()), parent);
    up.take_while(|pid| *pid != 0).take(MAX_ANCESTORS).collect()
}

fn open_root(pid: u32) -> Option<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/{pid}/root"), flags, Mode::empty()).ok()
}

/// Makes `/proc/PID/cgroup` show whole paths to this thread and those that it starts: a cgroup namespace, which docker
/// and podman give to containers where only cgroup v2 is mounted, cuts off what lies above its root (`cgroup_namespaces(7)`).
///
/// # Errors
/// When the process is in such a namespace and may not leave it (`CAP_SYS_ADMIN`).
pub fn see_whole_cgroup_paths() -> io::Result<()> {
    let Ok(own) = fs::read_link("/proc/self/ns/cgroup") else {
        return Ok(()); // A kernel without cgroups.
    };
    if own.as_os_str() == INITIAL_CGROUP_NAMESPACE || !initial_pid_namespace() {
        return Ok(());
    }
    // Process 2 starts the kernel's threads, all in the initial namespaces.
    let initial = File::open("/proc/2/ns/cgroup")?;
    let kind = Some(LinkNameSpaceType::ControlGroup);
    Ok(move_into_link_name_space(initial.as_fd(), kind)?)
}

#[cfg(test)]
mod tests {
    use super::{ancestors, root};

    #[test]
    fn the_way_up_starts_here_and_leads_through_the_parent_to_files() {
        let found = ancestors();
        let here = [std::process::id(), std::os::unix::process::parent_id()];
        assert!(found.starts_with(&here), "{found:?}");
        assert!(root().join("proc").is_dir());
    }
}
