//! Why a result has no place to go, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::shell;

/// Why a result has no place to go. Whoever shows it names the file first.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The folder is not there.
    #[error("there is no directory {}", .directory.display())]
    NoDirectory {
        /// The folder.
        directory: PathBuf,
    },
    /// The path is a folder.
    #[error("it is a directory")]
    IsDirectory {
        /// The path as given.
        path: PathBuf,
    },
    /// A disk, a socket: nothing that a profile is written to.
    #[error("it is a {kind}")]
    NotAFile {
        /// The path as given.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// Somebody else put it where everybody may put things, and may have plans for what is written there.
    #[error("it is a {kind} of user {uid}, and files of others are neither replaced nor written to")]
    Foreign {
        /// The path as given.
        path: PathBuf,
        /// What it is.
        kind: &'static str,
        /// Whose it is.
        uid: u32,
    },
    /// pyebpf was started without a standard output.
    #[error("standard output is closed")]
    Closed,
    /// The folder does not take new files.
    #[error("no file can be created in {}: {error}", .directory.display())]
    NotWritable {
        /// The folder.
        directory: PathBuf,
        /// What the kernel said.
        error: io::Error,
    },
    /// Anything else.
    #[error("{error}")]
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
            Self::Foreign { path, .. } => {
                format!("name another file, or remove it: rm {}", quoted(path))
            }
            Self::Closed => "name a file: -o profile.svg".to_owned(),
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
    shell::word(path)
}
