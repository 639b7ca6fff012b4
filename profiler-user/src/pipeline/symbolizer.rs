//! Raw frames to named ones. Owns the definitions of code objects and the table of frames; reads a living target's
//! memory only for what the kernel half could not capture.

use std::collections::HashMap;

use indexmap::IndexSet;
use profiler_common::contract::layout::Layout;
use profiler_common::contract::reasons::StackStatus;
use profiler_common::contract::records::{NO_INSTRUCTION, RawFrame};

use crate::ids::ProcessKey;
use crate::language::python::code::source_path::{SourcePaths, shorten_by_name};
use crate::language::python::code::store::{DEFAULT_LIMIT_BYTES, Incomplete, ResolvedId, Store, Unresolved};
use crate::native::names::Intern;
use crate::proc;
use crate::proc::memory::ProcMemory;
use crate::proc::root::{Root, RootId};
use crate::profile::{Frame, FrameId, FrameKind};
use crate::wire::assembly::Sample;
use crate::wire::decode::CodeView;

/// File systems whose packages are remembered: one per container.
const MAX_ROOTS: usize = 256;
/// Different frames kept; further ones are [`TOO_MANY_FRAMES`]. A program can make new functions for ever.
const MAX_FRAMES: usize = 1 << 20;
/// Stands for a frame beyond the limit.
const TOO_MANY_FRAMES: &str = "<too many different frames>";
/// Definitions completed from target memory after one has arrived: mostly that one.
const COMPLETIONS_AT_ONCE: usize = 64;

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

/// See the module.
#[derive(Debug)]
pub struct Symbolizer {
    store: Store,
    frames: IndexSet<Frame>,
    ids: HashMap<ResolvedId, FrameId>,
    roots: HashMap<RootId, SourcePaths>,
    unnamed: UnnamedFrames,
}

impl Default for Symbolizer {
    fn default() -> Self {
        Self {
            store: Store::new(DEFAULT_LIMIT_BYTES),
            frames: IndexSet::new(),
            ids: HashMap::new(),
            roots: HashMap::new(),
            unnamed: UnnamedFrames::default(),
        }
    }
}

impl Symbolizer {
    /// Takes in a captured code object.
    pub fn define(&mut self, captured: &CodeView<'_>, layout: &Layout) {
        self.store.insert(captured, layout);
        for _ in 0..COMPLETIONS_AT_ONCE {
            let Some(incomplete) = self.store.next_incomplete() else {
                break;
            };
            self.complete(&incomplete, layout);
        }
    }

    /// Names a sample's Python frames into `named`, which has as many elements afterwards: `None` for entry frames, which
    /// are not shown; what has no name is a marker that says why.
    ///
    /// `root` is the process's root directory, if it was known while the process ran. With `may_wait` a frame whose
    /// definition has not arrived yet makes it give up and return `false`; nothing is counted then.
    pub fn name(
        &mut self,
        sample: &Sample,
        root: Option<RootId>,
        may_wait: bool,
        named: &mut Vec<Option<FrameId>>,
    ) -> bool {
        let counted = self.unnamed.clone();
        named.clear();
        for frame in &sample.frames {
            let approximate = sample.compiled && frame.instr_offset == 0;
            let frame = RawFrame {
                instr_offset: if approximate {
                    NO_INSTRUCTION
                } else {
                    frame.instr_offset
                },
                ..*frame
            };
            named.push(match self.store.resolve_id(sample.process, frame) {
                Ok(id) => {
                    self.unnamed.named += 1;
                    let id = ResolvedId { approximate, ..id };
                    Some(self.frame(sample.process.tgid, root, id))
                }
                Err(Unresolved::EntryFrame) => None,
                Err(Unresolved::NotCaptured) if may_wait => {
                    self.unnamed = counted;
                    return false;
                }
                Err(reason) => {
                    self.unnamed.count(reason);
                    Some(self.marker(reason.text()))
                }
            });
        }
        true
    }

    /// Puts named Python frames into a stack, outermost frame first, with markers for what they do not tell.
    pub fn stack_python(&mut self, sample: &Sample, named: &[Option<FrameId>], stack: &mut Vec<FrameId>) {
        stack.clear();
        stack.extend(self.python_missing(sample.status));
        stack.extend(named.iter().rev().flatten());
        if sample.collecting {
            stack.push(self.collecting());
        }
        if stack.is_empty() {
            stack.push(self.marker(NO_PYTHON_CODE));
        }
    }

    /// What stands at the root of a stack that does not reach the thread's start.
    pub fn python_missing(&mut self, status: StackStatus) -> Option<FrameId> {
        outermost_marker(status).map(|text| self.marker(text))
    }

