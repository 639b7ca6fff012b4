//! Decides what is in the kernel's maps: mapping lists of processes, and blocks of rows of the files they execute.
//!
//! Used by the session, which tells of processes and of what samples needed, and gives the maps.

mod loading;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use profiler_common::contract::reasons::NativeStatus;
use profiler_common::contract::unwind::{BLOCK_SHIFT, ROWS_PER_PAGE, mapping_kind};
use tokio::sync::Notify;

use super::blocks::Blocks;
use super::compiler::Compiler;
use super::extents::Extents;
use super::file::CompiledBlock;
use super::files::{BlockState, FileNumber, Files};
use super::interface::{Located, Needed, Space, Statistics};
use super::spaces::List;

use crate::ids::ProcessKey;
use crate::inspect::{self, Opener};
use crate::table_maps::{Capacity, TableMaps};

/// How often a process's maps are read again for code in no mapping, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Blocks that samples need and the worker has not been asked for, at most.
const MAX_NEEDED: usize = 4096;
/// Entries of the cache from pages of code to blocks; a power of two.
const TOUCHED: usize = 4096;

/// A process with a list.
#[derive(Debug)]
struct Member {
    space: u32,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct SpaceEntry {
    list: List,
    first_mapping: u32,
    users: u32,
}

/// The manager. Everything but compiling happens in calls to it; nothing blocks.
#[derive(Debug)]
pub struct Tables {
    files: Files,
    blocks: Blocks,
    mappings: Extents,
    processes: HashMap<ProcessKey, Member>,
    spaces: HashMap<u32, SpaceEntry>,
    /// Lists that are the same in every process that has these lines.
    by_lines: HashMap<u64, u32>,
    next_space: u32,
    compiler: Compiler,
    ready: Arc<Notify>,
    outstanding: usize,
    needed: VecDeque<(FileNumber, u32)>,
    background: VecDeque<(FileNumber, u32)>,
    waiting: VecDeque<(FileNumber, u32, CompiledBlock)>,
    /// Blocks of files that did not come in time, and when they are asked for again.
    late: VecDeque<(Instant, FileNumber, u32)>,
    /// `(space, page of code)` to the index of a file's block.
    touched: Box<[Touched]>,
    statistics: Statistics,
}

#[derive(Clone, Copy, Debug, Default)]
struct Touched {
    space: u32,
    page: u64,
    block: Option<(FileNumber, u32)>,
}

impl Tables {
    /// With empty maps; starts the worker, which is given files that `opener` has opened.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(capacity: Capacity, opener: Opener) -> std::io::Result<Self> {
        let ready = Arc::new(Notify::new());
        Ok(Self {
            files: Files::new(capacity.blocks),
            blocks: Blocks::new(capacity.row_pages),
            mappings: Extents::new(capacity.mappings),
            processes: HashMap::new(),
            spaces: HashMap::new(),
            by_lines: HashMap::new(),
            next_space: 0,
            compiler: Compiler::start(opener, ready.clone())?,
            ready,
            outstanding: 0,
            needed: VecDeque::new(),
            background: VecDeque::new(),
            waiting: VecDeque::new(),
            late: VecDeque::new(),
            touched: vec![Touched::default(); TOUCHED].into_boxed_slice(),
            statistics: Statistics::default(),
        })
    }

    /// Notified when [`Self::pump`] has something to do.
    #[must_use]
    pub fn work_ready(&self) -> Arc<Notify> {
        self.ready.clone()
    }

    /// Whether tables are being compiled or wait for it.
    #[must_use]
    pub fn is_loading(&self) -> bool {
        self.outstanding > 0
            || !self.waiting.is_empty()
            || !self.needed.is_empty()
            || !self.background.is_empty()
    }

    /// Whether tables wait for files that were late.
    #[must_use]
    pub fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// What is known of the lines of a process's mappings, for whoever looks at them again.
    #[must_use]
    pub fn known_lines(&self, key: ProcessKey) -> Option<u64> {
        let process = self.processes.get(&key)?;
        let list = &self.spaces.get(&process.space)?.list;
        (!list.is_unfinished).then_some(list.name)
    }

