//! All definitions of a recording: by process and code object, one copy of equal ones, bounded in memory.
//!
//! Used by the pipeline. Definitions arrive before the sample that needs them, or with a later one: then a frame is
//! [`Unresolved::NotCaptured`] until they do. After each drain of the ring buffer, call [`Store::collect`].

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use ahash::{HashMap, RandomState};
use profiler_common::contract::layout::Layout;
use profiler_common::contract::records::RawFrame;
use profiler_common::memory::RemoteAddr;

use super::definition::{CodeKey, Definition};
use super::intern::{self, DefinitionId, Pool};
pub use super::resolved::{NAME_NOT_READABLE, ResolvedFrame, ResolvedId, Unresolved};
use crate::ids::ProcessKey;
use crate::wire::decode::CodeView;

/// A limit that suits a large host: about 200,000 different functions.
pub const DEFAULT_LIMIT_BYTES: usize = 128 << 20;
/// Definitions that wait for [`Store::complete`], at most.
const MAX_INCOMPLETE: usize = 4096;
/// Bookkeeping of one code object of one process.
const SLOT_BYTES: usize = 2 * size_of::<(CodeKey, Slot)>();
/// Bookkeeping of one process.
const PROCESS_BYTES: usize = 2 * size_of::<(ProcessKey, Process)>();

/// A definition to be completed from the process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Incomplete {
    /// Whose memory.
    pub process: ProcessKey,
    /// Which code object.
    pub code: CodeKey,
    /// `ProcessEntry::layout`.
    pub layout: u32,
    /// Which interpreter it belongs to.
    pub interpreter: RemoteAddr,
}

/// What happened to definitions so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Received.
    pub received: u64,
    /// Received with another content than the one known for the same code object, which they replaced.
    pub replaced: u64,
    /// Dropped from processes that are gone or use the most, to bound memory.
    pub evicted: u64,
    /// Incomplete, and not queued for completion as too many were.
    pub not_queued: u64,
}

/// All definitions of a recording.
#[derive(Debug)]
pub struct Store {
    processes: HashMap<ProcessKey, Process>,
    /// Processes that are gone, oldest first, with the number of collections at that time.
    gone: VecDeque<(u64, ProcessKey)>,
    pool: Pool,
    incomplete: VecDeque<Incomplete>,
    counts: Counts,
    limit_bytes: usize,
    slots: usize,
    collections: u64,
    /// Advances with every definition; says what was used longest ago.
    clock: u64,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Process {
    codes: HashMap<CodeKey, Slot>,
    /// What its definitions would cost if it shared none.
    bytes: usize,
    gone: bool,
    evicted: bool,
}

#[derive(Debug)]
struct Slot {
    definition: DefinitionId,
    /// Of the definition as captured; another one means that something changed.
    fingerprint: u64,
    last_use: u64,
}

/// The definitions of one process.
#[derive(Debug)]
pub struct OfProcess<'a> {
    process: Option<&'a mut Process>,
    pool: &'a Pool,
    clock: u64,
}

impl OfProcess<'_> {
    /// The function and line of a frame.
    ///
    /// # Errors
    /// The reason why there is none, to be shown in its place.
    pub fn resolve(&mut self, frame: RawFrame) -> Result<ResolvedId, Unresolved> {
        if frame.code == 0 {
            return Err(Unresolved::EntryFrame);
        }
        if frame.check == 0 {
            return Err(Unresolved::NotReadable);
        }
        let process = self.process.as_mut().ok_or(Unresolved::NotCaptured)?;
        let key = CodeKey {
            code: frame.code,
            check: frame.check,
        };
        let missing = if process.evicted {
            Unresolved::Evicted
        } else {
            Unresolved::NotCaptured
        };
        let slot = process.codes.get_mut(&key).ok_or(missing)?;
        slot.last_use = self.clock;
        let definition = self.pool.get(slot.definition).ok_or(missing)?;
        if definition.name.get().is_none() && definition.filename.get().is_none() {
            return Err(Unresolved::NotReadable);
        }
        // The first instruction of a module is on line 0 (3.11+), which no file has.
        let line = definition
            .line_table
            .line(frame.instr_offset)
            .filter(|line| *line > 0);
        Ok(ResolvedId {
            definition: slot.definition,
            line,
            approximate: false,
        })
    }
}

