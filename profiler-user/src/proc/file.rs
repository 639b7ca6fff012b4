//! Opens the files that another process maps, also when they are deleted, replaced, or in another mount
//! namespace.
//!
//! Used by the search for interpreters. The other process chose these files: a path is resolved
//! beneath that process's root (or this one's) and follows no link out of `/proc`, only regular files are
//! opened for reading (opening a device can act on it, opening a FIFO can block), and nothing is ever
//! memory-mapped (a file that shrinks would kill the reader).

use std::fs::File;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, StatxFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::ProcessError;
use super::maps::{Device, FileId, Mapping};

/// Why a mapped file could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The process is gone, or may not be looked at.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// `/proc/PID/map_files` needs `CAP_CHECKPOINT_RESTORE` (or `CAP_SYS_ADMIN`), and the path leads nowhere.
    #[error(
        "the mapped file cannot be reached: not through /proc/{pid}/map_files, and its path leads nowhere"
    )]
    Unreachable {
        /// The process.
        pid: u32,
    },
    /// The path now leads to another file than the one that is mapped.
    #[error("the path of the mapped file leads to another file now")]
    Replaced,
    /// A device, a pipe, a socket.
    #[error("not a regular file")]
    NotRegular,
    /// Any other failure.
    #[error("opening the mapped file")]
    Io(#[from] io::Error),
}

/// The state of a file that changes when its content does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last modification, seconds since 1970. Whoever may write to the file can set it.
    pub modified_s: i64,
    /// Last modification, nanoseconds within the second.
    pub modified_ns: u64,
    /// Last change of content, name or owner, seconds since 1970. Nobody can set it, but the file system's own server.
    pub changed_s: i64,
    /// Last change, nanoseconds within the second.
    pub changed_ns: u64,
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        Self {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified_s: stat.st_mtime,
            modified_ns: stat.st_mtime_nsec,
            changed_s: stat.st_ctime,
            changed_ns: stat.st_ctime_nsec,
        }
    }

    /// Of an open file.
    ///
    /// # Errors
    /// As `fstat`.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::fstat(file)?))
    }

    /// Whether nothing was written in between, if the writers are honest; names and owners may have changed.
    #[must_use]
    pub fn has_content_of(&self, other: &Self) -> bool {
        let content = |stamp: &Self| (stamp.size, stamp.modified_s, stamp.modified_ns);
        content(self) == content(other)
    }
}

/// A file as processes name it: device, inode and path. (Overlay file systems may show one device and inode for two files,
/// so the path belongs to it.) Another file may have the same name later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileName {
    file: FileId,
    path: u64,
}

impl FileName {
    /// Of the file behind a mapping.
    #[must_use]
    pub fn of_mapping(mapping: &Mapping<'_>) -> Self {
        Self {
            file: mapping.file,
            path: secret_hash(&mapping.path()),
        }
    }

    /// Of bytes that no file holds.
    #[must_use]
    pub fn of_memory(bytes: &[u8]) -> Self {
        Self {
            file: FileId::default(),
            path: secret_hash(bytes),
        }
    }
}

/// A hash that nobody outside can aim at.
fn secret_hash(bytes: &[u8]) -> u64 {
    static SECRET: OnceLock<RandomState> = OnceLock::new();
    SECRET.get_or_init(RandomState::new).hash_one(bytes)
}

/// What tells files apart, and their states: equal keys mean the same content. (A file system whose server lies, as FUSE
/// lets anybody write one, can only mislead about its own files.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    /// Which file.
    pub name: FileName,
    /// In which state.
    pub stamp: Stamp,
}

/// Device and inode as `stat` reports them: not always what `maps` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

/// A regular file that is mapped by another process: found, not opened for reading yet.
#[derive(Debug)]
pub struct MappedFile {
    handle: OwnedFd,
    identity: FileIdentity,
    stamp: Stamp,
    owner: u32,
    is_public: bool,
}

impl MappedFile {
    /// Finds the file behind `mapping` of process `pid`.
    ///
    /// First `/proc/PID/map_files`, which is the mapped file itself whatever became of its path; where that
    /// is not permitted, the path beneath the process's root or this one's, if device and inode are the
    /// mapping's.
    ///
    /// # Errors
    /// [`FileError`]; with `Process(Gone)` when the process exited.
    pub fn find(pid: u32, mapping: &Mapping<'_>) -> Result<Self, FileError> {
        let (handle, stat) = match open_map_file(pid, mapping) {
            Ok(handle) => {
                let stat = rustix::fs::fstat(&handle).map_err(io::Error::from)?;
                (handle, stat)
            }
            Err(Errno::SRCH) => return Err(ProcessError::Gone { pid }.into()),
            // Not permitted; or the mapping was split or replaced since `maps` was read.
            Err(_) => by_path(pid, mapping)?,
        };
        Self::of_handle(handle, &stat).ok_or(FileError::NotRegular)
    }

