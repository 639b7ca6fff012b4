//! A file that is being written and has no name yet, so that nothing is left of it whatever ends pyebpf.
//!
//! Most file systems support files without a name (`O_TMPFILE`). On others the file gets a random name, only when its first
//! byte is written, and [`remove_unfinished`] removes it when pyebpf gives up writing.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::{Mutex, PoisonError};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::folder::Folder;

/// What names of unfinished files look like.
const PREFIX: &str = ".pyebpf-";
const SUFFIX: &str = ".partial";
/// Names tried before giving up.
const ATTEMPTS: usize = 16;

/// The names that unfinished files have now, with their folders.
static NAMES: Mutex<Option<HashMap<OsString, Folder>>> = Mutex::new(None);

/// Removes what has been given a name and is not finished. Called when pyebpf ends while something is still being written.
pub fn remove_unfinished() {
    let names = NAMES.lock().unwrap_or_else(PoisonError::into_inner).take();
    for (name, folder) in names.into_iter().flatten() {
        // It may have got its real name just now.
        let _ = rustix::fs::unlinkat(folder.descriptor(), &name, AtFlags::empty());
    }
}

fn remember(name: &OsStr, folder: &Folder) {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names
        .get_or_insert_default()
        .insert(name.to_owned(), folder.clone());
}

fn forget(name: &OsStr) {
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    names.get_or_insert_default().remove(name);
}

/// A private file in the folder of a result, on the same file system.
#[derive(Debug)]
pub(super) struct Unfinished {
    folder: Folder,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Without a name.
    Nameless(File),
    /// To be created at the first byte.
    Later,
    Named(File, OsString),
    /// It has its real name, or is kept under the one it has.
    Done,
}

impl Unfinished {
    /// In this folder, which is open.
    pub(super) fn create(folder: &Folder) -> io::Result<Self> {
        let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
        let state = match rustix::fs::openat(folder.descriptor(), ".", flags, Mode::from_raw_mode(0o600)) {
            Ok(file) => State::Nameless(file.into()),
            // The file system, or an old kernel, has no such files.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOSYS) => State::Later,
            Err(error) => return Err(error.into()),
        };
        if matches!(state, State::Later) {
            // Proves that files can be created, and leaves none.
            drop(Self::named(folder)?);
        }
        Ok(Self {
            folder: folder.clone(),
            state,
        })
    }