    /// A process appeared, or its mappings have changed: this is what was found.
    ///
    /// # Errors
    /// When a map refuses; the process keeps the list it had.
    pub fn enter<M: TableMaps>(
        &mut self,
        maps: &mut M,
        key: ProcessKey,
        found: inspect::Space,
    ) -> Result<Space, M::Error> {
        let now = Instant::now();
        if let Some(process) = self.processes.get(&key)
            && let Some(entry) = self.spaces.get(&process.space)
            && entry.list.is_of(&found)
        {
            return Ok(self.space(process.space));
        }
        if let Some(&number) = self.by_lines.get(&found.lines)
            && let Some(entry) = self.spaces.get_mut(&number)
            && entry.list.is_of(&found)
        {
            entry.users += 1;
            self.move_to(key, number, now);
            return Ok(self.space(number));
        }
        self.make_room_for_files(maps)?;
        let list = List::new(found, &mut self.files, now);
        self.statistics.refused_mappings += u64::from(list.refused);
        self.statistics.cut_lists += u64::from(list.is_cut);
        let count = u32::try_from(list.stretches.len()).unwrap_or(0);
        let Some(first_mapping) = self.mappings.take(count, now) else {
            self.statistics.lists_without_room += 1;
            self.leave(key);
            return Ok(Space::default());
        };
        self.next_space = self.next_space.checked_add(1).unwrap_or(1);
        let number = self.next_space;
        for (index, stretch) in (first_mapping..).zip(&list.stretches) {
            maps.set_mapping(index, &stretch.mapping(number, &self.files))?;
        }
        list.files().for_each(|file| self.files.enter(file));
        self.load_in_background(&list);
        if !list.is_particular && !list.is_unfinished {
            self.by_lines.insert(list.name, number);
        }
        let entry = SpaceEntry {
            list,
            first_mapping,
            users: 1,
        };
        self.spaces.insert(number, entry);
        self.move_to(key, number, now);
        self.feed();
        Ok(self.space(number))
    }

    /// A process forked: the child has the parent's list. `None` when the parent has none.
    pub fn fork(&mut self, parent: ProcessKey, child: ProcessKey) -> Option<Space> {
        let number = self.processes.get(&parent)?.space;
        self.spaces.get_mut(&number)?.users += 1;
        self.move_to(child, number, Instant::now());
        Some(self.space(number))
    }

    /// A process is gone, or became another by exec.
    pub fn leave(&mut self, key: ProcessKey) {
        if let Some(process) = self.processes.remove(&key) {
            self.release(process.space, Instant::now());
        }
    }

    /// A process's list, as [`Self::enter`] returned it last.
    #[must_use]
    pub fn space_of(&self, key: ProcessKey) -> Option<Space> {
        self.processes.get(&key).map(|process| self.space(process.space))
    }

    fn space(&self, number: u32) -> Space {
        self.spaces
            .get(&number)
            .map_or_else(Space::default, |entry| Space {
                space: number,
                first_mapping: entry.first_mapping,
                mapping_count: u32::try_from(entry.list.stretches.len()).unwrap_or(0),
            })
    }

    fn move_to(&mut self, key: ProcessKey, space: u32, now: Instant) {
        let process = Member { space, looked: None };
        if let Some(old) = self.processes.insert(key, process) {
            self.release(old.space, now);
        }
    }

    fn release(&mut self, number: u32, now: Instant) {
        let Some(entry) = self.spaces.get_mut(&number) else {
            return;
        };
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        if let Some(entry) = self.spaces.remove(&number) {
            let count = u32::try_from(entry.list.stretches.len()).unwrap_or(0);
            self.mappings.give(entry.first_mapping, count, now);
            entry.list.files().for_each(|file| self.files.leave(file));
            if self.by_lines.get(&entry.list.name) == Some(&number) {
                self.by_lines.remove(&entry.list.name);
            }
        }
    }

    /// A sample's native stack ended at `pc` because its table or its mapping was missing.
    pub fn need(&mut self, key: ProcessKey, pc: u64, status: NativeStatus) -> Needed {
        let Some(process) = self.processes.get(&key) else {
            return Needed::Nothing;
        };
        let (space, looked) = (process.space, process.looked);
        match status {
            NativeStatus::NoTable => self.ask_for(space, pc),
            // The kernel half still has an older list: a child was forked before its parent got this one.
            NativeStatus::NoMapping if self.is_mapped(space, pc) => return Needed::List(self.space(space)),
            NativeStatus::NoMapping => {
                let is_recent = |looked: Instant| looked.elapsed() < LOOK_EVERY;
                if !looked.is_some_and(is_recent) {
                    return Needed::Look;
                }
            }
            _ => {}
        }
        Needed::Nothing
    }

