//! Names of native and kernel addresses, found beside the event loop: reading symbols takes from microseconds to seconds,
//! and samples must not wait for it.
//!
//! An address is interned when a sample shows it, and stands in stacks as a place holder until its names arrive. What files
//! are needed for that is opened at once, because the process may be gone a moment later.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use indexmap::IndexMap;

use super::interpreter_frames;
use super::symbol::{CodeFile, NativeResult, NativeSymbolizer, NativeUnresolved, Place};
use super::unwind::Located;
use crate::ids::ProcessKey;
use crate::proc::maps::{FileId, Maps};
use crate::proc::root::Root;
use crate::proc::visible_id;
use crate::profile::{Frame, FrameId, FrameKind};

/// Different addresses kept; a recording that shows more has [`NativeUnresolved::NotMapped`] for them.
const MAX_ADDRESSES: usize = 1 << 20;
/// Addresses in one request to the thread.
const BATCH: usize = 1024;

/// Where an address is, so that it has the same names for every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address {
    /// In a file.
    File(FileIndex, Place),
    /// In memory of a process that no file backs.
    Jit(ProcessKey, u64),
    /// In the kernel.
    Kernel(u64),
    /// Nowhere that is known.
    Unmapped,
}

/// Index into [`NativeNames::files`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct FileIndex(u32);

/// A file with machine code.
#[derive(Debug)]
struct File {
    /// `None` when it could not be opened.
    code: Option<Arc<CodeFile>>,
    /// Base name of its path.
    module: Arc<str>,
    /// Whether it is the interpreter of the process that showed it first.
    is_interpreter: bool,
}

/// What makes two mappings ones of the same file.
type FileIdentity = (FileId, Arc<[u8]>, Option<Box<[u8]>>);

/// An address that was sampled.
#[derive(Clone, Debug)]
struct Entry {
    /// Whether it is in the interpreter's evaluation loop.
    is_loop: bool,
    state: State,
}

/// What an address stands for.
#[derive(Clone, Debug)]
enum State {
    /// Being asked for.
    Pending,
    /// Outermost function first; empty when its frame is not to be shown.
    Known(Arc<[FrameId]>),
}

/// A frame of a sample on its way to names.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Where it is, as the unwinder's tables know it.
    pub located: Option<Located<'a>>,
    /// The address to be named: for a caller one within the call, not the one behind it.
    pub address: u64,
    /// Whose.
    pub process: ProcessKey,
    /// The file of the process's interpreter.
    pub interpreter: &'a std::path::Path,
    /// Whether it is the evaluation loop.
    pub is_loop: bool,
}

/// One question to the thread.
#[derive(Debug)]
enum Question {
    File(u32, Arc<CodeFile>, Place),
    Jit(u32, ProcessKey, u64),
    Kernel(u32, u64),
}

/// See the module.
#[derive(Debug)]
pub struct NativeNames {
    show_all: bool,
    addresses: IndexMap<Address, Entry>,
    files: Vec<File>,
    by_identity: HashMap<FileIdentity, FileIndex>,
    questions: Vec<Question>,
    outstanding: usize,
    asked: Option<Sender<Vec<Question>>>,
    answered: Receiver<Vec<(u32, NativeResult)>>,
    thread: Option<JoinHandle<()>>,
    unnamed: HashMap<NativeUnresolved, u64>,
}

/// What became of the addresses of a recording.
#[derive(Debug)]
pub struct Named {
    /// What each place holder stands for, outermost function first.
    pub late: Vec<Arc<[FrameId]>>,
    /// Different addresses without a name, by reason.
    pub unnamed: Vec<(NativeUnresolved, u64)>,
}

/// Makes a frame known and says its id.
pub trait Intern {
    /// The id of `frame`.
    fn intern(&mut self, frame: Frame) -> FrameId;
}

