//! Decides what is in the kernel's maps: mapping lists of processes, and blocks of rows of the files they execute.
//!
//! Used by the recorder, which tells of processes and of what samples needed, and gives the maps. See [`super`].

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use profiler_common::reason::NativeStatus;
use profiler_common::unwind::{BLOCK_SHIFT, Block, Mapping, ROWS_PER_PAGE, mapping_kind};
use tokio::sync::Notify;

use super::blocks::{Blocks, Written};
use super::extents::Extents;
use super::file::CompiledBlock;
use super::files::{BlockState, FileNumber, Files};
use super::spaces::{List, Stretch, executable_lines};
use super::worker::{Failure, MAX_OUTSTANDING, Request, Response, Worker};
use crate::code::store::ProcessKey;
use crate::process::ProcessError;
use crate::process::maps::Maps;

/// Files up to this many bytes of text are loaded whole, in the background.
const WHOLE_FILE_BYTES: u64 = 8 << 20;
/// How often a process's maps are read again for code in no mapping, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Blocks that samples need and the worker has not been asked for, at most.
const MAX_NEEDED: usize = 4096;
/// Compiled blocks that wait for pages, at most.
const MAX_WAITING: usize = 32;
/// Entries of the cache from pages of code to blocks; a power of two.
const TOUCHED: usize = 4096;
/// Names that Python programs spend their time in, loaded before others.
const FIRST: &[&[u8]] = &[
    b"libpython",
    b"libc.so",
    b"libc-",
    b"ld-musl",
    b"libm.so",
    b"libpthread",
];

/// The kernel's maps, as the recorder holds them.
pub trait TableMaps {
    /// Why a map could not be written.
    type Error;
    /// Writes an element of `MAPPINGS`.
    ///
    /// # Errors
    /// As the system call.
    fn set_mapping(&mut self, index: u32, mapping: &Mapping) -> Result<(), Self::Error>;
    /// Writes an element of `BLOCKS`.
    ///
    /// # Errors
    /// As the system call.
    fn set_block(&mut self, index: u32, block: Block) -> Result<(), Self::Error>;
    /// Writes an element of `ROWS`.
    ///
    /// # Errors
    /// As the system call.
    fn set_rows(&mut self, page: u32, rows: &[u64; ROWS_PER_PAGE]) -> Result<(), Self::Error>;
}

/// Elements of the kernel's maps.
#[derive(Clone, Copy, Debug)]
pub struct Capacity {
    /// Of `MAPPINGS`.
    pub mappings: u32,
    /// Of `BLOCKS`.
    pub blocks: u32,
    /// Of `ROWS`.
    pub row_pages: u32,
}

/// What the recorder writes into `ProcessEntry`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Space {
    /// `ProcessEntry::space`; 0 when there is no room for the list.
    pub space: u32,
    /// `ProcessEntry::first_mapping`.
    pub first_mapping: u32,
    /// `ProcessEntry::mapping_count`.
    pub mapping_count: u32,
}

/// Why a process has no list of mappings.
#[derive(Debug, thiserror::Error)]
pub enum SpaceError<E> {
    /// `/proc` could not be read; usually the process is gone.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// A map refused.
    #[error("writing the unwind tables")]
    Map(#[source] E),
}

/// Where an address of a process is.
#[derive(Clone, Copy, Debug)]
pub struct Located<'a> {
    /// The process id to reach the mapping by (`/proc/PID/map_files`).
    pub tgid: u32,
    /// The mapping: range, file offset, path, device and inode.
    pub mapping: &'a Stretch,
    /// The address in the file's own terms (its link-time virtual address); `None` for memory without tables.
    pub static_address: Option<u64>,
    /// The file's build id.
    pub build_id: Option<&'a [u8]>,
}

/// What has been done so far, for the end report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Processes with a list.
    pub processes: usize,
    /// Lists: processes that share theirs count once.
    pub spaces: usize,
    /// Files with tables that are known now.
    pub files: usize,
    /// Blocks of the directory in use: text of known files, loaded or not, in units of 64 KiB.
    pub directory_blocks: u32,
    /// Blocks whose rows are in the kernel.
    pub loaded_blocks: usize,
    /// Rows in the kernel.
    pub rows: u64,
    /// Bytes of the kernel's memory that hold them.
    pub row_bytes: u64,
    /// Blocks compiled.
    pub compiled: u64,
    /// Time the worker spent on them.
    pub compile_time: Duration,
    /// Blocks that samples asked for.
    pub needed: u64,
    /// Blocks taken out to make room for others.
    pub evicted: u64,
    /// Blocks that cannot be compiled.
    pub hopeless: u64,
    /// Blocks with more rows than a block can have.
    pub cut_blocks: u64,
    /// Requests dropped because too many were waiting; a later sample asks again.
    pub dropped_requests: u64,
    /// Blocks whose file could not be reached any more: its processes are gone.
    pub unreachable: u64,
    /// Executable mappings that are not unwound: unreadable or malformed files, or no room in the directory.
    pub refused_mappings: u64,
    /// Lists of mappings that were cut.
    pub cut_lists: u64,
    /// Processes for whose list there was no room.
    pub lists_without_room: u64,
}

