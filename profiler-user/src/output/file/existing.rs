//! What exists already where a result is to go: whether it may be replaced, or is written to as it is.
//!
//! pyebpf is root, and the folder may be anyone's. The rules are those of `fs.protected_regular`, `protected_fifos` and
//! `protected_symlinks` of the kernel, whatever this host has set.

use std::ffi::OsStr;
use std::fs::{self, File, FileType, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;

use super::error::FileError;
use super::folder::Folder;
use super::owner::Owner;
use crate::path::folder_of;

/// How often a named pipe without a reader is tried again, and after how long pyebpf says that it waits.
const TRY_EVERY: Duration = Duration::from_millis(50);
const SAY_AFTER: Duration = Duration::from_secs(1);

/// Opens `path` when it exists and is nothing that can be replaced; `None` when a file can take its place.
///
/// Opening a named pipe waits for its reader.
pub(super) fn existing_pipe(path: &Path, owner: Option<Owner>) -> Result<Option<File>, FileError> {
    let failed = |error| FileError::Io {
        path: path.to_owned(),
        error,
    };
    // Below /dev and /proc names stand for open files and devices, and only root makes them: links are followed there,
    // nothing is replaced.
    let special = in_special_folder(path);
    let metadata = if special {
        fs::metadata(path)
    } else {
        fs::symlink_metadata(path)
    };
    let metadata = match metadata {
        Ok(metadata) => metadata,
        // A missing folder is told apart when the temporary file is created.
        Err(_) if !special => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let kind = metadata.file_type();
    if kind.is_dir() {
        return Err(FileError::IsDirectory {
            path: path.to_owned(),
        });
    }
    if let Some(kind) = unsuitable(kind) {
        return Err(FileError::NotAFile {
            path: path.to_owned(),
            kind,
        });
    }
    if !special && (kind.is_file() || kind.is_symlink()) {
        return Ok(None);
    }
    let check_owner = |metadata: &fs::Metadata| {
        let kind = if metadata.file_type().is_fifo() {
            "named pipe"
        } else {
            "device"
        };
        check_owner(path, kind, metadata.uid(), owner)
    };
    if !special {
        check_owner(&metadata)?;
    }
    // Between the look and the opening something else may have taken its place, so the open file is looked at again.
    let file = open_for_writing(path, special).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    match unsuitable(metadata.file_type()) {
        Some(kind) => Err(FileError::NotAFile {
            path: path.to_owned(),
            kind,
        }),
        None if special => Ok(Some(file)),
        None => check_owner(&metadata).map(|()| Some(file)),
    }
}

/// Without waiting in the kernel: a pipe that nobody reads would hold pyebpf there.
fn open_for_writing(path: &Path, special: bool) -> io::Result<File> {
    let mut flags = OFlags::NOCTTY | OFlags::NONBLOCK;
    if !special {
        flags |= OFlags::NOFOLLOW;
    }
    let began = Instant::now();
    let mut said = false;
    let file = loop {
        let opened = OpenOptions::new()
            .write(true)
            .truncate(special)
            .custom_flags(flags.bits().cast_signed())
            .open(path);
        match opened {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::NXIO) && is_pipe(path) => {}
            opened => break opened?,
        }
        if !said && began.elapsed() > SAY_AFTER {
            log::warn!("waiting for somebody who reads {}", path.display());
            said = true;
        }
        std::thread::sleep(TRY_EVERY);
    };
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

fn is_pipe(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_fifo())
}

/// Fails when the file at `path`, which is `name` in `folder`, is somebody else's, and everybody may create files there while
/// nobody but their owner may remove them. It would not be overwritten, only replaced; but whoever made it may have plans for
/// it.
pub(super) fn check_replaceable(
    folder: &Folder,
    name: &OsStr,
    path: &Path,
    owner: Option<Owner>,
) -> Result<(), FileError> {
    let (Ok(file), Ok(folder)) = (
        rustix::fs::statat(folder.descriptor(), name, AtFlags::SYMLINK_NOFOLLOW),
        rustix::fs::fstat(folder.descriptor()),
    ) else {
        return Ok(());
    };
    let is_shared = folder.st_mode & 0o1000 != 0 && folder.st_mode & 0o022 != 0;
    if !is_shared || file.st_uid == folder.st_uid {
        return Ok(());
    }
    let kind = match rustix::fs::FileType::from_raw_mode(file.st_mode) {
        rustix::fs::FileType::Symlink => "link",
        _ => "file",
    };
    check_owner(path, kind, file.st_uid, owner)
}

/// Fails when it belongs neither to this process's user nor to the one who called sudo.
fn check_owner(path: &Path, kind: &'static str, uid: u32, owner: Option<Owner>) -> Result<(), FileError> {
    if uid == rustix::process::geteuid().as_raw() || owner.is_some_and(|owner| owner.uid == uid) {
        return Ok(());
    }
    Err(FileError::Foreign {
        path: path.to_owned(),
        kind,
        uid,
    })
}

/// What a profile is never written to.
fn unsuitable(kind: FileType) -> Option<&'static str> {
    if kind.is_block_device() {
        Some("block device")
    } else if kind.is_socket() {
        Some("socket")
    } else {
        None
    }
}

/// Whether `path` is directly in `/dev`, or anywhere in `/proc`, however it is spelled.
fn in_special_folder(path: &Path) -> bool {
    fs::canonicalize(folder_of(path))
        .is_ok_and(|folder| folder == Path::new("/dev") || folder.starts_with("/proc"))
}