    /// The garbage collector.
    pub fn collecting(&mut self) -> FrameId {
        self.marker(COLLECTING)
    }

    /// The frame of a text that is not code.
    pub fn marker(&mut self, text: &str) -> FrameId {
        let frame = Frame {
            kind: FrameKind::Marker,
            name: text.to_owned(),
            file: None,
            short_file: None,
            module: None,
            line: None,
            approximate: false,
            first_line: None,
        };
        self.intern(frame)
    }

    /// A process is gone, and its samples have been named.
    pub fn forget(&mut self, process: ProcessKey) {
        self.store.process_gone(process);
    }

    /// To be called after each drain of the rings.
    pub fn collect(&mut self) {
        self.store.collect();
    }

    /// Frames without a name so far.
    #[must_use]
    pub fn unnamed(&self) -> UnnamedFrames {
        self.unnamed.clone()
    }

    /// All frames, in the order of their ids.
    #[must_use]
    pub fn into_frames(self) -> Vec<Frame> {
        self.frames.into_iter().collect()
    }

    /// The process may still run: what was too long for the kernel half, or not resident, is there.
    fn complete(&mut self, incomplete: &Incomplete, layout: &Layout) {
        let result = ProcMemory::open(proc::visible_id(incomplete.process.tgid))
            .map_err(|error| error.to_string())
            .and_then(|memory| {
                self.store
                    .complete(incomplete, &memory, layout)
                    .map_err(|error| error.to_string())
            });
        if let Err(error) = result {
            log::debug!("completing {incomplete:?}: {error}");
        }
    }

    fn frame(&mut self, tgid: u32, root: Option<RootId>, id: ResolvedId) -> FrameId {
        if let Some(known) = self.ids.get(&id) {
            return *known;
        }
        if self.frames.len() >= MAX_FRAMES || self.ids.len() >= 2 * MAX_FRAMES {
            return self.marker(TOO_MANY_FRAMES);
        }
        let Some(resolved) = self.store.describe(id) else {
            return self.marker(Unresolved::Evicted.text());
        };
        let (name, first_line) = (resolved.name.into_owned(), resolved.first_line);
        let file = resolved.filename.map(str::to_owned);
        let short_file = file.as_deref().map(|path| self.shorten(tgid, root, path));
        let kind = FrameKind::Python;
        let frame = self.intern(Frame {
            kind,
            name,
            file,
            short_file,
            module: None,
            line: id.line,
            approximate: id.approximate,
            first_line,
        });
        self.ids.insert(id, frame);
        frame
    }

    /// The part of a path from its package on, as the process's own file system has it; for a process that is gone, as
    /// this one has it if they shared it.
    fn shorten(&mut self, tgid: u32, known: Option<RootId>, path: &str) -> String {
        let own = || Root::own().ok().filter(|own| known == Some(own.id()));
        let Some(root) = Root::of_process(tgid).ok().or_else(own) else {
            return shorten_by_name(path).to_owned();
        };
        if self.roots.len() >= MAX_ROOTS && !self.roots.contains_key(&root.id()) {
            self.roots.clear();
        }
        let paths = self.roots.entry(root.id()).or_default();
        paths
            .shorten(path, |directory| root.has_file(directory, "__init__.py"))
            .to_owned()
    }
}

impl Intern for Symbolizer {
    fn intern(&mut self, frame: Frame) -> FrameId {
        if self.frames.len() >= MAX_FRAMES && frame.kind != FrameKind::Marker && !self.frames.contains(&frame)
        {
            return self.marker(TOO_MANY_FRAMES);
        }
        let position = self.frames.insert_full(frame).0;
        FrameId(u32::try_from(position).unwrap_or(u32::MAX))
    }
}

/// The garbage collector, called by whatever frame is before it.
const COLLECTING: &str = "<gc>";
/// Stands for a sample whose frames are all boundaries.
const NO_PYTHON_CODE: &str = "<no Python code>";

/// What stands at the root of a stack that does not reach the thread's start.
fn outermost_marker(status: StackStatus) -> Option<&'static str> {
    match status {
        StackStatus::Complete => None,
        StackStatus::NotInitialized => Some("<interpreter starting or stopping>"),
        StackStatus::NoThreadState => Some("<native thread>"),
        StackStatus::NoFrames => Some(NO_PYTHON_CODE),
        StackStatus::FrameFault => Some("<unreadable frame>"),
        StackStatus::Truncated => Some("<truncated>"),
        StackStatus::StateFault => Some("<unreadable interpreter state>"),
        StackStatus::ForeignThreadState => Some("<foreign thread state>"),
        StackStatus::TooManyThreads => Some("<thread state not found>"),
    }
}