#[derive(Debug)]
struct Process {
    space: u32,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct SpaceEntry {
    list: List,
    first_mapping: u32,
    hash: u64,
    users: u32,
}

/// The manager. Everything but compiling happens in calls to it; nothing blocks but reads of `/proc` and of the headers of
/// files that are seen for the first time.
#[derive(Debug)]
pub struct Tables {
    files: Files,
    blocks: Blocks,
    mappings: Extents,
    processes: HashMap<ProcessKey, Process>,
    spaces: HashMap<u32, SpaceEntry>,
    /// Lists that are the same in every process that has these lines.
    by_lines: HashMap<u64, u32>,
    next_space: u32,
    worker: Worker,
    ready: Arc<Notify>,
    outstanding: usize,
    needed: VecDeque<(FileNumber, u32)>,
    background: VecDeque<(FileNumber, u32)>,
    waiting: VecDeque<(FileNumber, u32, CompiledBlock)>,
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
    /// With empty maps; starts the worker.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(capacity: Capacity) -> std::io::Result<Self> {
        let ready = Arc::new(Notify::new());
        Ok(Self {
            files: Files::new(capacity.blocks),
            blocks: Blocks::new(capacity.row_pages),
            mappings: Extents::new(capacity.mappings),
            processes: HashMap::new(),
            spaces: HashMap::new(),
            by_lines: HashMap::new(),
            next_space: 0,
            worker: Worker::start(ready.clone())?,
            ready,
            outstanding: 0,
            needed: VecDeque::new(),
            background: VecDeque::new(),
            waiting: VecDeque::new(),
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

    /// A process appeared, or its mappings may have changed. Reads its maps; when they are the same, nothing else.
    ///
    /// # Errors
    /// [`SpaceError`]; the process keeps the list it had.
    pub fn enter<M: TableMaps>(
        &mut self,
        maps: &mut M,
        key: ProcessKey,
        tgid: u32,
    ) -> Result<Space, SpaceError<M::Error>> {
        self.enter_text(maps, key, tgid, executable_lines(&Maps::read(tgid)?))
    }

    fn enter_text<M: TableMaps>(
        &mut self,
        maps: &mut M,
        key: ProcessKey,
        tgid: u32,
        text: Vec<u8>,
    ) -> Result<Space, SpaceError<M::Error>> {
        let now = Instant::now();
        if let Some(process) = self.processes.get(&key)
            && let Some(entry) = self.spaces.get(&process.space)
            && entry.list.text == text
        {
            return Ok(self.space(process.space));
        }
        let hash = hash(&text);
        if let Some(&number) = self.by_lines.get(&hash)
            && let Some(entry) = self.spaces.get_mut(&number)
            && entry.list.text == text
        {
            entry.users += 1;
            self.move_to(key, number, now);
            return Ok(self.space(number));
        }
        self.make_room_for_files(maps).map_err(SpaceError::Map)?;
        let list = List::new(tgid, text, &mut self.files, now)?;
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
            maps.set_mapping(index, &stretch.mapping(number, &self.files))
                .map_err(SpaceError::Map)?;
        }
        list.files().for_each(|file| self.files.enter(file));
        self.load_in_background(&list);
        if !list.is_particular {
            self.by_lines.insert(hash, number);
        }
        let entry = SpaceEntry {
            list,
            first_mapping,
            hash,
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
        let process = Process { space, looked: None };
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
            if self.by_lines.get(&entry.hash) == Some(&number) {
                self.by_lines.remove(&entry.hash);
            }
        }
    }

    /// A sample's native stack ended at `pc` because its table or its mapping was missing. Returns a new list when the
    /// process's mappings have changed.
    ///
    /// # Errors
    /// [`SpaceError`]; the process keeps the list it had.
    pub fn need<M: TableMaps>(
        &mut self,
        maps: &mut M,
        key: ProcessKey,
        pc: u64,
        status: NativeStatus,
    ) -> Result<Option<Space>, SpaceError<M::Error>> {
        let Some(process) = self.processes.get_mut(&key) else {
            return Ok(None);
        };
        let space = process.space;
        let known = self
            .spaces
            .get(&space)
            .is_some_and(|entry| entry.list.find(pc).is_some());
        match status {
            NativeStatus::NoTable => {}
            NativeStatus::NoMapping if !known => {
                let now = Instant::now();
                if process
                    .looked
                    .is_some_and(|looked| now.duration_since(looked) < LOOK_EVERY)
                {
                    return Ok(None);
                }
                let new = self.enter(maps, key, key.tgid)?;
                let is_found = self
                    .spaces
                    .get(&new.space)
                    .is_some_and(|entry| entry.list.find(pc).is_some());
                if let Some(process) = self.processes.get_mut(&key)
                    && !is_found
                {
                    process.looked = Some(now);
                }
                self.ask_for(new.space, pc);
                return Ok((new.space != space).then_some(new));
            }
            _ => return Ok(None),
        }
        self.ask_for(space, pc);
        Ok(None)
    }

    /// Puts the block of an address first. A return address may be the first byte behind its block.
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
        }
        self.feed();
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
            .checked_sub(self.files.get(file)?.image.text_block().into())?;
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
        let entry = mapping.file.and_then(|file| self.files.get(file));
        Some(Located {
            tgid: key.tgid,
            mapping,
            static_address: mapping.static_address(pc),
            build_id: entry.and_then(|entry| entry.image.build_id()),
        })
    }

