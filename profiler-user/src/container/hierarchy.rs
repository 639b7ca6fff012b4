//! The host's mounted cgroup hierarchies: paths below a mount, and cgroup v2 directories by number.

use std::os::unix::fs::{DirEntryExt as _, MetadataExt as _};
use std::path::PathBuf;

use crate::host;

/// Where systemd and everybody else mount hierarchies.
const MOUNT: &str = "/sys/fs/cgroup";
/// Directories looked at when a number is searched.
const MAX_DIRECTORIES: usize = 100_000;

/// A cgroup's path from its hierarchy's root: `value` as it is, or without the mount point that it starts with.
#[must_use]
pub fn below_mount(value: &str) -> String {
    let path = match value.strip_prefix(MOUNT) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => below_hierarchy(rest),
        _ => value,
    };
    format!("/{}", path.trim_matches('/'))
}

/// Version 1 has a directory for each hierarchy, hybrid set-ups one more for version 2.
fn below_hierarchy(path: &str) -> &str {
    if unified() == mount() {
        return path;
    }
    let path = path.trim_start_matches('/');
    path.split_once('/').map_or("", |(_, rest)| rest)
}

/// Whether there is such a cgroup, in one of the hierarchies; `path` is one from a hierarchy's root.
#[must_use]
pub fn exists(path: &str) -> bool {
    let path = path.trim_start_matches('/');
    let hierarchies = std::fs::read_dir(mount()).into_iter().flatten().flatten();
    mount().join(path).is_dir()
        || hierarchies
            .map(|entry| entry.path())
            .any(|root| root.join(path).is_dir())
}

/// Who has made a cgroup v2, or was given it: the user who owns its directory.
#[must_use]
pub fn owner(path: &str) -> Option<u32> {
    let directory = unified().join(path.trim_start_matches('/'));
    Some(directory.symlink_metadata().ok()?.uid())
}

/// The path of the cgroup v2 with this number (`bpf_get_current_cgroup_id`, the inode of its directory).
#[must_use]
pub fn path_of(id: u64) -> Option<String> {
    let root = unified();
    if root.metadata().ok()?.ino() == id {
        return Some("/".to_owned());
    }
    let mut directories = vec![root.clone()];
    let mut looked_at = 0;
    while let Some(directory) = directories.pop() {
        looked_at += 1;
        if looked_at > MAX_DIRECTORIES {
            return None;
        }
        for entry in std::fs::read_dir(&directory).into_iter().flatten().flatten() {
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            if entry.ino() == id {
                let path = entry.path();
                return Some(format!("/{}", path.strip_prefix(&root).ok()?.to_string_lossy()));
            }
            directories.push(entry.path());
        }
    }
    None
}

/// Where version 2 is mounted.
pub(super) fn unified() -> PathBuf {
    let hybrid = mount().join("unified");
    if hybrid.join("cgroup.procs").exists() {
        hybrid
    } else {
        mount()
    }
}

/// As the host sees it: a container may have some of the hierarchies, or parts of them.
pub(super) fn mount() -> PathBuf {
    host::root::root().join(MOUNT.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use super::{MOUNT, below_mount, mount, path_of, unified};

    #[test]
    fn a_path_is_the_same_with_and_without_its_mount() {
        assert_eq!(
            below_mount("system.slice/web.service/"),
            "/system.slice/web.service"
        );
        let unified = unified();
        let below = unified.strip_prefix(mount()).expect("at the mount or below it");
        let mounted = Path::new(MOUNT).join(below).join("a/b");
        assert_eq!(below_mount(&mounted.to_string_lossy()), "/a/b");
        assert_eq!(below_mount("/sys/fs/cgroups/a"), "/sys/fs/cgroups/a");
    }

    #[test]
    fn a_number_leads_to_its_directory() {
        let Ok(root) = unified().metadata() else {
            eprintln!("!!! NOT TESTED: no cgroup v2 is mounted here");
            return;
        };
        assert_eq!(path_of(root.ino()).as_deref(), Some("/"));
        let directories = std::fs::read_dir(unified()).expect("mounted").flatten();
        for entry in directories.filter(|entry| entry.path().is_dir()).take(1) {
            let inode = entry.metadata().expect("there").ino();
            let name = format!("/{}", entry.file_name().to_string_lossy());
            assert_eq!(path_of(inode), Some(name));
        }
        assert_eq!(path_of(u64::MAX), None);
    }
}