impl NativeNames {
    /// Starts the thread. With `show_all` the interpreter's own machinery is shown too.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(show_all: bool) -> std::io::Result<Self> {
        let (asked, questions) = channel();
        let (answers, answered) = channel();
        let thread = std::thread::Builder::new()
            .name("symbols".to_owned())
            .spawn(move || answer(&questions, &answers))?;
        Ok(Self {
            show_all,
            addresses: IndexMap::new(),
            files: Vec::new(),
            by_identity: HashMap::new(),
            questions: Vec::new(),
            outstanding: 0,
            asked: Some(asked),
            answered,
            thread: Some(thread),
            unnamed: HashMap::new(),
        })
    }

    /// Appends what a user frame is called, outermost function first: names, or a place holder.
    pub fn push_user(&mut self, site: &Site<'_>, stack: &mut Vec<FrameId>) {
        let address = self.user_address(site);
        self.push(address, site.is_loop, stack);
    }

    /// Appends what a kernel address is called.
    pub fn push_kernel(&mut self, address: u64, stack: &mut Vec<FrameId>) {
        self.push(Address::Kernel(address), false, stack);
    }

    fn push(&mut self, address: Address, is_loop: bool, stack: &mut Vec<FrameId>) {
        let address = if self.addresses.len() < MAX_ADDRESSES || self.addresses.contains_key(&address) {
            address
        } else {
            Address::Unmapped
        };
        let entry = self.addresses.entry(address);
        let index = u32::try_from(entry.index()).unwrap_or(u32::MAX);
        let is_new = matches!(entry, indexmap::map::Entry::Vacant(_));
        let entry = entry.or_insert(Entry {
            is_loop,
            state: State::Pending,
        });
        match &entry.state {
            State::Known(frames) => stack.extend_from_slice(frames),
            State::Pending => stack.push(FrameId::pending(index)),
        }
        if is_new {
            self.ask(index, address);
        }
    }

    fn ask(&mut self, index: u32, address: Address) {
        let question = match address {
            Address::File(file, place) => {
                let code = self.files.get(file.0 as usize).and_then(|file| file.code.clone());
                code.map(|code| Question::File(index, code, place))
            }
            Address::Jit(process, address) => Some(Question::Jit(index, process, address)),
            Address::Kernel(address) => Some(Question::Kernel(index, address)),
            Address::Unmapped => None,
        };
        // What cannot be asked gets its frame at the end, as unresolved.
        self.questions.extend(question);
        if self.questions.len() >= BATCH {
            self.flush();
        }
    }

    /// Sends what has been collected; to be called after each drain of the rings.
    pub fn flush(&mut self) {
        if self.questions.is_empty() {
            return;
        }
        let questions = std::mem::take(&mut self.questions);
        self.outstanding += questions.len();
        if let Some(asked) = &self.asked
            && asked.send(questions).is_err()
        {
            log::warn!("the symbol thread has ended");
            self.outstanding = 0;
        }
    }

    /// Takes in the names that have arrived.
    pub fn collect(&mut self, frames: &mut impl Intern) {
        while let Ok(answers) = self.answered.try_recv() {
            self.take(answers, frames);
        }
    }

    /// Addresses whose names have not arrived yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Settles what has no names.
    pub fn finish(mut self, frames: &mut impl Intern) -> Named {
        self.asked = None;
        let open: Vec<u32> = (0u32..)
            .zip(self.addresses.values())
            .filter(|(_, entry)| matches!(entry.state, State::Pending))
            .map(|(index, _)| index)
            .collect();
        for index in open {
            self.settle(index, &Err(self.reason(index)), frames);
        }
        if let Some(thread) = self.thread.take()
            && self.outstanding == 0
            && thread.join().is_err()
        {
            log::warn!("the symbol thread panicked");
        }
        let entries = self.addresses.into_values();
        let known = entries.map(|entry| match entry.state {
            State::Known(frames) => frames,
            State::Pending => Arc::from([]),
        });
        Named {
            late: known.collect(),
            unnamed: self.unnamed.into_iter().collect(),
        }
    }

    /// Why an address has no names that nobody could be asked about.
    fn reason(&self, index: u32) -> NativeUnresolved {
        match self.addresses.get_index(index as usize) {
            Some((Address::File(file, _), _)) => match self.files.get(file.0 as usize) {
                Some(File { code: None, .. }) => NativeUnresolved::FileUnreadable,
                _ => NativeUnresolved::SymbolizerFailed,
            },
            Some((Address::Unmapped, _)) => NativeUnresolved::NotMapped,
            _ => NativeUnresolved::SymbolizerFailed,
        }
    }

    fn take(&mut self, answers: Vec<(u32, NativeResult)>, frames: &mut impl Intern) {
        self.outstanding = self.outstanding.saturating_sub(answers.len());
        for (index, result) in answers {
            self.settle(index, &result, frames);
        }
    }

    fn settle(&mut self, index: u32, result: &NativeResult, frames: &mut impl Intern) {
        let Some((address, entry)) = self.addresses.get_index(index as usize) else {
            return;
        };
        let is_loop = entry.is_loop;
        let (kind, file) = match address {
            Address::Kernel(_) => (FrameKind::Kernel, None),
            Address::File(file, _) => (FrameKind::Native, self.files.get(file.0 as usize)),
            Address::Jit(..) | Address::Unmapped => (FrameKind::Native, None),
        };
        let is_plumbing = |symbol: Option<&str>| {
            let frame = interpreter_frames::NativeName {
                symbol,
                is_in_interpreter: file.is_some_and(|file| file.is_interpreter),
                is_evaluation_loop: is_loop,
            };
            kind != FrameKind::Kernel && frame.is_plumbing()
        };
        let mut shown: Vec<Frame> = Vec::new();
        match result {
            Ok(names) => {
                // What is inlined into a function of the interpreter's machinery is machinery.
                let whole = names.last().is_some_and(|name| is_plumbing(Some(&name.symbol)));
                for name in names.iter().rev() {
                    let hidden = whole || is_plumbing(Some(&name.symbol));
                    let kind = if hidden { FrameKind::Interpreter } else { kind };
                    shown.push(name.frame(kind));
                }
            }
            Err(reason) => {
                let kind = if is_plumbing(None) {
                    FrameKind::Interpreter
                } else {
                    kind
                };
                shown.push(reason.frame(file.map(|file| &*file.module), kind));
            }
        }
        shown.retain(|frame| self.show_all || frame.kind != FrameKind::Interpreter);
        let shown = shown.into_iter().map(|frame| frames.intern(frame)).collect();
        if let Err(reason) = result {
            *self.unnamed.entry(*reason).or_default() += 1;
        }
        if let Some((_, entry)) = self.addresses.get_index_mut(index as usize) {
            entry.state = State::Known(shown);
        }
    }

    fn user_address(&mut self, site: &Site<'_>) -> Address {
        let Some(located) = &site.located else {
            return Address::Unmapped;
        };
        let mapping = located.mapping;
        if is_made_at_run_time(located) {
            return Address::Jit(site.process, site.address);
        }
        let identity: FileIdentity = (mapping.id, mapping.path.clone(), located.build_id.map(Box::from));
        let file = match self.by_identity.get(&identity) {
            Some(file) => *file,
            None => {
                let index = FileIndex(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
                self.files.push(open(located, site.interpreter));
                self.by_identity.insert(identity, index);
                index
            }
        };
        let place = match located.static_address {
            Some(_) => mapping.static_address(site.address).map(Place::Address),
            None => mapping.file_offset(site.address).map(Place::Offset),
        };
        place.map_or(Address::Unmapped, |place| Address::File(file, place))
    }
}

