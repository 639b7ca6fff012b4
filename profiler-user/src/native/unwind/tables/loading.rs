//! What is compiled next, and what becomes of it.
//!
//! Part of [`super::Tables`]: what samples needed comes first, then small files that processes execute, while there are
//! pages to spare.

use std::time::{Duration, Instant};

use profiler_common::contract::unwind::ROWS_PER_PAGE;

use super::{MAX_NEEDED, Tables};
use crate::native::unwind::blocks::{Blocks, Written};
use crate::native::unwind::compiler::{CompileFailure, CompileRequest, CompileResponse, MAX_OUTSTANDING};
use crate::native::unwind::file::CompiledBlock;
use crate::native::unwind::files::{BlockState, FileNumber};
use crate::native::unwind::spaces::List;

use crate::path::base_name_of_bytes;
use crate::table_maps::TableMaps;

/// Files up to this many bytes of text are loaded whole, in the background.
const WHOLE_FILE_BYTES: u64 = 8 << 20;
/// Compiled blocks that wait for pages, at most.
const MAX_WAITING: usize = 32;
/// After how long a file is asked for again that did not come in time.
const LATE_AGAIN: Duration = Duration::from_millis(50);
/// Names that Python programs spend their time in, loaded before others.
const FIRST: &[&[u8]] = &[
    b"libpython",
    b"libc.so",
    b"libc-",
    b"ld-musl",
    b"libm.so",
    b"libpthread",
];

impl Tables {
    /// Files to be loaded whole.
    pub(super) fn load_in_background(&mut self, list: &List) {
        for stretch in &list.stretches {
            let Some(file) = stretch.file else { continue };
            let Some(entry) = self.files.get_mut(file) else {
                continue;
            };
            if entry.is_whole || entry.text.text_bytes() > WHOLE_FILE_BYTES {
                continue;
            }
            entry.is_whole = true;
            let name = base_name_of_bytes(&stretch.path);
            let is_program = stretch.start == list.stretches.first().map_or(0, |first| first.start);
            if is_program || FIRST.iter().any(|first| name.starts_with(first)) {
                self.background.push_front((file, 0));
            } else {
                self.background.push_back((file, 0));
            }
        }
    }

    /// Hands the worker what is most urgent.
    pub(super) fn feed(&mut self) {
        while self.outstanding < MAX_OUTSTANDING && self.waiting.len() < MAX_WAITING {
            let Some((file, block)) = self.needed.pop_front().or_else(|| self.next_in_background()) else {
                return;
            };
            let Some(origin) = self.files.get(file).and_then(|entry| entry.origin().cloned()) else {
                self.statistics.unreachable += 1;
                self.unask(file, block);
                continue;
            };
            let request = CompileRequest { file, block, origin };
            match self.compiler.ask(request) {
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
        while let Some((_, file, block)) = self.late.pop_front_if(|(when, ..)| *when <= now) {
            self.needed.push_back((file, block));
        }
        for _ in 0..budget {
            let (file, block, compiled) = match self.waiting.pop_front() {
                Some(waiting) => waiting,
                None => match self.compiler.answer() {
                    Some(response) => match self.take(maps, response)? {
                        Some(compiled) => compiled,
                        None => continue,
                    },
                    None => {
                        self.feed();
                        return Ok(self.late.front().map(|(when, ..)| *when));
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
        response: CompileResponse,
    ) -> Result<Option<(FileNumber, u32, CompiledBlock)>, M::Error> {
        let CompileResponse {
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
            Err(CompileFailure::Hopeless(error)) => {
                log::debug!("unwind table: {error}");
                self.statistics.hopeless += 1;
                Blocks::give_up(maps, &mut self.files, (file, block))?;
                Ok(None)
            }
            Err(CompileFailure::Late) if self.late.len() < MAX_NEEDED => {
                self.late.push_back((Instant::now() + LATE_AGAIN, file, block));
                Ok(None)
            }
            // A later sample asks again.
            Err(CompileFailure::Late) => {
                self.statistics.dropped_requests += 1;
                self.unask(file, block);
                Ok(None)
            }
            Err(CompileFailure::Unreachable) => {
                if let Some(entry) = self.files.get_mut(file) {
                    entry.forget_origin();
                    self.needed.push_back((file, block));
                }
                Ok(None)
            }
        }
    }
}