    /// Files to be loaded whole.
    fn load_in_background(&mut self, list: &List) {
        for stretch in &list.stretches {
            let Some(file) = stretch.file else { continue };
            let Some(entry) = self.files.get_mut(file) else {
                continue;
            };
            if entry.is_whole || entry.image.text_bytes() > WHOLE_FILE_BYTES {
                continue;
            }
            entry.is_whole = true;
            let name = stretch
                .path
                .rsplit(|&byte| byte == b'/')
                .next()
                .unwrap_or_default();
            let is_program = stretch.start == list.stretches.first().map_or(0, |first| first.start);
            if is_program || FIRST.iter().any(|first| name.starts_with(first)) {
                self.background.push_front((file, 0));
            } else {
                self.background.push_back((file, 0));
            }
        }
    }

    /// Hands the worker what is most urgent.
    fn feed(&mut self) {
        while self.outstanding < MAX_OUTSTANDING && self.waiting.len() < MAX_WAITING {
            let Some((file, block)) = self.needed.pop_front().or_else(|| self.next_in_background()) else {
                return;
            };
            let Some(place) = self.files.get(file).and_then(|entry| entry.place().cloned()) else {
                self.statistics.unreachable += 1;
                self.unask(file, block);
                continue;
            };
            let request = Request { file, block, place };
            match self.worker.ask(request) {
                Ok(()) => self.outstanding += 1,
                Err(request) => {
                    self.needed.push_front((request.file, request.block));
                    return;
                }
            }
        }
    }

    fn unask(&mut self, file: FileNumber, block: u32) {
        if let Some(state) = self.state_mut(file, block)
            && *state == BlockState::Asked
        {
            *state = BlockState::Absent;
        }
    }

    fn next_in_background(&mut self) -> Option<(FileNumber, u32)> {
        if !self.blocks.has_spare_pages() {
            return None;
        }
        loop {
            let (file, block) = self.background.front_mut()?;
            let (file, at) = (*file, *block);
            *block += 1;
            match self.state_mut(file, at) {
                Some(state @ BlockState::Absent) => {
                    *state = BlockState::Asked;
                    return Some((file, at));
                }
                Some(_) => {}
                None => {
                    self.background.pop_front();
                }
            }
        }
    }

    /// Writes what the worker has compiled, `budget` blocks at most, and keeps it busy. Returns when to call again although
    /// nothing was notified: at once when the budget was used up, or when pages will have rested.
    ///
    /// # Errors
    /// When a map refuses.
    pub fn pump<M: TableMaps>(&mut self, maps: &mut M, budget: usize) -> Result<Option<Instant>, M::Error> {
        let now = Instant::now();
        for _ in 0..budget {
            let (file, block, compiled) = match self.waiting.pop_front() {
                Some(waiting) => waiting,
                None => match self.worker.answer() {
                    Some(response) => match self.take(maps, response)? {
                        Some(compiled) => compiled,
                        None => continue,
                    },
                    None => {
                        self.feed();
                        return Ok(None);
                    }
                },
            };
            let written = self
                .blocks
                .write(maps, &mut self.files, (file, block), &compiled, now)?;
            if written == Written::NoRoom {
                let pages = u32::try_from(compiled.rows.len().div_ceil(ROWS_PER_PAGE)).unwrap_or(u32::MAX);
                // More than this block needs: the next ones are on their way, and room must be in one piece.
                self.blocks
                    .make_room(maps, &mut self.files, pages.saturating_mul(8))?;
                self.waiting.push_front((file, block, compiled));
                return Ok(self.blocks.next_wake());
            }
            self.feed();
        }
        Ok(Some(now))
    }

    /// Takes an answer of the worker: a block to be written, if it is one.
    fn take<M: TableMaps>(
        &mut self,
        maps: &mut M,
        response: Response,
    ) -> Result<Option<(FileNumber, u32, CompiledBlock)>, M::Error> {
        let Response {
            file,
            block,
            result,
            elapsed,
        } = response;
        self.outstanding -= 1;
        self.statistics.compile_time += elapsed;
        match result {
            Ok(compiled) => {
                self.statistics.compiled += 1;
                self.statistics.cut_blocks += u64::from(compiled.is_cut);
                Ok(Some((file, block, compiled)))
            }
            Err(Failure::Hopeless(error)) => {
                log::debug!("unwind table: {error}");
                self.statistics.hopeless += 1;
                Blocks::give_up(maps, &mut self.files, (file, block))?;
                Ok(None)
            }
            Err(Failure::Unreachable) => {
                if let Some(entry) = self.files.get_mut(file) {
                    entry.forget_place();
                    self.needed.push_back((file, block));
                }
                Ok(None)
            }
        }
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

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
