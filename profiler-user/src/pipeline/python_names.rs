//! Raw Python frames to named ones, by the definitions of code objects that have arrived.

use ahash::{HashMap, HashSet};
use profiler_common::contract::layout::Layout;
use profiler_common::contract::records::{NO_INSTRUCTION, RawFrame};

use super::interval::Interval;
use super::last_stacks::{LastStacks, Scope};
use super::question_queue::QuestionQueue;
use super::questions::{Answer, PathKey, Question};
use crate::ids::{FrameId, ProcessKey};
use crate::language::python::code::source_path::shorten_by_name;
use crate::language::python::code::store::{DEFAULT_LIMIT_BYTES, ResolvedId, Store, Unresolved};
use crate::proc::root::RootId;
use crate::profile::frames::{Frame, FrameKind};
use crate::wire::assembly::Sample;
use crate::wire::decode::CodeView;

/// Short paths remembered; a container has a few thousand source files.
const MAX_PATHS: usize = 1 << 16;

/// What was not asked about, because the process had asked too much already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotAsked {
    /// Functions that are shown as they were captured.
    pub definitions: u64,
    /// Frames whose file is shortened by its name alone.
    pub paths: u64,
}

/// Frames that have no name, by reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnnamedFrames {
    counts: [u64; Unresolved::ALL.len()],
    named: u64,
}

impl UnnamedFrames {
    /// Frames with a name.
    #[must_use]
    pub fn named(&self) -> u64 {
        self.named
    }

    /// Reason and count, for those that occurred.
    pub fn iter(&self) -> impl Iterator<Item = (Unresolved, u64)> {
        Unresolved::ALL
            .iter()
            .copied()
            .zip(self.counts)
            .filter(|(_, count)| *count > 0)
    }

    fn count(&mut self, reason: Unresolved) {
        if let Some(position) = Unresolved::ALL.iter().position(|known| *known == reason) {
            self.counts[position] += 1;
        }
    }
}

/// The names of Python frames, as far as they are known.
#[derive(Debug)]
pub(super) struct PythonNames {
    store: Store,
    /// Short paths; `None` while they are asked about.
    paths: HashMap<(RootId, Box<str>), Option<Box<str>>>,
    questions: QuestionQueue,
    not_asked: NotAsked,
    /// Definitions that were asked about, and whose answer is still to come.
    awaited: HashSet<(ProcessKey, u64, u32)>,
    unnamed: UnnamedFrames,
    last: LastStacks,
}

impl Default for PythonNames {
    fn default() -> Self {
        Self {
            store: Store::new(DEFAULT_LIMIT_BYTES),
            paths: HashMap::default(),
            questions: QuestionQueue::default(),
            not_asked: NotAsked::default(),
            awaited: HashSet::default(),
            unnamed: UnnamedFrames::default(),
            last: LastStacks::default(),
        }
    }
}

impl PythonNames {
    /// Takes in a captured code object.
    pub(super) fn define(&mut self, captured: &CodeView<'_>, layout: &Layout) {
        self.last.forget();
        self.store.insert(captured, layout);
        while let Some((of, known)) = self.store.next_incomplete() {
            if self
                .questions
                .push(of.process, Question::Definition { of, known })
            {
                self.awaited.insert((of.process, of.code.code, of.code.check));
            } else {
                self.not_asked.definitions += 1;
            }
        }
    }

    /// Takes note of the time of the newest sample, `CLOCK_MONOTONIC`.
    pub(super) fn set_time(&mut self, now_ns: u64) {
        self.questions.set_time(now_ns);
    }

    /// The next thing to find out.
    pub(super) fn next_question(&mut self) -> Option<Question> {
        self.questions.next()
    }

    /// What was not asked about so far.
    pub(super) fn not_asked(&self) -> NotAsked {
        self.not_asked
    }

    /// Takes in what was found out.
    pub(super) fn answer(&mut self, answer: Answer) {
        self.last.forget();
        match answer {
            Answer::Definition { of, completed } => {
                self.questions.answered(of.process);
                self.awaited.remove(&(of.process, of.code.code, of.code.check));
                if let Some(definition) = completed {
                    self.store.complete(&of, definition);
                }
            }
            Answer::ShortPath { of, short } => {
                self.questions.answered(of.process);
                self.paths.insert((of.root, of.path), Some(short));
            }
        }
    }

