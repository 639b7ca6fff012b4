//! The files that processes execute: each once, whoever maps it.
//!
//! Used by [`super::tables`]. A file that nobody maps any more is kept: the next process of its kind finds its tables
//! loaded. It goes when room is needed. Copies of a file are files of their own, whatever build id they claim; what is equal
//! in their tables is shared (see [`super::blocks`]).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::error::TableError;
use super::extents::Extents;
use super::origin::Origin;
use super::text_blocks::TextBlocks;
use crate::elf::Segment;
use crate::inspect::{MappedContent, Reach};
use crate::proc::file::{FileKey, FileName, Stamp};
use crate::proc::maps::Mapping;

/// Ways to a file that are remembered: as many processes that map it.
const MAX_ORIGINS: usize = 4;
/// Files remembered, at most; a busy host maps a few thousand.
const MAX_FILES: usize = 16_384;

/// Names a file for as long as the profiler runs; never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileNumber(pub(super) u32);

/// What is in a block's place in the kernel's directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockState {
    /// Nothing.
    Absent,
    /// Nothing yet.
    Asked,
    /// Rows: their index among the loaded ones.
    Loaded(u32),
    /// `BLOCK_HOPELESS`.
    Hopeless,
}

/// A file with unwind tables.
#[derive(Debug)]
pub(super) struct FileEntry {
    pub(super) text: TextBlocks,
    pub(super) first_block: u32,
    pub(super) blocks: Box<[BlockState]>,
    /// The background loads it, or has.
    pub(super) is_whole: bool,
    origins: VecDeque<Origin>,
    users: u32,
    left: u64,
    key: FileKey,
}

impl FileEntry {
    /// How to read it.
    pub(super) fn origin(&self) -> Option<&Origin> {
        self.origins.back()
    }

    /// Its bytes, if they are those of the image that the kernel maps.
    pub(super) fn image(&self) -> Option<Arc<[u8]>> {
        match self.origin()? {
            Origin::Memory(bytes) => Some(Arc::clone(bytes)),
            Origin::Mapped(_) => None,
        }
    }

    /// Forgets a way that led nowhere.
    pub(super) fn forget_origin(&mut self) {
        self.origins.pop_back();
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
    directory: Extents,
    next_number: u32,
    clock: u64,
}

impl Files {
    /// With a directory of so many blocks.
    pub(super) fn new(blocks: u32) -> Self {
        Self {
            by_number: HashMap::new(),
            by_key: HashMap::new(),
            directory: Extents::new(blocks),
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

    /// What is in a block's place.
    pub(super) fn block_mut(&mut self, (file, block): (FileNumber, u32)) -> Option<&mut BlockState> {
        self.by_number.get_mut(&file)?.blocks.get_mut(block as usize)
    }

    pub(super) fn len(&self) -> usize {
        self.by_number.len()
    }

    /// Blocks of the directory that are given out.
    pub(super) fn directory_in_use(&self) -> u32 {
        self.directory.capacity() - self.directory.free() - self.directory.resting()
    }

    /// What is behind a mapping, and its key. `reach` is how the file is reached, if it is one.
    pub(super) fn of_mapping(
        &mut self,
        mapping: &Mapping<'_>,
        content: &MappedContent,
        reach: Option<&Arc<Reach>>,
        now: Instant,
    ) -> (Kind, Option<FileKey>) {
        let key = reach.map(|reach| FileKey {
            name: FileName::of_mapping(mapping),
            stamp: reach.file.stamp,
        });
        let kind = match (content, reach, key) {
            (MappedContent::Code { segments, .. }, Some(reach), Some(key)) => {
                let origin = Origin::Mapped(Arc::clone(reach));
                match self.by_key.get(&key) {
                    Some(&number) => {
                        self.add_origin(number, origin);
                        Kind::Tables(number)
                    }
                    None => self.add(segments, key, origin, now),
                }
            }
            (MappedContent::Image { bytes, segments }, ..) => {
                return self.of_memory(bytes, segments, now);
            }
            (MappedContent::Plain(_) | MappedContent::Memory { .. }, ..) => Kind::Plain,
            (MappedContent::Code { .. } | MappedContent::Refused(_), ..) => Kind::Refused,
        };
        (kind, key)
    }

    /// What an ELF file in memory is: the vDSO.
    fn of_memory(&mut self, bytes: &[u8], segments: &[Segment], now: Instant) -> (Kind, Option<FileKey>) {
        let key = FileKey {
            name: FileName::of_memory(bytes),
            stamp: Stamp::default(),
        };
        if let Some(&number) = self.by_key.get(&key) {
            return (Kind::Tables(number), Some(key));
        }
        let kind = self.add(segments, key, Origin::Memory(bytes.into()), now);
        (kind, Some(key))
    }

    fn add(&mut self, segments: &[Segment], key: FileKey, origin: Origin, now: Instant) -> Kind {
        let text = match TextBlocks::of_segments(segments) {
            Ok(text) if text.block_count() > 0 => text,
            Ok(_) | Err(TableError::NotSupported) => return Kind::Plain,
            Err(_) => return Kind::Refused,
        };
        let Some(first_block) = self.directory.take(text.block_count(), now) else {
            return Kind::Refused;
        };
        let number = FileNumber(self.next_number);
        self.next_number = self.next_number.wrapping_add(1);
        self.by_key.insert(key, number);
        let blocks = vec![BlockState::Absent; text.block_count() as usize].into_boxed_slice();
        let entry = FileEntry {
            text,
            first_block,
            blocks,
            is_whole: false,
            origins: VecDeque::from([origin]),
            users: 0,
            left: self.clock,
            key,
        };
        self.by_number.insert(number, entry);
        Kind::Tables(number)
    }

    fn add_origin(&mut self, number: FileNumber, origin: Origin) {
        let Some(entry) = self.by_number.get_mut(&number) else {
            return;
        };
        if matches!(entry.origins.back(), Some(Origin::Memory(_))) {
            return;
        }
        if entry.origins.len() >= MAX_ORIGINS {
            entry.origins.pop_front();
        }
        entry.origins.push_back(origin);
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
        self.by_key.remove(&entry.key);
        let count = u32::try_from(entry.blocks.len()).unwrap_or(0);
        self.directory.give(entry.first_block, count, now);
    }
}
