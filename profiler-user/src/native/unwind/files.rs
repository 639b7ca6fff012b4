//! The files that processes execute: each once, whoever maps it, by build id where there is one.
//!
//! Used by [`super::tables`]. A file that nobody maps any more is kept: the next process of its kind finds its tables
//! loaded. It goes when room is needed.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Instant;

use super::extents::Extents;
use super::image::{Bytes, Image, TableError};
use super::worker::Place;
use crate::proc::file::{FileError, MappedFile, Stamp};
use crate::proc::maps::{FileId, Mapping};

/// Ways to a file that are remembered: as many processes that map it.
const MAX_PLACES: usize = 4;
/// Files remembered, at most; a busy host maps a few thousand.
const MAX_FILES: usize = 16_384;
/// Files that have nothing to unwind by that are remembered, at most.
const MAX_PLAIN: usize = 16_384;

/// Names a file for as long as the profiler runs; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileNumber(pub(super) u32);

/// A file as processes name it. (Overlay file systems may show one device and inode for two files, so the path belongs
/// to the key.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileKey {
    file: FileId,
    path: u64,
    size: u64,
    modified_s: i64,
    modified_ns: u64,
}

/// Files that have this in common have the same code at the same addresses.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ContentKey {
    id: Box<[u8]>,
    digest: u64,
}

/// What is in a block's place in the kernel's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockState {
    /// Nothing.
    Absent,
    /// Nothing yet.
    Asked,
    /// Rows: the index among the loaded ones.
    Loaded(u32),
    /// `BLOCK_HOPELESS`.
    Hopeless,
}

/// A file with unwind tables.
#[derive(Debug)]
pub(super) struct FileEntry {
    pub(super) image: Image,
    pub(super) first_block: u32,
    pub(super) blocks: Box<[BlockState]>,
    /// The background loads it, or has.
    pub(super) is_whole: bool,
    places: VecDeque<Place>,
    users: u32,
    left: u64,
    keys: Vec<FileKey>,
    content: Option<ContentKey>,
}

impl FileEntry {
    /// How to read it.
    pub(super) fn place(&self) -> Option<&Place> {
        self.places.back()
    }

    /// Forgets a way that led nowhere.
    pub(super) fn forget_place(&mut self) {
        self.places.pop_back();
    }
}

/// What code of a file is unwound by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Tables.
    Tables(FileNumber),
    /// Not a file with call frame information.
    Plain,
    /// It could not be read, or is refused.
    Refused,
}

/// All files.
#[derive(Debug)]
pub(super) struct Files {
    by_number: HashMap<FileNumber, FileEntry>,
    by_key: HashMap<FileKey, FileNumber>,
    by_content: HashMap<ContentKey, FileNumber>,
    plain: HashMap<FileKey, Kind>,
    directory: Extents,
    hasher: RandomState,
    next_number: u32,
    clock: u64,
}

impl Files {
    /// With a directory of so many blocks.
    pub(super) fn new(blocks: u32) -> Self {
        Self {
            by_number: HashMap::new(),
            by_key: HashMap::new(),
            by_content: HashMap::new(),
            plain: HashMap::new(),
            directory: Extents::new(blocks),
            hasher: RandomState::new(),
            next_number: 0,
            clock: 0,
        }
    }

    pub(super) fn get(&self, file: FileNumber) -> Option<&FileEntry> {
        self.by_number.get(&file)
    }