    fn named(folder: &Folder) -> io::Result<Self> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let (file, name) = with_new_name(|name| {
            remember(name, folder);
            let opened = rustix::fs::openat(folder.descriptor(), name, flags, mode);
            if opened.is_err() {
                forget(name);
            }
            opened
        })?;
        Ok(Self {
            folder: folder.clone(),
            state: State::Named(file.into(), name),
        })
    }

    /// The file itself.
    pub(super) fn file(&mut self) -> io::Result<&File> {
        if matches!(self.state, State::Later) {
            *self = Self::named(&self.folder)?;
        }
        match &self.state {
            State::Nameless(file) | State::Named(file, _) => Ok(file),
            State::Later | State::Done => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The folder it is in.
    pub(super) fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Gives it its name, and replaces what has that name now.
    ///
    /// The error says under which name the file is instead, if it could be kept.
    pub(super) fn finish(mut self, name: &OsStr) -> Result<(), (io::Error, Option<OsString>)> {
        self.file().map_err(|error| (error, None))?;
        if let State::Nameless(file) = &self.state {
            match link(file, self.folder.descriptor(), name) {
                Ok(()) => {
                    self.state = State::Done;
                    return Ok(());
                }
                // A link replaces nothing, a renaming does.
                Err(Errno::EXIST) => {}
                Err(error) => return Err((error.into(), None)),
            }
        }
        self.take_name().map_err(|error| (error, None))?;
        let State::Named(_, now) = &self.state else {
            return Err((io::ErrorKind::NotFound.into(), None));
        };
        let now = now.clone();
        let renamed = rustix::fs::renameat(self.folder.descriptor(), &now, self.folder.descriptor(), name);
        forget(&now);
        self.state = State::Done;
        renamed.map_err(|error| (error.into(), Some(now)))
    }

    /// Gives it its name unless something has that name; whether it did.
    pub(super) fn finish_new(&mut self, name: &OsStr) -> io::Result<bool> {
        self.file()?;
        let named = match &self.state {
            State::Nameless(file) => link(file, self.folder.descriptor(), name),
            State::Named(_, now) => rename_new(self.folder.descriptor(), now, name),
            State::Later | State::Done => Err(Errno::NOENT),
        };
        match named {
            Ok(()) => {
                if let State::Named(_, now) = std::mem::replace(&mut self.state, State::Done) {
                    forget(&now);
                }
                Ok(true)
            }
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Keeps it, under a name that is returned.
    pub(super) fn keep(mut self) -> io::Result<OsString> {
        self.file()?;
        self.take_name()?;
        match std::mem::replace(&mut self.state, State::Done) {
            State::Named(_, name) => {
                forget(&name);
                Ok(name)
            }
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Gives a file without a name a random one.
    fn take_name(&mut self) -> io::Result<()> {
        let State::Nameless(file) = &self.state else {
            return Ok(());
        };
        let ((), name) = with_new_name(|name| {
            remember(name, &self.folder);
            let linked = link(file, self.folder.descriptor(), name);
            if linked.is_err() {
                forget(name);
            }
            linked
        })?;
        if let State::Nameless(file) = std::mem::replace(&mut self.state, State::Done) {
            self.state = State::Named(file, name);
        }
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let State::Named(_, name) = &self.state {
            // Nobody is left to tell.
            let _ = rustix::fs::unlinkat(self.folder.descriptor(), name, AtFlags::empty());
            forget(name);
        }
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

/// Runs `work` with random names, until one is free.
fn with_new_name<T>(mut work: impl FnMut(&OsStr) -> Result<T, Errno>) -> io::Result<(T, OsString)> {
    for _ in 0..ATTEMPTS {
        let name = OsString::from(format!("{PREFIX}{:016x}{SUFFIX}", fastrand::u64(..)));
        match work(&name) {
            Ok(done) => return Ok((done, name)),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Renames without replacing anything.
fn rename_new(folder: &OwnedFd, now: &OsStr, name: &OsStr) -> Result<(), Errno> {
    match rustix::fs::renameat_with(folder, now, folder, name, RenameFlags::NOREPLACE) {
        // The file system does not know how: a look comes before it, and something may appear in between.
        Err(Errno::INVAL | Errno::NOSYS) => match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        {
            Err(Errno::NOENT) => rustix::fs::renameat(folder, now, folder, name),
            Ok(_) => Err(Errno::EXIST),
            Err(error) => Err(error),
        },
        done => done,
    }
}

/// Gives a file without a name its first one.
fn link(file: &File, folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    match rustix::fs::linkat(CWD, &descriptor, folder, name, AtFlags::SYMLINK_FOLLOW) {
        // Without /proc it takes CAP_DAC_READ_SEARCH.
        Err(Errno::NOENT) => rustix::fs::linkat(file, "", folder, name, AtFlags::EMPTY_PATH),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::fs;
    use std::io::Write as _;
    use std::path::Path;

    use super::{Folder, State, Unfinished};

    fn open(folder: &Path) -> Folder {
        Folder::of(&folder.join("file")).expect("a folder")
    }

    fn count(folder: &Path) -> usize {
        fs::read_dir(folder).expect("readable").count()
    }

    /// As on a file system that has no files without a name.
    fn later(folder: &Path) -> Unfinished {
        Unfinished {
            folder: open(folder),
            state: State::Later,
        }
    }

    #[test]
    fn a_file_has_no_name_before_it_is_finished() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut file = Unfinished::create(&open(folder.path())).expect("created");
        file.write_all(b"x").expect("written");
        if matches!(file.state, State::Nameless(_)) {
            assert_eq!(count(folder.path()), 0);
        }
        file.finish(OsStr::new("a")).expect("named");
        assert_eq!(fs::read(folder.path().join("a")).expect("there"), b"x");
        assert_eq!(count(folder.path()), 1);
    }

    #[test]
    fn where_files_need_a_name_they_have_it_from_the_first_byte_on_only() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut file = later(folder.path());
        assert_eq!(count(folder.path()), 0);
        file.write_all(b"x").expect("written");
        assert_eq!(count(folder.path()), 1);
        fs::write(folder.path().join("a"), "old").expect("written");
        file.finish(OsStr::new("a")).expect("renamed");
        assert_eq!(fs::read(folder.path().join("a")).expect("there"), b"x");
        assert_eq!(count(folder.path()), 1);
    }

    #[test]
    fn what_has_a_name_already_keeps_it_where_that_is_asked_for() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("a"), "old").expect("written");
        let created = Unfinished::create(&open(folder.path())).expect("created");
        for (mut file, name) in [(created, "b"), (later(folder.path()), "c")] {
            file.write_all(b"x").expect("written");
            assert!(!file.finish_new(OsStr::new("a")).expect("a look"));
            assert!(file.finish_new(OsStr::new(name)).expect("named"));
            assert_eq!(fs::read(folder.path().join(name)).expect("there"), b"x");
        }
        assert_eq!(fs::read(folder.path().join("a")).expect("there"), b"old");
        assert_eq!(count(folder.path()), 3);
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut file = later(folder.path());
        file.write_all(b"x").expect("written");
        drop(file);
        assert_eq!(count(folder.path()), 0);
        let mut file = later(folder.path());
        file.write_all(b"x").expect("written");
        // As when the thread that writes is stuck and pyebpf ends.
        super::remove_unfinished();
        assert_eq!(count(folder.path()), 0);
    }
}
