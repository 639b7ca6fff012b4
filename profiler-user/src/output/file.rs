//! Where a result goes: a file that appears whole or not at all, standard output, or a pipe. Used by `record`, which
//! prepares it before sampling, so that a wrong path costs no recording.
//!
//! pyebpf is root, and the folder may be anyone's: an existing link is replaced, never followed; what strangers have put
//! into a shared folder is refused; and the file has no name before it is complete. Its folder stays open from the
//! beginning, also for the files of later intervals, so nobody can put another one in its place.

mod error;
mod existing;
mod folder;
mod owner;
mod unfinished;

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{self, Stdout, Write};
use std::os::unix::fs::{PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

pub use self::error::FileError;
use self::existing::{check_replaceable, existing_pipe};
pub use self::folder::Folder;
use self::owner::Owner;
use self::unfinished::Unfinished;
pub use self::unfinished::remove_unfinished;
use crate::escape;
use crate::host::stdout;
use crate::path::name_in_folder;

/// Spellings of standard output. Opening the links again would start at the beginning of a file appended to (`>>`).
const STDOUT: &[&str] = &["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Files that have the same name but for a number, at most; then the last one is replaced.
const MAX_NUMBER: u32 = 1_000;

/// An open destination. Dropped without [`OutputFile::commit`], it leaves no file.
#[derive(Debug)]
pub struct OutputFile {
    path: PathBuf,
    place: Place,
    /// Whether a file that has the name already keeps it.
    spares_existing: bool,
}

#[derive(Debug)]
enum Place {
    Stdout(Stdout),
    /// An existing pipe or device.
    Through(File),
    /// A file of its own, in the folder of the result.
    Temporary {
        file: Unfinished,
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
            if stdout::was_closed() {
                return Err(FileError::Closed);
            }
            Place::Stdout(io::stdout())
        } else if let Some(file) = existing_pipe(path, owner)? {
            Place::Through(file)
        } else if path.file_name().is_none() {
            return Err(FileError::IsDirectory {
                path: path.to_owned(),
            });
        } else {
            return Self::prepare_in_for(&Folder::of(path)?, path, owner);
        };
        Ok(Self {
            path: path.to_owned(),
            place,
            spares_existing: false,
        })
    }

    /// Opens a file of its own in `folder`, which was once the folder of `path`: nothing else of `path` but the name is used.
    /// What exists there is replaced, whatever it is.
    ///
    /// # Errors
    /// See [`FileError`].
    pub fn prepare_in(folder: &Folder, path: &Path) -> Result<Self, FileError> {
        Self::prepare_in_for(folder, path, Owner::from_sudo())
    }

    fn prepare_in_for(folder: &Folder, path: &Path, owner: Option<Owner>) -> Result<Self, FileError> {
        let file = Unfinished::create(folder).map_err(|error| folder::unusable(path, error))?;
        check_replaceable(folder, name_in_folder(path), path, owner)?;
        Ok(Self {
            path: path.to_owned(),
            place: Place::Temporary { file, owner },
            spares_existing: false,
        })
    }

    /// Of a name that nobody chose: a file that has it already is not replaced, and this one gets a number.
    #[must_use]
    pub fn sparing_existing(mut self) -> Self {
        self.spares_existing = true;
        self
    }

    /// As given to [`prepare`](Self::prepare).
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How messages call it: `stdout`, or the path in quotes.
    #[must_use]
    pub fn display_name(&self) -> String {
        if self.is_stdout() {
            "stdout".to_owned()
        } else {
            quoted(&self.path)
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

    /// The folder that a file of its own will be in.
    #[must_use]
    pub fn folder(&self) -> Option<&Folder> {
        match &self.place {
            Place::Temporary { file, .. } => Some(file.folder()),
            Place::Stdout(_) | Place::Through(_) => None,
        }
    }

    /// Makes the result appear, as readable as the umask says, owned by whoever called `sudo`. Returns where it is: at
    /// `numbered(1)`, `numbered(2)`, ... where [existing files are spared](Self::sparing_existing). These are in the same
    /// folder.
    ///
    /// # Errors
    /// [`FileError::NotRenamed`] leaves the complete result under the name that it contains.
    pub fn commit(mut self, numbered: impl Fn(u32) -> PathBuf) -> Result<PathBuf, FileError> {
        let failed = |error| FileError::Io {
            path: self.path.clone(),
            error,
        };
        match &mut self.place {
            Place::Stdout(stdout) => stdout.flush().map_err(failed)?,
            Place::Through(file) => file.flush().map_err(failed)?,
            Place::Temporary { file, owner } => {
                let owner = *owner;
                file.file()
                    .and_then(|file| hand_over(file, owner))
                    .map_err(failed)?;
            }
        }
        self.give_name(numbered)
    }

    fn give_name(self, numbered: impl Fn(u32) -> PathBuf) -> Result<PathBuf, FileError> {
        let mut path = self.path;
        let Place::Temporary { mut file, owner } = self.place else {
            return Ok(path);
        };
        if self.spares_existing {
            for number in 1..=MAX_NUMBER {
                match file.finish_new(name_in_folder(&path)) {
                    Ok(true) => return Ok(path),
                    Ok(false) => path = numbered(number),
                    Err(error) => return Err(FileError::Io { path, error }),
                }
            }
        }
        let failed = |error, kept: Option<OsString>| match kept {
            Some(kept) => FileError::NotRenamed {
                kept: path.with_file_name(kept),
                path: path.clone(),
                error,
            },
            None => FileError::Io {
                path: path.clone(),
                error,
            },
        };
        // Somebody may have put something there meanwhile.
        let name = name_in_folder(&path);
        if let Err(error) = check_replaceable(file.folder(), name, &path, owner) {
            return Err(failed(io::Error::other(error), file.keep().ok()));
        }
        match file.finish(name) {
            Ok(()) => Ok(path),
            Err((error, kept)) => Err(failed(error, kept)),
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

/// A path as messages show it.
#[must_use]
pub fn quoted(path: &Path) -> String {
    format!("'{}'", escape::printable(&path.display().to_string()))
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