    /// A file that was found and is described by `stat`; `None` when it is not a regular one.
    pub(super) fn of_handle(handle: OwnedFd, stat: &Stat) -> Option<Self> {
        (FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile).then(|| Self {
            handle,
            identity: FileIdentity {
                device: stat.st_dev,
                inode: stat.st_ino,
            },
            stamp: Stamp::of(stat),
            owner: stat.st_uid,
            is_public: Mode::from_raw_mode(stat.st_mode).contains(Mode::ROTH),
        })
    }

    /// Whether whoever owns `other` may read this file, so far as its own mode says.
    #[must_use]
    pub fn is_readable_beside(&self, other: &Self) -> bool {
        self.is_public || self.owner == other.owner
    }

    /// Whether everybody may read it, so far as its own mode says.
    #[must_use]
    pub fn is_public(&self) -> bool {
        self.is_public
    }

    /// The mount that it was found on.
    ///
    /// # Errors
    /// When the kernel does not say (before 5.8).
    pub fn mount(&self) -> io::Result<MountId> {
        MountId::of(&self.handle)
    }

    /// Which file it is, among those that exist.
    #[must_use]
    pub fn identity(&self) -> FileIdentity {
        self.identity
    }

    /// Its state when it was found.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Opens it for reading.
    ///
    /// # Errors
    /// When this process may not read it, or has too many files open.
    pub fn open(&self) -> io::Result<File> {
        // The handle says which file, so it is a regular one whatever happens to the path.
        let path = format!("/proc/self/fd/{}", self.handle.as_raw_fd());
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
    }
}

/// Tells the mounts of this host apart: a part of a file system that is mounted a second time is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MountId(u64);

