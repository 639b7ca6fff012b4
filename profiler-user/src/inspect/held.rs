//! Files that processes map, reachable for a while after these are gone. In the worker, which opens them.
//!
//! A process may end a moment after it was sampled, and its files have to be opened after that, one after the other. So a
//! handle is held for each file that was seen of late, within a budget: a host maps thousands of files, and a handle keeps a
//! file system from being unmounted. What is held no longer is found again as it was found first: through a process that maps
//! it, else by its path.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reach::{FileWanted, Reach};
use crate::proc;
use crate::proc::file::{FileIdentity, MappedFile, Stamp};
use crate::proc::maps::Maps;
use crate::proc::root::{Root, RootId};

/// Files held whose path leads nowhere any more.
const MAX_DELETED: usize = 128;
/// Other files held.
const MAX_FILES: usize = 64;
/// Root directories held: one for each container.
const MAX_ROOTS: usize = 32;
/// How long something is held, unless room is needed. Whoever has files opened may be busy with large ones.
pub(super) const HOLD: Duration = Duration::from_secs(30);

/// What is held.
#[derive(Debug, Default)]
pub(super) struct HeldFiles {
    deleted: Shelf<FileIdentity, MappedFile>,
    files: Shelf<FileIdentity, MappedFile>,
    roots: Shelf<RootId, Root>,
}