impl Store {
    /// An empty store that keeps to `limit_bytes` of memory.
    #[must_use]
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            processes: HashMap::default(),
            gone: VecDeque::new(),
            pool: Pool::default(),
            incomplete: VecDeque::new(),
            counts: Counts::default(),
            limit_bytes,
            slots: 0,
            collections: 0,
            clock: 0,
            hasher: RandomState::new(),
        }
    }

    /// Takes in a captured definition. It replaces one with other content for the same code object, but not a more
    /// complete one with the same.
    pub fn insert(&mut self, captured: &CodeView<'_>, layout: &Layout) {
        self.counts.received += 1;
        self.clock += 1;
        let process = ProcessKey {
            tgid: captured.tgid,
            incarnation: captured.incarnation,
        };
        let code = CodeKey {
            code: captured.code,
            check: captured.check,
        };
        let fingerprint = self.fingerprint(captured);
        let known = self
            .processes
            .get_mut(&process)
            .and_then(|process| process.codes.get_mut(&code));
        if let Some(slot) = known
            && std::mem::replace(&mut slot.fingerprint, fingerprint) == fingerprint
        {
            return;
        }
        let definition = Definition::new(captured, layout.line_table);
        if let Some(known) = self.known(process, code) {
            if definition.is_part_of(known) {
                return;
            }
            self.counts.replaced += u64::from(!known.is_part_of(&definition));
        }
        if definition.incomplete().next().is_some() {
            self.queue(Incomplete {
                process,
                code,
                layout: captured.layout,
                interpreter: RemoteAddr(captured.interpreter),
            });
        }
        self.put(process, code, definition, fingerprint);
        self.make_room();
    }

    /// The definitions of a process, to resolve frames of it.
    pub fn of(&mut self, process: ProcessKey) -> OfProcess<'_> {
        OfProcess {
            process: self.processes.get_mut(&process),
            pool: &self.pool,
            clock: self.clock,
        }
    }

    /// The names behind an id; `None` when the definition has been dropped since.
    #[must_use]
    pub fn describe(&self, id: ResolvedId) -> Option<ResolvedFrame<'_>> {
        let definition = self.pool.get(id.definition)?;
        Some(ResolvedFrame {
            name: definition.full_name().unwrap_or(NAME_NOT_READABLE.into()),
            filename: definition.filename.get(),
            line: id.line,
            first_line: (definition.first_line.cast_signed() > 0).then_some(definition.first_line),
        })
    }

    /// The next definition that could be completed while its process still runs, as far as it is known; each is handed out
    /// once.
    pub fn next_incomplete(&mut self) -> Option<(Incomplete, Definition)> {
        while let Some(incomplete) = self.incomplete.pop_front() {
            if let Some(known) = self.known(incomplete.process, incomplete.code) {
                return Some((incomplete, known.clone()));
            }
        }
        None
    }

    /// Takes in a definition that has been completed, unless it was replaced or dropped meanwhile.
    pub fn complete(&mut self, incomplete: &Incomplete, definition: Definition) {
        let Incomplete { process, code, .. } = *incomplete;
        let Some(fingerprint) = self.slot(process, code).map(|slot| slot.fingerprint) else {
            return;
        };
        let is_same = self
            .known(process, code)
            .is_some_and(|known| known.is_part_of(&definition));
        if is_same {
            self.put(process, code, definition, fingerprint);
            self.make_room();
        }
    }

    /// A process is gone. Its definitions are kept until the second [`Self::collect`] from now at least, as samples of it
    /// may still be on their way.
    pub fn process_gone(&mut self, process: ProcessKey) {
        let entry = self.processes.entry(process).or_default();
        if !std::mem::replace(&mut entry.gone, true) {
            self.gone.push_back((self.collections, process));
        }
        self.make_room();
    }

    /// To be called after each drain of the ring buffers: drops what belongs to processes gone before the last call, unless
    /// samples of them still wait for their names.
    pub fn collect(&mut self, is_needed: impl Fn(ProcessKey) -> bool) {
        let is_due = |(collection, _): &(u64, _)| *collection < self.collections;
        let due = self.gone.iter().take_while(|gone| is_due(gone)).count();
        for _ in 0..due {
            match self.gone.pop_front() {
                Some((_, process)) if is_needed(process) => self.gone.push_back((self.collections, process)),
                Some((_, process)) => drop(self.forget(process)),
                None => {}
            }
        }
        self.collections += 1;
    }

    /// Bytes of memory, approximately.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pool.bytes() + self.slots * SLOT_BYTES + self.processes.len() * PROCESS_BYTES
    }

    /// Different definitions held.
    #[must_use]
    pub fn definitions(&self) -> usize {
        self.pool.len()
    }

    /// What happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    fn slot(&self, process: ProcessKey, code: CodeKey) -> Option<&Slot> {
        self.processes.get(&process)?.codes.get(&code)
    }

    fn known(&self, process: ProcessKey, code: CodeKey) -> Option<&Definition> {
        self.pool
            .get(self.slot(process, code)?.definition)
            .map(|definition| &**definition)
    }

    /// Keyed with a secret, so that no target can make two contents look alike.
    fn fingerprint(&self, captured: &CodeView<'_>) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for text in [&captured.name, &captured.filename] {
            (text.header.kind, text.header.length, text.data).hash(&mut hasher);
        }
        (
            captured.first_line,
            captured.line_table_length,
            captured.line_table,
        )
            .hash(&mut hasher);
        hasher.finish()
    }

    fn queue(&mut self, incomplete: Incomplete) {
        if self.incomplete.len() < MAX_INCOMPLETE {
            self.incomplete.push_back(incomplete);
        } else {
            self.counts.not_queued += 1;
        }
    }

    /// Enters a definition, in place of what was there.
    fn put(&mut self, process: ProcessKey, code: CodeKey, definition: Definition, fingerprint: u64) {
        let bytes = intern::bytes(&definition);
        let slot = Slot {
            definition: self.pool.acquire(definition),
            fingerprint,
            last_use: self.clock,
        };
        let process = self.processes.entry(process).or_default();
        process.bytes += bytes + SLOT_BYTES;
        self.slots += 1;
        if let Some(old) = process.codes.insert(code, slot) {
            release(&mut self.pool, process, &old);
            self.slots -= 1;
        }
    }

    /// Drops all of a process.
    fn forget(&mut self, key: ProcessKey) -> u64 {
        let Some(mut process) = self.processes.remove(&key) else {
            return 0;
        };
        let codes = std::mem::take(&mut process.codes);
        for slot in codes.values() {
            release(&mut self.pool, &mut process, slot);
        }
        self.slots -= codes.len();
        codes.len() as u64
    }

    /// Back below the limit: first processes that are gone, then whoever uses the most.
    fn make_room(&mut self) {
        while self.bytes() > self.limit_bytes {
            if let Some((_, gone)) = self.gone.pop_front() {
                self.counts.evicted += self.forget(gone);
                continue;
            }
            let largest = self
                .processes
                .iter()
                .max_by_key(|(_, process)| process.bytes)
                .map(|(key, _)| *key);
            let Some(largest) = largest else { return };
            self.shrink(largest);
        }
    }

    /// Drops the half of a process's definitions that was used longest ago.
    fn shrink(&mut self, key: ProcessKey) {
        let Some(process) = self.processes.get_mut(&key) else {
            return;
        };
        let mut uses: Vec<(u64, CodeKey)> = process
            .codes
            .iter()
            .map(|(code, slot)| (slot.last_use, *code))
            .collect();
        if uses.is_empty() {
            self.processes.remove(&key);
            return;
        }
        let half = uses.len() / 2;
        uses.select_nth_unstable_by_key(half, |(last_use, _)| *last_use);
        process.evicted = true;
        for (_, code) in uses.iter().take(half.max(1)) {
            if let Some(slot) = process.codes.remove(code) {
                release(&mut self.pool, process, &slot);
                self.slots -= 1;
                self.counts.evicted += 1;
            }
        }
    }
}

/// Gives back what a slot, already taken out, held.
fn release(pool: &mut Pool, process: &mut Process, slot: &Slot) {
    let bytes = pool
        .get(slot.definition)
        .map_or(0, |definition| intern::bytes(definition));
    process.bytes = process.bytes.saturating_sub(bytes + SLOT_BYTES);
    pool.release(slot.definition);
}

#[cfg(test)]
mod tests;
