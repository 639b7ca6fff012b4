//! A folder that results go to, kept open: whoever may rename or exchange it afterwards leads nothing elsewhere.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

use super::error::FileError;
use crate::path::folder_of;

/// An open folder.
#[derive(Clone, Debug)]
pub struct Folder(Arc<OwnedFd>);

impl Folder {
    /// Opens the folder that `path` names a file in.
    ///
    /// # Errors
    /// [`FileError::NoDirectory`] and [`FileError::NotWritable`].
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let directory = folder_of(path);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(directory, flags, Mode::empty()) {
            Ok(folder) => Ok(Self(Arc::new(folder))),
            Err(error) => Err(unusable(path, error.into())),
        }
    }

    /// To work in it.
    pub(super) fn descriptor(&self) -> &OwnedFd {
        &self.0
    }
}

/// Why no file can be made in the folder of `path`.
pub(super) fn unusable(path: &Path, error: io::Error) -> FileError {
    let directory = folder_of(path).to_owned();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => FileError::NoDirectory { directory },
        _ => FileError::NotWritable { directory, error },
    }
}
