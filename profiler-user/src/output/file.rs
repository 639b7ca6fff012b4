//! Where a result goes: a file that appears whole or not at all, standard output, or a pipe. Used by `record`, which
//! prepares it before sampling, so that a wrong path costs no recording.
//!
//! pyebpf is root, and the folder may be anyone's: an existing link is replaced, never followed, and the file is
//! written under a name nobody can guess and moved onto the real one when it is done.

use std::fs::{self, File, FileType, OpenOptions, Permissions};
use std::io::{self, Stdout, Write};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tempfile::NamedTempFile;

use crate::output::escape;
use crate::shell;

/// Spellings of standard output. Opening the links again would start at the beginning of a file appended to (`>>`).
const STDOUT: &[&str] = &["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Why a result has no place to go.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The folder is not there.
    #[error("there is no directory {}", .directory.display())]
    NoDirectory {
        /// The folder.
        directory: PathBuf,
    },
    /// The path is a folder.
    #[error("{} is a directory", .path.display())]
    IsDirectory {
        /// The path as given.
        path: PathBuf,
    },
    /// A disk, a socket: nothing that a profile is written to.
    #[error("{} is a {kind}", .path.display())]
    NotAFile {
        /// The path as given.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The folder does not take new files.
    #[error("cannot create a file in {}: {error}", .directory.display())]
    NotWritable {
        /// The folder.
        directory: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Anything else.
    #[error("cannot write to {}: {error}", .path.display())]
    Io {
        /// The path as given.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// The result is complete, but under another name.
    #[error("cannot rename {} to {}: {error}", .kept.display(), .path.display())]
    NotRenamed {
        /// Where the result is.
        kept: PathBuf,
        /// Where it should be.
        path: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
}

impl FileError {
    /// What to do about it, for the `hint:` line.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoDirectory { directory } => format!("mkdir -p {}", quoted(directory)),
            Self::IsDirectory { path } => {
                format!("name a file in it: -o {}", quoted(&path.join("profile.svg")))
            }
            Self::NotAFile { .. } => "name a file, or - for standard output: -o profile.svg".to_owned(),
            Self::NotWritable { .. } => {
                "name a file in a directory you can write to: -o /tmp/profile.svg".to_owned()
            }
            Self::Io { .. } => "name another file: -o /tmp/profile.svg".to_owned(),
            Self::NotRenamed { kept, .. } => format!("the profile is complete in {}", quoted(kept)),
        }
    }
}

/// A path as a shell takes it.
fn quoted(path: &Path) -> String {
    shell::word(&path.to_string_lossy()).into_owned()
}

/// Whom a file is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Owner {
    uid: u32,
    gid: Option<u32>,
}

impl Owner {
    /// Who called `sudo`; `None` when nobody did, or we are not root.
    fn from_sudo() -> Option<Self> {
        let id = |name| std::env::var(name).ok().and_then(|id| id.parse().ok());
        let uid = rustix::process::geteuid()
            .is_root()
            .then(|| id("SUDO_UID"))
            .flatten()?;
        Some(Self {
            uid,
            gid: id("SUDO_GID"),
        })
    }
}

/// An open destination. Dropped without [`OutputFile::commit`], it leaves no file.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Stdout(Stdout),
    /// An existing pipe or device.
    Through(File),
    /// A file of its own, in the folder of the result.
    Temporary {
        file: NamedTempFile,
        owner: Option<Owner>,
    },
}

