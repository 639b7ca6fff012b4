//! Which rows are in the kernel, which blocks of which files they serve, and which rows go when the pages run short.
//!
//! Used by [`super::tables`]. Rows are kept once however many blocks have them: copies of a library in many containers cost
//! compiling, not room. They are compared as they are, so a file that only claims to be a copy shares nothing.
//!
//! Second chance: rows that a sample has used since the last look stay. A block's directory entry is cleared before its
//! pages rest, so that nobody begins to read what is about to be overwritten.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Instant;

use profiler_common::contract::unwind::{
    BLOCK_FRAME_POINTERS, BLOCK_HOPELESS, BLOCK_LOADED, Block, ROWS_PER_PAGE, Row,
};

use super::extents::Extents;
use super::file::CompiledBlock;
use super::files::{BlockState, FileNumber, Files};
use crate::table_maps::TableMaps;

/// A block of a file.
type FileBlock = (FileNumber, u32);

/// Rows that are in the kernel.
#[derive(Debug)]
struct LoadedRows {
    /// The blocks whose directory entries lead to them; never none.
    blocks: Vec<FileBlock>,
    digest: Digest,
    page: u32,
    pages: u32,
    rows: u32,
    /// A sample was there since the last look.
    is_used: bool,
}

/// Tells rows apart: two hashes under keys that nobody outside knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Digest(u64, u64);

/// All loaded rows.
#[derive(Debug)]
pub(super) struct Blocks {
    loaded: Vec<LoadedRows>,
    by_digest: HashMap<Digest, u32>,
    secrets: (RandomState, RandomState),
    /// The next one to be looked at.
    hand: usize,
    pages: Extents,
    rows: u64,
    pub(super) evicted: u64,
}

/// What became of a block that was to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is there.
    Loaded,
    /// Pages are not there yet.
    NoRoom,
}

impl Blocks {
    pub(super) fn new(pages: u32) -> Self {
        Self {
            loaded: Vec::new(),
            by_digest: HashMap::new(),
            secrets: (RandomState::new(), RandomState::new()),
            hand: 0,
            pages: Extents::new(pages),
            rows: 0,
            evicted: 0,
        }
    }

    /// Blocks whose rows are in the kernel.
    pub(super) fn len(&self) -> usize {
        self.loaded.iter().map(|loaded| loaded.blocks.len()).sum()
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    pub(super) fn pages_in_use(&self) -> u32 {
        self.pages.capacity() - self.pages.free() - self.pages.resting()
    }

    /// Whether there is room for what nobody has needed yet.
    pub(super) fn has_spare_pages(&self) -> bool {
        self.pages.free() > self.pages.capacity() / 4
    }

    /// When pages will have rested.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.pages.next_wake()
    }

    /// Marks a block as used.
    pub(super) fn touch(&mut self, loaded: u32) {
        if let Some(loaded) = self.loaded.get_mut(loaded as usize) {
            loaded.is_used = true;
        }
    }

    /// Writes rows, unless they are there, then the directory entry that leads to them.
    pub(super) fn write<M: TableMaps>(
        &mut self,
        maps: &mut M,
        files: &mut Files,
        (file, block): FileBlock,
        compiled: &CompiledBlock,
        now: Instant,
    ) -> Result<Written, M::Error> {
        let Some(entry) = files.get_mut(file) else {
            return Ok(Written::Loaded);
        };
        let digest = self.digest(&compiled.rows);
        let at = match self.by_digest.get(&digest) {
            Some(&at) => at,
            None => match self.load(maps, digest, &compiled.rows, now)? {
                Some(at) => at,
                None => return Ok(Written::NoRoom),
            },
        };
        let Some(loaded) = self.loaded.get_mut(at as usize) else {
            return Ok(Written::Loaded);
        };
        let frame_pointers = if compiled.frame_pointers {
            BLOCK_FRAME_POINTERS
        } else {
            0
        };
        let value = Block {
            first_row: loaded.page * ROWS_PER_PAGE as u32,
            row_count: u16::try_from(compiled.rows.len()).unwrap_or(0),
            flags: BLOCK_LOADED | frame_pointers,
        };
        loaded.blocks.push((file, block));
        loaded.is_used = true;
        if let Some(state) = entry.blocks.get_mut(block as usize) {
            *state = BlockState::Loaded(at);
        }
        maps.set_block(entry.first_block + block, value)?;
        Ok(Written::Loaded)
    }

    fn digest(&self, rows: &[Row]) -> Digest {
        let words: Vec<u64> = rows.iter().map(|row| row.0).collect();
        Digest(self.secrets.0.hash_one(&words), self.secrets.1.hash_one(&words))
    }

