//! Names of native and kernel addresses, found beside the event loop: reading symbols takes from microseconds to seconds,
//! and samples must not wait for it.
//!
//! An address gets a number when a sample shows it, which stands in stacks until its names arrive. What files are needed for
//! that is found at once, because the process may be gone a moment later.
//!
//! Numbers are given back: [`NativeNames::forget_before`] drops the addresses that no sample has shown for a while.

mod files;
mod thread;

use std::collections::HashMap;
use std::sync::Arc;

use self::files::{CodeFiles, FileIndex, UsedFile, is_made_at_run_time};
use self::thread::{Question, SymbolThread};
use super::interpreter_frames::RunningCode;
use super::symbol::{CodePosition, NativeResult, NativeUnresolved};
use super::unwind::Located;
use crate::ids::ProcessKey;
use crate::inspect::Opener;
use crate::profile::frames::{Frame, FrameKind};

/// Different addresses kept; further ones are [`NativeUnresolved::NotMapped`].
const MAX_ADDRESSES: usize = 1 << 20;
/// Below this many addresses none is dropped, however long it was not shown.
const KEPT_ADDRESSES: usize = 1 << 16;
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
    address: Address,
    /// Whether it is in the interpreter's evaluation loop.
    is_loop: bool,
    names: Names,
    /// The generation in which a sample showed it last.
    last_shown: u64,
}

/// What an address stands for.
#[derive(Clone, Debug)]
enum Names {
    /// Being asked for.
    Pending,
    /// Outermost function first; empty when its frame is not to be shown.
    Known(Arc<[Frame]>),
}

/// A frame of a sample on its way to names.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// Where it is, as the unwinder's tables know it.
    pub located: Option<Located<'a>>,
    /// The address to be named: for a caller one within the call, not the one after it.
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
    /// Where in `entries` an address is.
    numbers: HashMap<Address, u32>,
    entries: Vec<Option<SampledAddress>>,
    /// Elements of `entries` that are empty.
    free: Vec<u32>,
    generation: u64,
    files: CodeFiles,
    questions: Vec<Question>,
    outstanding: usize,
    thread: SymbolThread,
    unnamed: HashMap<NativeUnresolved, u64>,
}

/// An address that a sample showed. Valid until [`NativeNames::forget_before`] passes the generation it was shown in last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressId(pub u32);