impl OutputFile {
    /// Opens `path` for a result: `-` is standard output; a pipe or a character device is written to directly; anything
    /// else is created, or replaced by [`commit`](Self::commit). Opening a named pipe waits for its reader.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn prepare(path: &Path) -> Result<Self, FileError> {
        Self::prepare_for(path, Owner::from_sudo())
    }

    fn prepare_for(path: &Path, owner: Option<Owner>) -> Result<Self, FileError> {
        let place = if STDOUT.iter().any(|stdout| path == Path::new(stdout)) {
            Place::Stdout(io::stdout())
        } else if let Some(file) = existing_pipe(path)? {
            Place::Through(file)
        } else {
            Place::Temporary {
                file: temporary_beside(path)?,
                owner,
            }
        };
        Ok(Self {
            path: path.to_owned(),
            place,
        })
    }

    /// As given to [`prepare`](Self::prepare).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How messages call it.
    #[must_use]
    pub fn display_name(&self) -> String {
        if self.is_stdout() {
            "stdout".to_owned()
        } else {
            escape::printable(&self.path.display().to_string())
        }
    }

    /// Whether the result goes to standard output.
    #[must_use]
    pub fn is_stdout(&self) -> bool {
        matches!(self.place, Place::Stdout(_))
    }

    /// Whether the result becomes a file of its own, not bytes in a pipe or a device.
    #[must_use]
    pub fn is_file(&self) -> bool {
        matches!(self.place, Place::Temporary { .. })
    }

    /// Makes the result appear, as readable as `umask` says, owned by who called `sudo`.
    ///
    /// # Errors
    /// [`FileError::NotRenamed`] leaves the complete result under the name it tells.
    pub fn commit(mut self) -> Result<(), FileError> {
        let failed = |error| FileError::Io {
            path: self.path.clone(),
            error,
        };
        match &mut self.place {
            Place::Stdout(stdout) => stdout.flush().map_err(failed),
            Place::Through(file) => file.flush().map_err(failed),
            Place::Temporary { file, owner } => {
                hand_over(file.as_file(), *owner).map_err(failed)?;
                self.rename()
            }
        }
    }

    fn rename(self) -> Result<(), FileError> {
        let Place::Temporary { file, .. } = self.place else {
            return Ok(());
        };
        let Err(failed) = file.persist(&self.path) else {
            return Ok(());
        };
        let error = failed.error;
        match failed.file.keep() {
            Ok((_, kept)) => Err(FileError::NotRenamed {
                kept,
                path: self.path,
                error,
            }),
            Err(_) => Err(FileError::Io {
                path: self.path,
                error,
            }),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Stdout(stdout) => stdout.write(bytes),
            Place::Through(file) => file.write(bytes),
            Place::Temporary { file, .. } => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::Stdout(stdout) => stdout.flush(),
            Place::Through(file) => file.flush(),
            Place::Temporary { file, .. } => file.flush(),
        }
    }
}

/// Opens `path` when it exists and is nothing that can be replaced; `None` when a file can take its place.
fn existing_pipe(path: &Path) -> Result<Option<File>, FileError> {
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
    let kind = match metadata {
        Ok(metadata) => metadata.file_type(),
        // A missing folder is told apart when the temporary file is created.
        Err(_) if !special => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
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
    // Between the look and the opening a link may have taken its place.
    let flags = if special {
        OFlags::NOCTTY
    } else {
        OFlags::NOCTTY | OFlags::NOFOLLOW
    };
    let flags = flags.bits().cast_signed();
    let file = OpenOptions::new()
        .write(true)
        .truncate(special)
        .custom_flags(flags)
        .open(path)
        .map_err(failed)?;
    match unsuitable(file.metadata().map_err(failed)?.file_type()) {
        Some(kind) => Err(FileError::NotAFile {
            path: path.to_owned(),
            kind,
        }),
        None => Ok(Some(file)),
    }
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

/// The folder of `path`.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// A new private file in the folder of `path`, on the same filesystem, so that it can be renamed.
fn temporary_beside(path: &Path) -> Result<NamedTempFile, FileError> {
    let directory = folder_of(path).to_owned();
    if path.file_name().is_none() {
        return Err(FileError::IsDirectory {
            path: path.to_owned(),
        });
    }
    tempfile::Builder::new()
        .prefix(".pyebpf-")
        .suffix(".partial")
        .tempfile_in(&directory)
        .map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::NoDirectory { directory },
            _ => FileError::NotWritable { directory, error },
        })
}

/// Gives a finished file to `owner`, with the permissions that any program's new file has.
fn hand_over(file: &File, owner: Option<Owner>) -> io::Result<()> {
    if let Some(Owner { uid, gid }) = owner
        && let Err(error) = fchown(file, Some(uid), gid)
    {
        // Some filesystems know no owners (vfat), some forbid root to choose (NFS). The file is still the result.
        log::warn!("cannot give the output to user {uid}: {error}");
    }
    file.set_permissions(Permissions::from_mode(0o666 & !umask()))
}

/// The process's umask, without changing it; the usual one when the kernel does not tell (before 4.7).
fn umask() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    umask
        .and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok())
        .unwrap_or(0o022)
}

#[cfg(test)]
mod tests;
