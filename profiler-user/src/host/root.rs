//! The host around the container that pyebpf may run in: one that shares the host's pids, for no other one can record
//! (`Host::initial_pid_namespace`). There process 1 is the host's own.

use std::fs;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The initial cgroup namespace has this fixed inode number (`PROC_CGROUP_INIT_INO`, include/linux/proc_ns.h).
const INITIAL_CGROUP_NAMESPACE: &str = "cgroup:[4026531835]";

/// The host's file system; this process's own where it may not look at process 1.
#[must_use]
pub fn root() -> &'static Path {
    let of_init = Path::new("/proc/1/root");
    if of_init.join("proc").exists() {
        of_init
    } else {
        Path::new("/")
    }
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
    if own.as_os_str() == INITIAL_CGROUP_NAMESPACE || !super::initial_pid_namespace() {
        return Ok(());
    }
    let of_init = File::open("/proc/1/ns/cgroup")?;
    Ok(move_into_link_name_space(
        of_init.as_fd(),
        Some(LinkNameSpaceType::ControlGroup),
    )?)
}
