//! The file system that a process sees, for questions about paths in it.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::ProcessError;

/// Device and inode of a root directory: processes that share it see the same files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RootId {
    device: u64,
    inode: u64,
}

/// A process's root directory. Nothing outside of it can be reached through it.
#[derive(Debug)]
pub struct Root {
    handle: OwnedFd,
    id: RootId,
}

impl Root {
    /// The root of a process.
    ///
    /// # Errors
    /// When the process is gone or may not be looked at.
    pub fn of_process(pid: u32) -> Result<Self, ProcessError> {
        open(&format!("/proc/{pid}/root")).map_err(|errno| ProcessError::new(pid, "root", errno.into()))
    }

    /// The root of this process.
    ///
    /// # Errors
    /// As opening a directory.
    pub fn own() -> std::io::Result<Self> {
        Ok(open("/")?)
    }

    /// Tells file systems apart.
    #[must_use]
    pub fn id(&self) -> RootId {
        self.id
    }

    /// Whether `directory` (absolute) holds an entry `name`; `None` when that cannot be told.
    #[must_use]
    pub fn has_file(&self, directory: &str, name: &str) -> Option<bool> {
        if !directory.starts_with('/') {
            return None;
        }
        let path = format!("{directory}/{name}");
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.handle, path, flags, Mode::empty(), resolve) {
            Ok(_) => Some(true),
            Err(Errno::NOENT | Errno::NOTDIR) => Some(false),
            Err(_) => None,
        }
    }
}

fn open(path: &str) -> Result<Root, Errno> {
    let handle = rustix::fs::open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let stat = rustix::fs::fstat(&handle)?;
    Ok(Root {
        id: RootId {
            device: stat.st_dev,
            inode: stat.st_ino,
        },
        handle,
    })
}

#[cfg(test)]
mod tests {
    use super::Root;

    #[test]
    fn files_are_looked_for_beneath_the_root_of_the_process() {
        let root = Root::of_process(std::process::id()).expect("this process exists");
        assert_eq!(root.has_file("/proc/self", "status"), Some(true));
        assert_eq!(root.has_file("/proc/self", "no such file"), Some(false));
        assert_eq!(root.has_file("relative", "status"), None);
    }
}
