//! The file systems that every Linux host has and an empty initramfs lacks.
//!
//! tracefs and debugfs are left out on purpose: pyebpf must not need them.

use anyhow::Context as _;
use rustix::mount::{MountFlags, mount};

/// Type and mount point, parents first.
const FILE_SYSTEMS: &[(&str, &str)] = &[
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
];

/// Mounts all of them.
pub(crate) fn mount_all() -> anyhow::Result<()> {
    for (kind, target) in FILE_SYSTEMS {
        // sysfs brings its own mount points and allows no other.
        if !target.starts_with("/sys/") {
            std::fs::create_dir_all(target).with_context(|| format!("cannot create {target}"))?;
        }
        mount(*kind, *target, *kind, MountFlags::NOSUID, None)
            .with_context(|| format!("cannot mount {kind} on {target}"))?;
    }
    Ok(())
}
