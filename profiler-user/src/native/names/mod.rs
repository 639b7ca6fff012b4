//! Names of native and kernel addresses, found beside the event loop: reading symbols takes from microseconds to seconds,
//! and samples must not wait for it.
//!
//! An address is interned when a sample shows it, and stands in stacks as a place holder until its names arrive. What files
//! are needed for that is found at once, because the process may be gone a moment later.

mod files;
mod thread;

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::IndexMap;

use self::files::{CodeFiles, FileIndex, UsedFile, is_made_at_run_time};
use self::thread::{Question, SymbolThread};
use super::interpreter_frames::RunningCode;
use super::symbol::{CodePosition, NativeResult, NativeUnresolved};
use super::unwind::Located;
use crate::ids::{FrameId, ProcessKey};
use crate::profile::{Frame, FrameKind};

/// Different addresses kept; a recording that shows more has [`NativeUnresolved::NotMapped`] for them.
const MAX_ADDRESSES: usize = 1 << 20;
/// Addresses in one request to the thread.
const BATCH: usize = 1024;

/// Where an address is, so that it has the same names for every process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Address {
    /// In a file.
    File(FileIndex, CodePosition),
    /// In memory of a process that no file backs.
    Jit(ProcessKey, u64),
    /// In the kernel.
    Kernel(u64),
    /// Nowhere that is known.
    Unmapped,
}

/// An address that was sampled.
#[derive(Clone, Debug)]
struct SampledAddress {
    /// Whether it is in the interpreter's evaluation loop.
    is_loop: bool,
    names: Names,
}

/// What an address stands for.
#[derive(Clone, Debug)]
enum Names {
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

/// Names of all native and kernel addresses of a recording.
#[derive(Debug)]
pub struct NativeNames {
    show_all: bool,
    addresses: IndexMap<Address, SampledAddress>,
    files: CodeFiles,
    questions: Vec<Question>,
    outstanding: usize,
    thread: SymbolThread,
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
        Ok(Self {
            show_all,
            addresses: IndexMap::new(),
            files: CodeFiles::default(),
            questions: Vec::new(),
            outstanding: 0,
            thread: SymbolThread::start()?,
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
        let entry = entry.or_insert(SampledAddress {
            is_loop,
            names: Names::Pending,
        });
        match &entry.names {
            Names::Known(frames) => stack.extend_from_slice(frames),
            Names::Pending => stack.push(FrameId::pending(index)),
        }
        if is_new {
            self.ask(index, address);
        }
    }

    fn ask(&mut self, index: u32, address: Address) {
        let question = match address {
            Address::File(file, position) => {
                let code = self.files.get(file).and_then(|file| file.code.clone());
                code.map(|code| Question::File(index, code, position))
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
        self.files.let_go();
        if self.questions.is_empty() {
            return;
        }
        let questions = std::mem::take(&mut self.questions);
        self.outstanding += questions.len();
        if self.thread.ask(questions).is_err() {
            log::warn!("the symbol thread has ended");
            self.outstanding = 0;
        }
    }

    /// Takes in the names that have arrived.
    pub fn collect(&mut self, frames: &mut impl Intern) {
        while let Some(answers) = self.thread.answers() {
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
        let open: Vec<u32> = (0u32..)
            .zip(self.addresses.values())
            .filter(|(_, entry)| matches!(entry.names, Names::Pending))
            .map(|(index, _)| index)
            .collect();
        for index in open {
            self.settle(index, &Err(self.reason(index)), frames);
        }
        self.thread.end(self.outstanding == 0);
        let entries = self.addresses.into_values();
        let known = entries.map(|entry| match entry.names {
            Names::Known(frames) => frames,
            Names::Pending => Arc::from([]),
        });
        Named {
            late: known.collect(),
            unnamed: self.unnamed.into_iter().collect(),
        }
    }

    /// Why an address has no names that nobody could be asked about.
    fn reason(&self, index: u32) -> NativeUnresolved {
        match self.addresses.get_index(index as usize) {
            Some((Address::File(file, _), _)) => match self.files.get(*file) {
                Some(UsedFile { code: None, .. }) => NativeUnresolved::FileUnreadable,
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
            Address::File(file, _) => (FrameKind::Native, self.files.get(*file)),
            Address::Jit(..) | Address::Unmapped => (FrameKind::Native, None),
        };
        let is_plumbing = |symbol: Option<&str>| {
            let frame = RunningCode {
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
            entry.names = Names::Known(shown);
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
        let file = self.files.of(located, site.interpreter);
        let position = match located.static_address {
            Some(_) => mapping.static_address(site.address).map(CodePosition::Address),
            None => mapping.file_offset(site.address).map(CodePosition::Offset),
        };
        position.map_or(Address::Unmapped, |position| Address::File(file, position))
    }
}
