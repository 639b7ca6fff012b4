//! The file system that a process sees, for questions about paths in it.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::ProcessError;
use super::file::{MappedFile, MountId};

/// Device and inode of a root directory: processes that share it see the same files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    pub fn own() -> io::Result<Self> {
        Ok(open("/")?)
    }

    /// Tells file systems apart.
    #[must_use]
    pub fn id(&self) -> RootId {
        self.id
    }

    /// Finds a regular file beneath it.
    ///
    /// Links are followed as the process would follow them, magic links of `/proc` not at all; what is not a regular file
    /// is not opened (opening a device can act on it, opening a FIFO can block).
    ///
    /// # Errors
    /// As opening a file; `InvalidInput` for what is not a regular file.
    pub fn find_file(&self, path: impl rustix::path::Arg) -> io::Result<MappedFile> {
        self.find(path, OFlags::empty(), ResolveFlags::empty())
    }

    /// Finds a regular file beneath it by a path without any link.
    ///
    /// # Errors
    /// As [`Self::find_file`].
    pub fn find_file_directly(&self, path: impl rustix::path::Arg) -> io::Result<MappedFile> {
        self.find(path, OFlags::empty(), ResolveFlags::NO_SYMLINKS)
    }

    /// The mount that it is on.
    ///
    /// # Errors
    /// When the kernel does not say (before 5.8).
    pub fn mount(&self) -> io::Result<MountId> {
        MountId::of(&self.handle)
    }

    /// Finds a regular file beneath it that is not a link, although the way to it may lead through links.
    ///
    /// # Errors
    /// As [`Self::find_file`].
    pub fn find_file_itself(&self, path: impl rustix::path::Arg) -> io::Result<MappedFile> {
        self.find(path, OFlags::NOFOLLOW, ResolveFlags::empty())
    }

    fn find(
        &self,
        path: impl rustix::path::Arg,
        extra: OFlags,
        links: ResolveFlags,
    ) -> io::Result<MappedFile> {
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS | links;
        let flags = OFlags::PATH | OFlags::CLOEXEC | extra;
        let found = rustix::fs::openat2(&self.handle, path, flags, Mode::empty(), resolve)?;
        let stat = rustix::fs::fstat(&found)?;
        MappedFile::of_handle(found, &stat).ok_or_else(|| io::ErrorKind::InvalidInput.into())
    }

    /// Opens a regular file beneath it for reading: what [`Self::find_file`] finds.
    ///
    /// # Errors
    /// As [`Self::find_file`].
    pub fn open_file(&self, path: impl rustix::path::Arg) -> io::Result<File> {
        self.find_file(path)?.open()
    }

    /// Whether `directory` (absolute) holds an entry `name`; `None` when that cannot be told, as for a directory that is gone
    /// or is not one.
    #[must_use]
    pub fn has_file(&self, directory: &str, name: &str) -> Option<bool> {
        if !directory.starts_with('/') {
            return None;
        }
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let look = |path: &str, flags| {
            let flags = flags | OFlags::PATH | OFlags::CLOEXEC;
            rustix::fs::openat2(&self.handle, path, flags, Mode::empty(), resolve)
        };
        match look(&format!("{directory}/{name}"), OFlags::empty()) {
            Ok(_) => Some(true),
            Err(Errno::NOENT) => look(directory, OFlags::DIRECTORY).ok().map(|_| false),
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
    use rustix::fs::{FileType, Mode};

    use super::Root;

    #[test]
    fn files_are_looked_for_beneath_the_root_of_the_process() {
        let root = Root::of_process(std::process::id()).expect("this process exists");
        assert_eq!(root.has_file("/proc/self", "status"), Some(true));
        assert_eq!(root.has_file("/proc/self", "no such file"), Some(false));
        assert_eq!(root.has_file("relative", "status"), None);
        assert_eq!(root.has_file("/proc/self/no such folder", "status"), None);
        assert_eq!(root.has_file("/proc/self/status", "status"), None, "a file");
    }

    #[test]
    fn only_regular_files_beneath_the_root_are_opened() {
        let directory = tempfile::tempdir().expect("a writable temporary directory");
        let at = |name: &str| directory.path().join(name).display().to_string();
        std::fs::write(at("file"), "content").expect("writable");
        std::os::unix::fs::symlink(at("file"), at("link")).expect("writable");
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, Mode::RUSR, 0).expect("writable");
        let root = Root::own().expect("there is one");
        for name in ["file", "link"] {
            let file = root.open_file(at(name)).expect("a regular file");
            assert_eq!(std::io::read_to_string(file).expect("readable"), "content");
        }
        for path in [
            at("fifo"),
            at("none"),
            at(""),
            "/dev/null".into(),
            "/proc/self/exe".into(),
        ] {
            assert!(root.open_file(&*path).is_err(), "{path}");
        }
        assert!(root.find_file_itself(at("file")).is_ok());
        assert!(root.find_file_itself(at("link")).is_err());
        let inner = super::open(&at("")).expect("a directory");
        assert!(inner.open_file("/file").is_ok());
        assert!(inner.open_file("../../../etc/passwd").is_err());
        assert!(
            inner.open_file("/link").is_err(),
            "an absolute link stays beneath the root"
        );
    }
}