const VDSO: &[u8] = b"[vdso]";
/// How the paths of memory begin that programs share with themselves to write code into.
const SHARED_MEMORY: &[&[u8]] = &[b"/memfd:", b"/dev/zero", b"/dev/shm/", b"/SYSV"];

/// Memory without a file, or in one that is no program.
fn is_made_at_run_time(located: &Located<'_>) -> bool {
    let mapping = located.mapping;
    let is_shared = SHARED_MEMORY.iter().any(|start| mapping.path.starts_with(start));
    &*mapping.path != VDSO && (mapping.id.inode == 0 || (is_shared && located.static_address.is_none()))
}

/// Opens the file while the process is there.
fn open(located: &Located<'_>, interpreter: &std::path::Path) -> File {
    let stretch = located.mapping;
    let name = stretch
        .path
        .rsplit(|byte| *byte == b'/')
        .next()
        .unwrap_or_default();
    let pid = visible_id(located.tgid);
    let code = Maps::read(pid).ok().and_then(|maps| {
        let mapping = maps
            .iter()
            .find(|mapping| mapping.contains(stretch.start) && mapping.file == stretch.id)?;
        let opened = if &*stretch.path == VDSO {
            CodeFile::vdso(pid, &mapping)
        } else {
            CodeFile::of_mapping(pid, Root::of_process(pid).ok().map(Arc::new), &mapping)
        };
        opened
            .inspect_err(|error| log::debug!("symbols of {}: {error}", String::from_utf8_lossy(name)))
            .ok()
    });
    File {
        code: code.map(Arc::new),
        module: String::from_utf8_lossy(name).into(),
        is_interpreter: interpreter.as_os_str().as_encoded_bytes() == &*stretch.path,
    }
}

/// The thread: names what it is asked about, file by file, until nobody asks any more.
fn answer(questions: &Receiver<Vec<Question>>, answers: &Sender<Vec<(u32, NativeResult)>>) {
    let mut symbolizer = NativeSymbolizer::default();
    while let Ok(questions) = questions.recv() {
        let mut results = Vec::with_capacity(questions.len());
        let mut in_files = Vec::new();
        for question in &questions {
            match question {
                Question::File(index, file, place) => in_files.push((*index, (&**file, *place))),
                Question::Kernel(index, address) => {
                    results.extend(
                        symbolizer
                            .resolve_kernel(&[*address])
                            .pop()
                            .map(|name| (*index, name)),
                    );
                }
                Question::Jit(index, process, address) => {
                    let named = match Root::of_process(visible_id(process.tgid)) {
                        Ok(root) => symbolizer.resolve_perf_map(*process, &root, &[*address]).pop(),
                        Err(_) => Some(Err(NativeUnresolved::JitWithoutMap)),
                    };
                    results.extend(named.map(|name| (*index, name)));
                }
            }
        }
        let requests: Vec<_> = in_files.iter().map(|(_, request)| *request).collect();
        let named = symbolizer.resolve_user(&requests);
        results.extend(in_files.iter().map(|(index, _)| *index).zip(named));
        if answers.send(results).is_err() {
            return;
        }
    }
}