    /// Writes rows that no block leads to yet; `None` when pages are not there yet.
    fn load<M: TableMaps>(
        &mut self,
        maps: &mut M,
        digest: Digest,
        rows: &[Row],
        now: Instant,
    ) -> Result<Option<u32>, M::Error> {
        let pages = u32::try_from(rows.len().div_ceil(ROWS_PER_PAGE)).unwrap_or(u32::MAX);
        let Some(page) = self.pages.take(pages, now) else {
            return Ok(None);
        };
        for (number, rows) in (page..).zip(rows.chunks(ROWS_PER_PAGE)) {
            let mut words = [0; ROWS_PER_PAGE];
            for (word, row) in words.iter_mut().zip(rows) {
                *word = row.0;
            }
            maps.set_rows(number, &words)?;
        }
        let at = u32::try_from(self.loaded.len()).unwrap_or(u32::MAX);
        let rows = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        self.rows += u64::from(rows);
        self.by_digest.insert(digest, at);
        self.loaded.push(LoadedRows {
            blocks: Vec::new(),
            digest,
            page,
            pages,
            rows,
            is_used: true,
        });
        Ok(Some(at))
    }

    /// Says that there is nothing to load.
    pub(super) fn give_up<M: TableMaps>(
        maps: &mut M,
        files: &mut Files,
        (file, block): FileBlock,
    ) -> Result<(), M::Error> {
        let Some(entry) = files.get_mut(file) else {
            return Ok(());
        };
        let value = Block {
            first_row: 0,
            row_count: 0,
            flags: BLOCK_HOPELESS,
        };
        maps.set_block(entry.first_block + block, value)?;
        if let Some(state) = entry.blocks.get_mut(block as usize) {
            *state = BlockState::Hopeless;
        }
        Ok(())
    }

    /// Evicts until `count` pages are on their way to be free, or nothing is loaded.
    pub(super) fn make_room<M: TableMaps>(
        &mut self,
        maps: &mut M,
        files: &mut Files,
        count: u32,
    ) -> Result<(), M::Error> {
        // Each block is passed over once at most.
        let mut looks = 2 * self.loaded.len();
        while self.pages.resting() < count && looks > 0 && !self.loaded.is_empty() {
            looks -= 1;
            self.hand %= self.loaded.len();
            let loaded = &mut self.loaded[self.hand];
            if std::mem::take(&mut loaded.is_used) {
                self.hand += 1;
            } else {
                self.evict(maps, files, self.hand)?;
                self.evicted += 1;
            }
        }
        Ok(())
    }

    /// Takes out all blocks of a file.
    pub(super) fn remove_file<M: TableMaps>(
        &mut self,
        maps: &mut M,
        files: &mut Files,
        file: FileNumber,
    ) -> Result<(), M::Error> {
        let Some(entry) = files.get(file) else {
            return Ok(());
        };
        let first = entry.first_block;
        let states = entry.blocks.clone();
        for (block, state) in (0..).zip(states) {
            match state {
                // Indexes change when rows go.
                BlockState::Loaded(_) => {
                    let at = files.get(file).and_then(|entry| entry.blocks.get(block as usize));
                    if let Some(&BlockState::Loaded(at)) = at {
                        self.remove_block(maps, files, at as usize, (file, block))?;
                    }
                }
                BlockState::Hopeless => maps.set_block(first + block, Block::default())?,
                BlockState::Absent | BlockState::Asked => {}
            }
        }
        Ok(())
    }

    /// Takes one block off its rows; the last one takes them along.
    fn remove_block<M: TableMaps>(
        &mut self,
        maps: &mut M,
        files: &mut Files,
        at: usize,
        block: FileBlock,
    ) -> Result<(), M::Error> {
        let Some(loaded) = self.loaded.get_mut(at) else {
            return Ok(());
        };
        if loaded.blocks.len() == 1 {
            return self.evict(maps, files, at);
        }
        loaded.blocks.retain(|other| *other != block);
        clear(maps, files, block)
    }

    fn evict<M: TableMaps>(&mut self, maps: &mut M, files: &mut Files, at: usize) -> Result<(), M::Error> {
        let Some(loaded) = self.loaded.get(at) else {
            return Ok(());
        };
        for &block in &loaded.blocks {
            clear(maps, files, block)?;
        }
        let gone = self.loaded.swap_remove(at);
        self.by_digest.remove(&gone.digest);
        self.rows -= u64::from(gone.rows);
        // The rest begins now, not when this round of work began.
        self.pages.give(gone.page, gone.pages, Instant::now());
        if let Some(moved) = self.loaded.get(at) {
            let now_at = u32::try_from(at).unwrap_or(u32::MAX);
            self.by_digest.insert(moved.digest, now_at);
            for &block in &moved.blocks {
                if let Some(state) = files.block_mut(block) {
                    *state = BlockState::Loaded(now_at);
                }
            }
        }
        Ok(())
    }
}

/// Makes a block's directory entry lead nowhere.
fn clear<M: TableMaps>(maps: &mut M, files: &mut Files, block: FileBlock) -> Result<(), M::Error> {
    if let Some(entry) = files.get(block.0) {
        maps.set_block(entry.first_block + block.1, Block::default())?;
    }
    if let Some(state) = files.block_mut(block) {
        *state = BlockState::Absent;
    }
    Ok(())
}
