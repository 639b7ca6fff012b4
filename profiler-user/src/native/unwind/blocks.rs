//! Which blocks are loaded, and which goes when the pages run short.
//!
//! Used by [`super::tables`]. Second chance: a block that a sample has used since the last look stays. A block's directory
//! entry is cleared before its pages rest, so that nobody begins to read what is about to be overwritten.

use std::time::Instant;

use profiler_common::contract::unwind::{
    BLOCK_FRAME_POINTERS, BLOCK_HOPELESS, BLOCK_LOADED, Block, ROWS_PER_PAGE,
};

use super::extents::Extents;
use super::file::CompiledBlock;
use super::files::{BlockState, FileNumber, Files};
use crate::table_maps::TableMaps;

/// A block whose rows are in the kernel.
#[derive(Debug)]
struct Loaded {
    file: FileNumber,
    block: u32,
    page: u32,
    pages: u32,
    rows: u32,
    /// A sample was there since the last look.
    is_used: bool,
}

/// All loaded blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    loaded: Vec<Loaded>,
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
            hand: 0,
            pages: Extents::new(pages),
            rows: 0,
            evicted: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.loaded.len()
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

    /// Writes rows, then the directory entry that leads to them.
    pub(super) fn write<M: TableMaps>(
        &mut self,
        maps: &mut M,
        files: &mut Files,
        (file, block): (FileNumber, u32),
        compiled: &CompiledBlock,
        now: Instant,
    ) -> Result<Written, M::Error> {
        let Some(entry) = files.get_mut(file) else {
            return Ok(Written::Loaded);
        };
        let count = u32::try_from(compiled.rows.len().div_ceil(ROWS_PER_PAGE)).unwrap_or(u32::MAX);
        let Some(page) = self.pages.take(count, now) else {
            return Ok(Written::NoRoom);
        };
        let directory = entry.first_block + block;
        for (number, rows) in (page..).zip(compiled.rows.chunks(ROWS_PER_PAGE)) {
            let mut words = [0; ROWS_PER_PAGE];
            for (word, row) in words.iter_mut().zip(rows) {
                *word = row.0;
            }
            maps.set_rows(number, &words)?;
        }
        let frame_pointers = if compiled.frame_pointers {
            BLOCK_FRAME_POINTERS
        } else {
            0
        };
        let value = Block {
            first_row: page * ROWS_PER_PAGE as u32,
            row_count: u16::try_from(compiled.rows.len()).unwrap_or(0),
            flags: BLOCK_LOADED | frame_pointers,
        };
        maps.set_block(directory, value)?;
        if let Some(state) = entry.blocks.get_mut(block as usize) {
            *state = BlockState::Loaded(u32::try_from(self.loaded.len()).unwrap_or(u32::MAX));
        }
        let rows = u32::try_from(compiled.rows.len()).unwrap_or(u32::MAX);
        self.rows += u64::from(rows);
        self.loaded.push(Loaded {
            file,
            block,
            page,
            pages: count,
            rows,
            is_used: true,
        });
        Ok(Written::Loaded)
    }

    /// Says that there is nothing to load.
    pub(super) fn give_up<M: TableMaps>(
        maps: &mut M,
        files: &mut Files,
        (file, block): (FileNumber, u32),
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
                // Indexes change when a block goes.
                BlockState::Loaded(_) => {
                    let at = files.get(file).and_then(|entry| entry.blocks.get(block as usize));
                    if let Some(&BlockState::Loaded(at)) = at {
                        self.evict(maps, files, at as usize)?;
                    }
                }
                BlockState::Hopeless => maps.set_block(first + block, Block::default())?,
                BlockState::Absent | BlockState::Asked => {}
            }
        }
        Ok(())
    }

    fn evict<M: TableMaps>(&mut self, maps: &mut M, files: &mut Files, at: usize) -> Result<(), M::Error> {
        let Some(loaded) = self.loaded.get(at) else {
            return Ok(());
        };
        if let Some(entry) = files.get_mut(loaded.file) {
            maps.set_block(entry.first_block + loaded.block, Block::default())?;
            if let Some(state) = entry.blocks.get_mut(loaded.block as usize) {
                *state = BlockState::Absent;
            }
        }
        let gone = self.loaded.swap_remove(at);
        self.rows -= u64::from(gone.rows);
        // The rest begins now, not when this round of work began.
        self.pages.give(gone.page, gone.pages, Instant::now());
        if let Some(moved) = self.loaded.get(at)
            && let Some(entry) = files.get_mut(moved.file)
            && let Some(state) = entry.blocks.get_mut(moved.block as usize)
        {
            *state = BlockState::Loaded(u32::try_from(at).unwrap_or(u32::MAX));
        }
        Ok(())
    }
}
