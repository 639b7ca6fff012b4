//! Files that processes map, reachable for a while after these are gone.
//!
//! Used by [`super::CodeFile`]. A process may end a moment after it was sampled, and its files have to be opened after that:
//! by a thread, one after the other. So a handle is held for each file that was seen recently, within a budget: a host maps
//! thousands of files, and a handle keeps a file system from being unmounted. What is held no longer is found again as it was
//! found first: through a process that maps it, else by its path.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::proc::file::{FileError, FileIdentity, MappedFile, Stamp};
use crate::proc::maps::{Mapping, Maps};
use crate::proc::root::{Root, RootId};

/// Files held whose path leads nowhere any more.
const MAX_DELETED: usize = 128;
/// Other files held.
const MAX_FILES: usize = 64;
/// Root directories held: one for each container.
const MAX_ROOTS: usize = 32;
/// How long something is held, unless room is needed. The thread that opens files may be busy with large ones.
const HOLD: Duration = Duration::from_secs(30);

/// What is held. Shared by all that was found through it.
#[derive(Debug, Default)]
pub struct HeldFiles {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    deleted: Shelf<FileIdentity, MappedFile>,
    files: Shelf<FileIdentity, MappedFile>,
    roots: Shelf<RootId, Root>,
}

/// How a file that was found once is reached again.
#[derive(Debug)]
pub(super) struct Reach {
    held: Arc<HeldFiles>,
    pid: u32,
    /// As a line of `/proc/PID/maps`.
    line: Box<[u8]>,
    identity: FileIdentity,
    stamp: Stamp,
    root: Option<RootId>,
}

impl HeldFiles {
    /// Finds the file behind a mapping, and holds it.
    pub(super) fn find(
        self: &Arc<Self>,
        pid: u32,
        mapping: &Mapping<'_>,
    ) -> Result<(Reach, Stamp), FileError> {
        let file = MappedFile::find(pid, mapping)?;
        let (identity, stamp) = (file.identity(), file.stamp());
        let root = Root::of_process(pid).ok();
        let reach = Reach {
            held: Arc::clone(self),
            pid,
            line: mapping.line().into(),
            identity,
            stamp,
            root: root.as_ref().map(Root::id),
        };
        let now = Instant::now();
        let mut held = self.lock();
        if mapping.deleted {
            held.deleted.put(identity, file, now, MAX_DELETED);
        } else {
            held.files.put(identity, file, now, MAX_FILES);
        }
        if let Some(root) = root {
            held.roots.put(root.id(), root, now, MAX_ROOTS);
        }
        Ok((reach, stamp))
    }

    /// Lets go of what was held long enough. To be called now and then.
    pub fn expire(&self) {
        let now = Instant::now();
        let mut held = self.lock();
        held.deleted.expire(now);
        held.files.expire(now);
        held.roots.expire(now);
    }

    /// Descriptors in use.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        let held = self.lock();
        held.deleted.items.len() + held.files.items.len() + held.roots.items.len()
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        // Whoever panicked has left whole handles.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reach {
    /// Opens the file for reading.
    pub(super) fn open(&self) -> io::Result<File> {
        let held = {
            let held = self.held.lock();
            let deleted = held.deleted.get(&self.identity);
            deleted.or_else(|| held.files.get(&self.identity))
        };
        match held {
            Some(file) => file.open(),
            None => self.find_again()?.open(),
        }
    }

    /// Through the process, or another that has its id by now and maps the same file; else by path.
    fn find_again(&self) -> io::Result<MappedFile> {
        let maps = Maps::from_text(self.line.to_vec());
        let mapping = maps.iter().next().ok_or(io::ErrorKind::NotFound)?;
        let is_it =
            |file: &MappedFile| file.identity() == self.identity && file.stamp().has_content_of(&self.stamp);
        let through_process = MappedFile::find(self.pid, &mapping).ok().filter(is_it);
        if let Some(file) = through_process {
            return Ok(file);
        }
        let root = self.root();
        let own = Root::own().ok().map(Arc::new);
        root.into_iter()
            .chain(own)
            .find_map(|root| root.find_file(&*mapping.path()).ok().filter(is_it))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The root directory of its process, if that can still be reached.
    pub(super) fn root(&self) -> Option<Arc<Root>> {
        let id = self.root?;
        let held = self.held.lock().roots.get(&id);
        held.or_else(|| {
            let root = Root::of_process(self.pid).ok()?;
            (root.id() == id).then(|| Arc::new(root))
        })
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