impl MountId {
    pub(super) fn of(handle: &OwnedFd) -> io::Result<Self> {
        let stat = rustix::fs::statx(handle, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?;
        if StatxFlags::from_bits_retain(stat.stx_mask).contains(StatxFlags::MNT_ID) {
            Ok(Self(stat.stx_mnt_id))
        } else {
            Err(io::ErrorKind::Unsupported.into())
        }
    }
}

/// A handle that can be inspected but does nothing to the file, not even open it.
const HANDLE: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

fn open_map_file(pid: u32, mapping: &Mapping<'_>) -> Result<OwnedFd, Errno> {
    let path = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    rustix::fs::open(path, HANDLE, Mode::empty())
}

/// The kernel prints a path as seen from the reader's root where it can (so for a process in a `chroot`),
/// otherwise from the root of the mount namespace that the file is in (so for a container). Device and inode
/// tell whether the right file was found.
fn by_path(pid: u32, mapping: &Mapping<'_>) -> Result<(OwnedFd, Stat), FileError> {
    let in_target = beneath(pid, &format!("/proc/{pid}/root"), mapping);
    match in_target {
        Err(FileError::Unreachable { .. } | FileError::Replaced) => beneath(pid, "/", mapping).or(in_target),
        other => other,
    }
}

fn beneath(pid: u32, root: &str, mapping: &Mapping<'_>) -> Result<(OwnedFd, Stat), FileError> {
    let root = rustix::fs::open(root, HANDLE | OFlags::DIRECTORY, Mode::empty())
        .map_err(|errno| ProcessError::new(pid, "root", errno.into()))?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let handle = match rustix::fs::openat2(&root, &*mapping.path(), HANDLE, Mode::empty(), resolve) {
        Ok(handle) => handle,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Err(FileError::Unreachable { pid }),
        Err(errno) => return Err(FileError::Io(errno.into())),
    };
    let stat = rustix::fs::fstat(&handle).map_err(io::Error::from)?;
    let device = Device {
        major: rustix::fs::major(stat.st_dev),
        minor: rustix::fs::minor(stat.st_dev),
    };
    if (FileId {
        device,
        inode: stat.st_ino,
    }) != mapping.file
    {
        return Err(FileError::Replaced);
    }
    Ok((handle, stat))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::maps::Maps;
    use std::os::unix::fs::MetadataExt as _;

    fn with_own_program(check: impl FnOnce(u32, &Mapping<'_>)) {
        let pid = std::process::id();
        let maps = Maps::read(pid).expect("this process exists");
        let address = with_marker as *const () as u64;
        let mapping = maps
            .iter()
            .find(|mapping| mapping.contains(address))
            .expect("this code is mapped");
        check(pid, &mapping);
    }

    fn with_marker() {}

    #[test]
    fn both_ways_lead_to_the_running_program() {
        with_own_program(|pid, mapping| {
            let truth = std::fs::metadata(std::env::current_exe().expect("known")).expect("readable");
            let found = MappedFile::find(pid, mapping).expect("this program is a file");
            assert_eq!(found.stamp().size, truth.len());
            assert_eq!(found.stamp().modified_s, truth.mtime());
            let (_, stat) = by_path(pid, mapping).expect("its path is intact");
            assert_eq!((stat.st_dev, stat.st_ino), (truth.dev(), truth.ino()));
            assert_eq!(
                found.open().expect("readable").metadata().expect("open").ino(),
                truth.ino()
            );
        });
    }

    #[test]
    fn a_path_that_leads_to_another_file_is_refused() {
        with_own_program(|pid, mapping| {
            let path = std::env::current_exe().expect("known");
            let text = format!(
                "1000-2000 r-xp 0 00:01 {} {}\n",
                mapping.file.inode + 1,
                path.display()
            );
            let maps = Maps::from_text(text.into_bytes());
            let other = maps.iter().next().expect("valid");
            assert!(matches!(by_path(pid, &other), Err(FileError::Replaced)));
        });
    }

    #[test]
    fn a_path_through_proc_links_or_to_nothing_is_not_followed() {
        let pid = std::process::id();
        for path in [
            "/proc/self/exe",
            "/proc/self/root/etc/passwd",
            "/does/not/exist",
            "relative",
            "/etc/passwd/x",
        ] {
            let text = format!("1000-2000 r-xp 0 00:01 1 {path}\n").into_bytes();
            let maps = Maps::from_text(text);
            let mapping = maps.iter().next().expect("valid");
            let error = MappedFile::find(pid, &mapping).expect_err("no such file");
            assert!(
                matches!(error, FileError::Unreachable { .. }),
                "{path}: {error:?}"
            );
        }
    }

    #[test]
    fn devices_and_pipes_are_found_but_never_opened() {
        let directory = tempfile::tempdir().expect("a writable temporary directory");
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).expect("creates a FIFO");
        for path in [fifo.to_str().expect("ASCII"), "/dev/null", "/tmp"] {
            let metadata = std::fs::metadata(path).expect("exists");
            let (major, minor) = (
                rustix::fs::major(metadata.dev()),
                rustix::fs::minor(metadata.dev()),
            );
            let text = format!(
                "1000-2000 r-xp 0 {major:02x}:{minor:02x} {} {path}\n",
                metadata.ino()
            );
            let maps = Maps::from_text(text.into_bytes());
            let mapping = maps.iter().next().expect("valid");
            let error = MappedFile::find(std::process::id(), &mapping).expect_err("not regular");
            assert!(matches!(error, FileError::NotRegular), "{path}: {error:?}");
        }
    }

    #[test]
    fn a_process_that_exited_is_gone() {
        let mut child = std::process::Command::new("true").spawn().expect("`true` exists");
        let pid = child.id();
        child.wait().expect("the child is ours");
        with_own_program(|_, mapping| {
            let error = MappedFile::find(pid, mapping).expect_err("it exited");
            assert!(
                matches!(error, FileError::Process(ProcessError::Gone { .. })),
                "{error:?}"
            );
        });
    }

    /// Starts a program by a shell script and waits until it runs under the name `hidden`.
    fn start_hidden(script: &str, directory: &std::path::Path) -> Option<std::process::Child> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("not tested: needs root");
            return None;
        }
        let mut command = std::process::Command::new("unshare");
        command.args(["--mount", "sh", "-c", script, "sh"]).arg(directory);
        let mut child = command.spawn().expect("util-linux is installed");
        while !crate::proc::executable(child.id())
            .expect("a child of this process")
            .is_some_and(|path| path.ends_with("hidden"))
        {
            assert!(child.try_wait().expect("own child").is_none(), "{script}");
            std::thread::yield_now();
        }
        Some(child)
    }

    fn assert_program_found_by_path(mut child: std::process::Child) {
        let pid = child.id();
        let maps = loop {
            let maps = Maps::read(pid).expect("it runs");
            if maps
                .iter()
                .any(|mapping| mapping.executable && mapping.file_name() == b"hidden")
            {
                break maps;
            }
        };
        let mapping = maps
            .iter()
            .find(|mapping| mapping.file_name() == b"hidden")
            .expect("just seen");
        let found = by_path(pid, &mapping).expect("its path is intact in its own view");
        let truth = std::fs::metadata(format!("/proc/{pid}/exe")).expect("it runs");
        assert_eq!((found.1.st_dev, found.1.st_ino), (truth.dev(), truth.ino()));
        child.kill().expect("own child");
        child.wait().expect("own child");
    }

    #[test]
    fn a_file_in_another_mount_namespace_is_found_by_its_path_there() {
        let directory = tempfile::tempdir().expect("a writable temporary directory");
        let script = "mount -t tmpfs none \"$1\" && cp /bin/sleep \"$1/hidden\" && exec \"$1/hidden\" 1000";
        if let Some(child) = start_hidden(script, directory.path()) {
            assert!(!directory.path().join("hidden").exists());
            assert_program_found_by_path(child);
        }
    }

    #[test]
    fn a_file_below_a_changed_root_is_found_by_its_path_here() {
        let directory = tempfile::tempdir().expect("a writable temporary directory");
        // What `sleep` needs, at the paths where it needs it.
        let script = "for file in $(ldd /bin/sleep | grep -o '/[^ ]*'); do \
            mkdir -p \"$1$(dirname $file)\" && cp $file \"$1$file\"; done; \
            cp /bin/sleep \"$1/hidden\" && exec chroot \"$1\" /hidden 1000";
        if let Some(child) = start_hidden(script, directory.path()) {
            assert_program_found_by_path(child);
        }
    }
}