    /// Names a sample's Python frames into `named`, which has as many elements afterwards: `None` for entry frames, which
    /// are not shown; what has no name is a marker that says why.
    ///
    /// `root` is the process's root directory, if it was known while the process ran. With `may_wait`, a frame that lacks
    /// something makes it give up and return `false`; then nothing is counted.
    pub(super) fn name(
        &mut self,
        sample: &Sample,
        root: Option<RootId>,
        may_wait: bool,
        interval: &mut Interval,
        named: &mut Vec<Option<FrameId>>,
    ) -> bool {
        let scope = Scope {
            process: sample.process,
            interval: interval.number,
            compiled: sample.compiled,
        };
        let shared = self.last.shared(sample.cpu, scope, &sample.frames);
        let (inner, _) = sample.frames.split_at(sample.frames.len() - shared);
        let counted = self.unnamed.clone();
        named.clear();
        let mut is_whole = true;
        for resolved in self.resolve(sample, inner, may_wait) {
            is_whole &= matches!(resolved, Ok(_) | Err(Unresolved::EntryFrame));
            let frame = match resolved {
                Ok(id) => {
                    self.unnamed.named += 1;
                    self.frame(sample.process, root, id, may_wait, interval).map(Some)
                }
                Err(Unresolved::EntryFrame) => Some(None),
                Err(Unresolved::NotCaptured) if may_wait && !sample.withheld => None,
                Err(Unresolved::NotCaptured) if sample.withheld => {
                    self.unnamed.count(Unresolved::Withheld);
                    Some(Some(interval.marker(Unresolved::Withheld.text())))
                }
                Err(reason) => {
                    self.unnamed.count(reason);
                    Some(Some(interval.marker(reason.text())))
                }
            };
            let Some(frame) = frame else {
                self.unnamed = counted;
                self.ask(sample, root, interval);
                return false;
            };
            named.push(frame);
        }
        let outer = self.last.outermost(sample.cpu, shared);
        self.unnamed.named += outer.iter().flatten().count() as u64;
        named.extend_from_slice(outer);
        if is_whole && !inner.is_empty() {
            self.last.remember(sample.cpu, scope, &sample.frames, named);
        }
        true
    }

    /// Asks now about everything that is missing for a sample which has to wait: one question after the other would take
    /// longer than a sample waits.
    pub(super) fn ask(&mut self, sample: &Sample, root: Option<RootId>, interval: &mut Interval) {
        for id in self.resolve(sample, &sample.frames, true).into_iter().flatten() {
            self.frame(sample.process, root, id, true, interval);
        }
    }

    /// A process is gone, and its samples have been named.
    pub(super) fn forget(&mut self, process: ProcessKey) {
        self.last.forget();
        self.store.process_gone(process);
        self.awaited.retain(|(of, ..)| *of != process);
    }

    /// To be called after each drain of the rings; `is_needed` says of processes that are gone whether samples of them wait.
    pub(super) fn end_drain(&mut self, is_needed: impl Fn(ProcessKey) -> bool) {
        // So that what is in use is looked up now and then: what has not been for long is dropped first.
        self.last.forget();
        self.store.collect(is_needed);
    }

    /// Frames without a name so far.
    pub(super) fn unnamed(&self) -> &UnnamedFrames {
        &self.unnamed
    }

    /// The functions and lines of some of a sample's frames.
    fn resolve(
        &mut self,
        sample: &Sample,
        frames: &[RawFrame],
        may_wait: bool,
    ) -> Vec<Result<ResolvedId, Unresolved>> {
        let process = sample.process;
        let mut definitions = self.store.of(process);
        let resolve = |frame: &RawFrame| {
            if may_wait && !sample.withheld && self.awaited.contains(&(process, frame.code, frame.check)) {
                return Err(Unresolved::NotCaptured);
            }
            let approximate = sample.compiled && frame.instr_offset == 0;
            let instr_offset = if approximate {
                NO_INSTRUCTION
            } else {
                frame.instr_offset
            };
            let id = definitions.resolve(RawFrame {
                instr_offset,
                ..*frame
            })?;
            Ok(ResolvedId { approximate, ..id })
        };
        frames.iter().map(resolve).collect()
    }

    /// `None` when something about it has been asked and may be waited for.
    fn frame(
        &mut self,
        process: ProcessKey,
        root: Option<RootId>,
        id: ResolvedId,
        may_wait: bool,
        interval: &mut Interval,
    ) -> Option<FrameId> {
        if let Some(known) = interval.known(id) {
            return Some(known);
        }
        let Some(resolved) = self.store.describe(id) else {
            return Some(interval.marker(Unresolved::Evicted.text()));
        };
        let (name, first_line) = (resolved.name.into_owned(), resolved.first_line);
        let file = resolved.filename.map(str::to_owned);
        let short_file = match file.as_deref() {
            Some(path) => Some(self.short_path(process, root, path, may_wait)?),
            None => None,
        };
        let frame = Frame {
            kind: FrameKind::Python,
            name,
            file,
            short_file,
            module: None,
            line: id.line,
            approximate: id.approximate,
            first_line,
        };
        Some(interval.learn(process, id, frame))
    }

    fn short_path(
        &mut self,
        process: ProcessKey,
        root: Option<RootId>,
        path: &str,
        may_wait: bool,
    ) -> Option<String> {
        let by_name = || shorten_by_name(path).to_owned();
        let Some(root) = root else {
            return Some(by_name());
        };
        let key = (root, Box::from(path));
        match self.paths.get(&key) {
            Some(Some(short)) => return Some(short.to_string()),
            Some(None) if may_wait => return None,
            None if may_wait && self.questions.has_room(process) => {}
            None if may_wait => {
                self.not_asked.paths += 1;
                return Some(by_name());
            }
            _ => return Some(by_name()),
        }
        if self.paths.len() >= MAX_PATHS {
            // What is still asked about must be found again by its answer.
            self.paths.retain(|_, short| short.is_none());
        }
        let (root, path) = key.clone();
        let of = PathKey { root, process, path };
        self.questions.push(process, Question::ShortPath(of));
        self.paths.insert(key, None);
        None
    }
}