impl NativeNames {
    /// Starts the thread. With `show_all` the interpreter's own machinery is shown too.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(show_all: bool, opener: Opener) -> std::io::Result<Self> {
        Ok(Self {
            show_all,
            numbers: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            generation: 0,
            files: CodeFiles::new(opener.clone()),
            questions: Vec::new(),
            outstanding: 0,
            thread: SymbolThread::start(opener)?,
            unnamed: HashMap::new(),
        })
    }

    /// The number of a user frame, whose names are asked for if they are not known.
    pub fn user(&mut self, site: &Site<'_>) -> AddressId {
        let address = self.user_address(site);
        self.number(address, site.is_loop)
    }

    /// The number of a kernel address.
    pub fn kernel(&mut self, address: u64) -> AddressId {
        self.number(Address::Kernel(address), false)
    }

    /// What an address is called, outermost function first; `None` until the names have arrived.
    #[must_use]
    pub fn names(&self, address: AddressId) -> Option<&[Frame]> {
        match self.entry(address.0)?.names {
            Names::Known(ref frames) => Some(frames),
            Names::Pending => None,
        }
    }

    /// What an address is called as long as nothing better is known.
    #[must_use]
    pub fn nameless(&self, address: AddressId) -> Vec<Frame> {
        self.entry(address.0)
            .map(|entry| self.shown(entry, &Err(self.reason(address.0))))
            .unwrap_or_default()
    }

    /// Samples that are shown from now on belong to a new generation; returns its number.
    pub fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    /// Drops addresses that were shown last before `generation`, when there are many.
    pub fn forget_before(&mut self, generation: u64) {
        if self.numbers.len() < KEPT_ADDRESSES {
            return;
        }
        for (index, slot) in (0u32..).zip(&mut self.entries) {
            // An answer to what is pending would be taken for that of its successor.
            let is_old = |entry: &SampledAddress| {
                entry.last_shown < generation && matches!(entry.names, Names::Known(_))
            };
            if let Some(entry) = slot.take_if(|entry| is_old(entry)) {
                self.numbers.remove(&entry.address);
                self.free.push(index);
            }
        }
        let entries = self.entries.iter().flatten();
        let used = entries.filter_map(|entry| match entry.address {
            Address::File(file, _) => Some(file),
            Address::Jit(..) | Address::Kernel(_) | Address::Unmapped => None,
        });
        self.files.keep(&used.collect());
    }

    fn entry(&self, index: u32) -> Option<&SampledAddress> {
        self.entries.get(index as usize)?.as_ref()
    }

    fn number(&mut self, address: Address, is_loop: bool) -> AddressId {
        let address = if self.numbers.len() < MAX_ADDRESSES || self.numbers.contains_key(&address) {
            address
        } else {
            Address::Unmapped
        };
        if let Some(&index) = self.numbers.get(&address) {
            if let Some(Some(entry)) = self.entries.get_mut(index as usize) {
                entry.last_shown = self.generation;
            }
            return AddressId(index);
        }
        let entry = SampledAddress {
            address,
            is_loop,
            names: Names::Pending,
            last_shown: self.generation,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            u32::try_from(self.entries.len() - 1).unwrap_or(u32::MAX)
        });
        self.entries[index as usize] = Some(entry);
        self.numbers.insert(address, index);
        self.ask(index, address);
        AddressId(index)
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
    pub fn collect(&mut self) {
        while let Some(answers) = self.thread.answers() {
            self.outstanding = self.outstanding.saturating_sub(answers.len());
            for (index, result) in answers {
                self.settle(index, &result);
            }
        }
    }

    /// Addresses whose names have not arrived yet.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.outstanding
    }

    /// Settles what has no names, although answers may still come.
    pub fn settle_all(&mut self) {
        let is_open = |slot: &Option<SampledAddress>| {
            slot.as_ref()
                .is_some_and(|entry| matches!(entry.names, Names::Pending))
        };
        let open: Vec<u32> = (0u32..)
            .zip(&self.entries)
            .filter(|(_, slot)| is_open(slot))
            .map(|(index, _)| index)
            .collect();
        for index in open {
            self.settle(index, &Err(self.reason(index)));
        }
    }

    /// Different addresses without a name so far, by reason.
    pub fn unnamed(&self) -> impl Iterator<Item = (NativeUnresolved, u64)> {
        self.unnamed.iter().map(|(reason, count)| (*reason, *count))
    }

    /// Why an address has no names that nobody could be asked about.
    fn reason(&self, index: u32) -> NativeUnresolved {
        match self.entry(index).map(|entry| entry.address) {
            Some(Address::File(file, _)) => match self.files.get(file) {
                Some(UsedFile { code: None, .. }) => NativeUnresolved::FileUnreadable,
                _ => NativeUnresolved::SymbolizerFailed,
            },
            Some(Address::Unmapped) => NativeUnresolved::NotMapped,
            _ => NativeUnresolved::SymbolizerFailed,
        }
    }

    fn settle(&mut self, index: u32, result: &NativeResult) {
        let Some(entry) = self.entry(index) else { return };
        let shown = self.shown(entry, result);
        if let Err(reason) = result {
            *self.unnamed.entry(*reason).or_default() += 1;
        }
        if let Some(Some(entry)) = self.entries.get_mut(index as usize) {
            entry.names = Names::Known(shown.into());
        }
    }

    /// The frames of an address, outermost function first.
    fn shown(&self, entry: &SampledAddress, result: &NativeResult) -> Vec<Frame> {
        let (kind, file) = match entry.address {
            Address::Kernel(_) => (FrameKind::Kernel, None),
            Address::File(file, _) => (FrameKind::Native, self.files.get(file)),
            Address::Jit(..) | Address::Unmapped => (FrameKind::Native, None),
        };
        let is_plumbing = |symbol: Option<&str>| {
            let frame = RunningCode {
                symbol,
                is_in_interpreter: file.is_some_and(|file| file.is_interpreter),
                is_evaluation_loop: entry.is_loop,
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
        shown
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

impl Drop for NativeNames {
    fn drop(&mut self) {
        // One that still reads symbols is not waited for.
        self.thread.end(self.outstanding == 0);
    }
}