impl HeldFiles {
    /// Holds a file, if it is still there.
    pub(super) fn hold(&mut self, reach: &Reach) {
        self.expire();
        let maps = Maps::from_text(reach.line.to_vec());
        let (Some(mapping), Ok(file)) = (maps.iter().next(), self.find_again(reach)) else {
            return;
        };
        let now = Instant::now();
        if mapping.deleted {
            self.deleted.put(reach.file.identity, file, now, MAX_DELETED);
        } else {
            self.files.put(reach.file.identity, file, now, MAX_FILES);
        }
        let root = Root::of_process(reach.pid).ok();
        if let Some(root) = root.filter(|root| Some(root.id()) == reach.root) {
            self.roots.put(root.id(), root, now, MAX_ROOTS);
        }
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    /// When it is not there, or not what it was.
    pub(super) fn open(&mut self, wanted: &FileWanted) -> io::Result<File> {
        self.expire();
        match wanted {
            FileWanted::Mapped(reach) => self.open_mapped(reach),
            FileWanted::Debug { of, paths, skip, .. } => self.open_debug(of.as_ref(), paths, *skip),
            FileWanted::PerfMap { pid } => open_perf_map(*pid),
        }
    }

    fn open_mapped(&self, reach: &Reach) -> io::Result<File> {
        let identity = &reach.file.identity;
        let held = self.deleted.get(identity).or_else(|| self.files.get(identity));
        let file = match held {
            Some(file) => file.open()?,
            None => self.find_again(reach)?.open()?,
        };
        // Written to since it was found: not what the names and tables of its key belong to.
        if Stamp::of_file(&file)?.has_content_of(&reach.file.stamp) {
            Ok(file)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn open_debug(&self, of: Option<&Reach>, paths: &[String], skip: u32) -> io::Result<File> {
        let own = Root::own().ok();
        let theirs = of.and_then(|reach| self.root(reach));
        let is_itself = |file: &MappedFile| of.is_some_and(|reach| reach.file.identity == file.identity());
        let in_theirs = theirs
            .iter()
            .flat_map(|root| paths.iter().filter_map(|path| find_debug_of(root, of, path)));
        let in_own = own.iter().flat_map(|root| {
            let hosts = paths.iter().filter(|path| is_of_distribution(path));
            hosts.filter_map(|path| root.find_file(path.as_str()).ok())
        });
        let mut found = in_theirs.chain(in_own).filter(|file| !is_itself(file));
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        match found.nth(skip) {
            Some(file) => file.open(),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Through the process, or another that has its id by now and maps the same file; else by path.
    fn find_again(&self, reach: &Reach) -> io::Result<MappedFile> {
        let maps = Maps::from_text(reach.line.to_vec());
        let mapping = maps.iter().next().ok_or(io::ErrorKind::NotFound)?;
        let is_it = |file: &MappedFile| {
            file.identity() == reach.file.identity && file.stamp().has_content_of(&reach.file.stamp)
        };
        let through_process = MappedFile::find(reach.pid, &mapping).ok().filter(is_it);
        if let Some(file) = through_process {
            return Ok(file);
        }
        let root = self.root(reach);
        let own = Root::own().ok().map(Arc::new);
        root.into_iter()
            .chain(own)
            .find_map(|root| root.find_file(&*mapping.path()).ok().filter(is_it))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The root directory of its process, if that can still be reached.
    fn root(&self, reach: &Reach) -> Option<Arc<Root>> {
        let id = reach.root?;
        self.roots.get(&id).or_else(|| {
            let root = Root::of_process(reach.pid).ok()?;
            (root.id() == id).then(|| Arc::new(root))
        })
    }

    /// Lets go of what was held long enough.
    pub(super) fn expire(&mut self) {
        let now = Instant::now();
        self.deleted.expire(now);
        self.files.expire(now);
        self.roots.expire(now);
    }
}

/// Where distributions put debug files.
pub const DEBUG_FOLDER: &str = "/usr/lib/debug";

fn is_of_distribution(path: &str) -> bool {
    Path::new(path).starts_with(DEBUG_FOLDER)
}

/// The debug file of a library at a path beneath the root directory of its process. Names in it come into the recording, and
/// whoever owns the library chose the path. So it must be a file that they could read themselves: its mode must allow it, and
/// the way there must lead through nothing that takes the place of a permission: no link, and no mount other than the
/// library's own. (A directory that others may not enter can be mounted, but not looked into.)
fn find_debug_of(root: &Root, library: Option<&Reach>, path: &str) -> Option<MappedFile> {
    let file = root.find_file_directly(path).ok()?;
    let (mount, is_readable) = if is_of_distribution(path) {
        (root.mount().ok()?, file.is_public())
    } else {
        let library = library?;
        let maps = Maps::from_text(library.line.to_vec());
        let found = root.find_file_directly(&*maps.iter().next()?.path()).ok()?;
        if found.identity() != library.file.identity {
            return None;
        }
        (found.mount().ok()?, file.is_readable_beside(&found))
    };
    (is_readable && file.mount().ok()? == mount).then_some(file)
}

/// The map is named by the process id in the process's own pid namespace, and is read only if it is the process's own:
/// `/tmp` is everybody's, and a link in it leads anywhere.
fn open_perf_map(pid: u32) -> io::Result<File> {
    let gone = |_| io::Error::from(io::ErrorKind::NotFound);
    let root = Root::of_process(proc::visible_id(pid)).map_err(gone)?;
    let inner = proc::innermost_id(pid).map_err(gone)?;
    let file = root.find_file_itself(format!("/tmp/perf-{inner}.map"))?.open()?;
    let owner = file.metadata()?.uid();
    if owner == proc::user(pid).map_err(gone)? {
        Ok(file)
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// Things, the one that was put there last at the end.
#[derive(Debug)]
struct Shelf<K, T> {
    items: VecDeque<(K, Instant, Arc<T>)>,
}

impl<K, T> Default for Shelf<K, T> {
    fn default() -> Self {
        Self {
            items: VecDeque::new(),
        }
    }
}

impl<K: PartialEq, T> Shelf<K, T> {
    fn put(&mut self, key: K, item: T, now: Instant, limit: usize) {
        self.items.retain(|(other, _, _)| *other != key);
        while self.items.len() >= limit {
            self.items.pop_front();
        }
        self.items.push_back((key, now, Arc::new(item)));
    }

    fn get(&self, key: &K) -> Option<Arc<T>> {
        let item = self.items.iter().find(|(other, _, _)| other == key);
        item.map(|(_, _, item)| Arc::clone(item))
    }

    fn expire(&mut self, now: Instant) {
        while self
            .items
            .front()
            .is_some_and(|(_, since, _)| now.saturating_duration_since(*since) >= HOLD)
        {
            self.items.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_put_last_stays_and_what_is_old_goes() {
        let mut shelf = Shelf::default();
        let begin = Instant::now();
        for number in 0..10 {
            shelf.put(number, number, begin + HOLD / 4 * number, 4);
        }
        assert_eq!(shelf.get(&5), None);
        assert_eq!(shelf.get(&6).as_deref(), Some(&6));
        shelf.put(6, 6, begin + HOLD / 4 * 10, 4);
        shelf.expire(begin + HOLD / 4 * 12);
        let left: Vec<u32> = shelf.items.iter().map(|item| item.0).collect();
        assert_eq!(left, [9, 6]);
    }
}