    pub(super) fn get_mut(&mut self, file: FileNumber) -> Option<&mut FileEntry> {
        self.by_number.get_mut(&file)
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Blocks of the directory that are given out.
    pub(super) fn directory_in_use(&self) -> u32 {
        self.directory.capacity() - self.directory.free() - self.directory.resting()
    }

    /// What the file behind a mapping is; reads its headers when it is new.
    pub(super) fn of_mapping(&mut self, pid: u32, line: &[u8], mapping: &Mapping<'_>, now: Instant) -> Kind {
        let found = match MappedFile::find(pid, mapping) {
            Ok(found) => found,
            Err(FileError::NotRegular) => return Kind::Plain,
            Err(_) => return Kind::Refused,
        };
        let stamp = found.stamp();
        let key = self.key(mapping, stamp);
        if let Some(&kind) = self.plain.get(&key) {
            return kind;
        }
        let place = || Place::Mapped {
            pid,
            line: line.into(),
            stamp,
        };
        if let Some(&number) = self.by_key.get(&key) {
            self.add_place(number, place());
            return Kind::Tables(number);
        }
        let Ok(file) = found.open() else {
            return Kind::Refused;
        };
        let image = Image::open(Bytes::File(Arc::new(file)));
        let kind = self.of_image(image, Some(key), place(), now);
        if !matches!(kind, Kind::Tables(_)) {
            if self.plain.len() >= MAX_PLAIN {
                self.plain.clear();
            }
            self.plain.insert(key, kind);
        }
        kind
    }

    /// What an ELF file in memory is: the vDSO.
    pub(super) fn of_memory(&mut self, bytes: &[u8], now: Instant) -> Kind {
        let bytes: Arc<[u8]> = bytes.into();
        let key = FileKey {
            file: FileId::default(),
            path: self.hasher.hash_one(&bytes),
            size: bytes.len() as u64,
            modified_s: 0,
            modified_ns: 0,
        };
        if let Some(&number) = self.by_key.get(&key) {
            return Kind::Tables(number);
        }
        let image = Image::open(Bytes::Memory(bytes.clone()));
        self.of_image(image, Some(key), Place::Memory(bytes), now)
    }

    fn of_image(
        &mut self,
        image: Result<Image, TableError>,
        key: Option<FileKey>,
        place: Place,
        now: Instant,
    ) -> Kind {
        let image = match image {
            Ok(image) if image.has_frame_information() && image.block_count() > 0 => image.closed(),
            Ok(_) | Err(TableError::NotSupported) => return Kind::Plain,
            Err(_) => return Kind::Refused,
        };
        let content = image.build_id().map(|id| ContentKey {
            id: id.into(),
            digest: image.digest(),
        });
        if let Some(&number) = content.as_ref().and_then(|content| self.by_content.get(content)) {
            self.by_key.extend(key.map(|key| (key, number)));
            if let Some(entry) = self.by_number.get_mut(&number) {
                entry.keys.extend(key);
            }
            self.add_place(number, place);
            return Kind::Tables(number);
        }
        let Some(first_block) = self.directory.take(image.block_count(), now) else {
            return Kind::Refused;
        };
        let number = FileNumber(self.next_number);
        self.next_number = self.next_number.wrapping_add(1);
        self.by_key.extend(key.map(|key| (key, number)));
        self.by_content
            .extend(content.clone().map(|content| (content, number)));
        let blocks = vec![BlockState::Absent; image.block_count() as usize].into_boxed_slice();
        let entry = FileEntry {
            image,
            first_block,
            blocks,
            is_whole: false,
            places: VecDeque::from([place]),
            users: 0,
            left: self.clock,
            keys: key.into_iter().collect(),
            content,
        };
        self.by_number.insert(number, entry);
        Kind::Tables(number)
    }

    fn key(&self, mapping: &Mapping<'_>, stamp: Stamp) -> FileKey {
        FileKey {
            file: mapping.file,
            path: self.hasher.hash_one(mapping.path()),
            size: stamp.size,
            modified_s: stamp.modified_s,
            modified_ns: stamp.modified_ns,
        }
    }

    fn add_place(&mut self, number: FileNumber, place: Place) {
        let Some(entry) = self.by_number.get_mut(&number) else {
            return;
        };
        if matches!(entry.places.back(), Some(Place::Memory(_))) {
            return;
        }
        if entry.places.len() >= MAX_PLACES {
            entry.places.pop_front();
        }
        entry.places.push_back(place);
    }

    /// A list of mappings names it.
    pub(super) fn enter(&mut self, file: FileNumber) {
        if let Some(entry) = self.by_number.get_mut(&file) {
            entry.users += 1;
        }
    }

    /// A list that named it is gone.
    pub(super) fn leave(&mut self, file: FileNumber) {
        self.clock += 1;
        if let Some(entry) = self.by_number.get_mut(&file) {
            entry.users = entry.users.saturating_sub(1);
            entry.left = self.clock;
        }
    }

    /// Whether files have to go before more can come: too many, or the directory is nearly full.
    pub(super) fn is_crowded(&self) -> bool {
        let left = self.directory.free() + self.directory.resting();
        self.by_number.len() >= MAX_FILES || left < self.directory.capacity() / 8
    }

    /// The file that has been out of use for longest.
    pub(super) fn idle(&self) -> Option<FileNumber> {
        self.by_number
            .iter()
            .filter(|(_, entry)| entry.users == 0)
            .min_by_key(|(_, entry)| entry.left)
            .map(|(&number, _)| number)
    }

    /// Forgets a file whose blocks have been taken out of the directory.
    pub(super) fn remove(&mut self, file: FileNumber, now: Instant) {
        let Some(entry) = self.by_number.remove(&file) else {
            return;
        };
        for key in &entry.keys {
            self.by_key.remove(key);
        }
        if let Some(content) = &entry.content {
            self.by_content.remove(content);
        }
        let count = u32::try_from(entry.blocks.len()).unwrap_or(0);
        self.directory.give(entry.first_block, count, now);
    }
}
