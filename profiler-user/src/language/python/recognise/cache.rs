//! Remembers what files are, so that a storm of processes running known files costs no file access.
//!
//! Used by [`super::Inspector`]. A file is known by device, inode and path; what was learnt about it holds
//! while size and time of last modification stay the same. (Overlay file systems may show one device and
//! inode for two files, so the path belongs to the key.)

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;

use super::analysis::Analysis;
use crate::proc::file::Stamp;
use crate::proc::maps::{FileId, Mapping};

/// Files remembered, at most twice this many; a busy host maps a few thousand.
const GENERATION: usize = 8192;

/// What a file is.
#[derive(Clone, Debug)]
pub(super) enum Known {
    /// Neither an interpreter nor a program: most libraries. Also what is not ELF, or malformed.
    Plain,
    /// An interpreter or a program.
    Notable(Arc<Analysis>),
}

/// A file's name in the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    file: FileId,
    path: u64,
}

/// A bounded map that forgets what has not been used for long: when the young generation is full it becomes
/// the old one, and the old one is dropped; what is used moves to the young one.
#[derive(Debug, Default)]
pub(super) struct FileCache {
    hasher: RandomState,
    young: HashMap<FileKey, (Stamp, Known)>,
    old: HashMap<FileKey, (Stamp, Known)>,
}

impl FileCache {
    /// The key of the file behind `mapping`.
    pub(super) fn key(&self, mapping: &Mapping<'_>) -> FileKey {
        FileKey {
            file: mapping.file,
            path: self.hasher.hash_one(mapping.path()),
        }
    }

    /// What is remembered of a file, and what it looked like then.
    pub(super) fn get(&mut self, key: &FileKey) -> Option<&(Stamp, Known)> {
        if let Some(entry) = self.old.remove(key) {
            self.make_room();
            self.young.insert(*key, entry);
        }
        self.young.get(key)
    }

    /// Remembers a file.
    pub(super) fn insert(&mut self, key: FileKey, stamp: Stamp, known: Known) {
        self.make_room();
        self.old.remove(&key);
        self.young.insert(key, (stamp, known));
    }

    fn make_room(&mut self) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::maps::Maps;

    const STAMP: Stamp = Stamp {
        size: 1,
        modified_s: 2,
        modified_ns: 3,
    };

    fn key_of(cache: &FileCache, inode: u64, path: &str) -> FileKey {
        let maps = Maps::from_text(format!("1000-2000 r-xp 0 00:01 {inode} {path}\n").into_bytes());
        let mapping = maps.iter().next().expect("valid");
        cache.key(&mapping)
    }

    #[test]
    fn a_file_in_use_survives_any_number_of_others() {
        let mut cache = FileCache::default();
        let python = key_of(&cache, 1, "/usr/bin/python");
        cache.insert(python, STAMP, Known::Plain);
        let unused = key_of(&cache, 2, "/usr/bin/unused");
        cache.insert(unused, STAMP, Known::Plain);
        for inode in 0..5 * GENERATION as u64 {
            let other = key_of(&cache, inode + 3, "/other");
            cache.insert(other, STAMP, Known::Plain);
            assert!(cache.get(&python).is_some(), "after {inode}");
            assert!(cache.young.len() + cache.old.len() <= 2 * GENERATION);
        }
        assert!(cache.get(&unused).is_none());
    }

    #[test]
    fn one_inode_under_two_paths_is_two_files() {
        let mut cache = FileCache::default();
        let one = key_of(&cache, 1, "/lower/a");
        cache.insert(one, STAMP, Known::Plain);
        let other = key_of(&cache, 1, "/upper/b");
        assert!(cache.get(&other).is_none());
    }
}