    /// A process was looked at because of code at `pc`. It is not looked at again for a while if nothing is there.
    pub fn looked(&mut self, key: ProcessKey, pc: u64) {
        let Some(space) = self.processes.get(&key).map(|process| process.space) else {
            return;
        };
        let is_found = self.is_mapped(space, pc);
        if let Some(process) = self.processes.get_mut(&key)
            && !is_found
        {
            process.looked = Some(Instant::now());
        }
        self.ask_for(space, pc);
    }

    fn is_mapped(&self, space: u32, pc: u64) -> bool {
        let entry = self.spaces.get(&space);
        entry.is_some_and(|entry| entry.list.find(pc).is_some())
    }

    /// Puts the block of an address first. A return address may be the first byte after its block.
    fn ask_for(&mut self, space: u32, pc: u64) {
        for pc in [pc, pc.wrapping_sub(1)] {
            let Some((file, block)) = self.find_block(space, pc) else {
                continue;
            };
            let Some(state) = self.state_mut(file, block) else {
                continue;
            };
            if *state != BlockState::Absent {
                continue;
            }
            if self.needed.len() >= MAX_NEEDED {
                self.statistics.dropped_requests += 1;
                continue;
            }
            *self.state_mut(file, block).unwrap_or(&mut BlockState::Asked) = BlockState::Asked;
            self.needed.push_back((file, block));
            self.statistics.needed += 1;
            self.hurry(file);
        }
        self.feed();
    }

    /// What uses one block of a file soon uses others.
    fn hurry(&mut self, file: FileNumber) {
        let place = self.background.iter().position(|(waiting, _)| *waiting == file);
        if let Some(waiting) = place.and_then(|place| self.background.remove(place)) {
            self.background.push_front(waiting);
        }
    }

    fn state_mut(&mut self, file: FileNumber, block: u32) -> Option<&mut BlockState> {
        self.files.get_mut(file)?.blocks.get_mut(block as usize)
    }

    fn find_block(&self, space: u32, pc: u64) -> Option<(FileNumber, u32)> {
        let stretch = self.spaces.get(&space)?.list.find(pc)?;
        if stretch.kind != mapping_kind::TABLE {
            return None;
        }
        let file = stretch.file?;
        let block = (pc.wrapping_sub(stretch.bias) >> BLOCK_SHIFT)
            .checked_sub(self.files.get(file)?.text.text_block().into())?;
        Some((file, u32::try_from(block).ok()?))
    }

    /// Program counters of native frames that samples had: their blocks stay loaded.
    pub fn touch(&mut self, key: ProcessKey, pcs: impl IntoIterator<Item = u64>) {
        let Some(space) = self.processes.get(&key).map(|process| process.space) else {
            return;
        };
        for pc in pcs {
            let page = pc >> 12;
            let slot = (page ^ u64::from(space).wrapping_mul(0x9e37_79b9)) as usize % TOUCHED;
            let mut touched = self.touched[slot];
            if (touched.space, touched.page) != (space, page) {
                touched = Touched {
                    space,
                    page,
                    block: self.find_block(space, pc),
                };
                self.touched[slot] = touched;
            }
            if let Some((file, block)) = touched.block
                && let Some(entry) = self.files.get(file)
                && let Some(&BlockState::Loaded(at)) = entry.blocks.get(block as usize)
            {
                self.blocks.touch(at);
            }
        }
    }

    /// What a program counter of a process belongs to.
    #[must_use]
    pub fn locate(&self, key: ProcessKey, pc: u64) -> Option<Located<'_>> {
        let process = self.processes.get(&key)?;
        let mapping = self.spaces.get(&process.space)?.list.find(pc)?;
        Some(Located {
            tgid: key.tgid,
            mapping,
            static_address: mapping.static_address(pc),
        })
    }

    fn make_room_for_files<M: TableMaps>(&mut self, maps: &mut M) -> Result<(), M::Error> {
        while self.files.is_crowded()
            && let Some(file) = self.files.idle()
        {
            self.blocks.remove_file(maps, &mut self.files, file)?;
            self.files.remove(file, Instant::now());
            self.touched.fill(Touched::default());
        }
        Ok(())
    }

    /// What has been done so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        Statistics {
            processes: self.processes.len(),
            spaces: self.spaces.len(),
            files: self.files.len(),
            directory_blocks: self.files.directory_in_use(),
            loaded_blocks: self.blocks.len(),
            rows: self.blocks.rows(),
            row_bytes: u64::from(self.blocks.pages_in_use()) * 8 * ROWS_PER_PAGE as u64,
            evicted: self.blocks.evicted,
            ..self.statistics
        }
    }
}
