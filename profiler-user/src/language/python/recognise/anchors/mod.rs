//! Where an interpreter's file keeps what leads to a thread's state, beyond `_PyRuntime`.
//!
//! Used by [`super`] for every CPython. The variables are local to the file, so stripped files do not name
//! them, but exported functions return them or hand them on, and these are a few instructions long:
//! `PyGILState_GetThisThreadState` (`Python/pystate.c`) and `PyInterpreterState_Head`. Names from `.symtab`
//! are taken where there are any. Reads the file only.

mod aarch64;
mod machine;
mod x86_64;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::Range;

use object::elf::{STT_FUNC, STT_OBJECT, STT_TLS};

use self::machine::{Base, BasedAddress, Code, Findings, Function, Word, follow};
use crate::elf::{Architecture, ElfFile, Relocated, Segment, Wanted};

/// Words of the file whose relocation is looked for; interpreters need one to three.
const MAX_WORDS: usize = 32;
/// Thread-local variables farther from the thread pointer than this are misread.
const MAX_THREAD_OFFSET: u64 = 16 << 20;

/// Static addresses of an interpreter's variables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    /// `_PyThreadState_Current`, the pointer to the state of the thread that holds the GIL; up to 3.6.
    pub current_thread_state: Option<u64>,
    /// The pointer to the first interpreter: `interp_head`, from 3.7 on a field of `_PyRuntime`.
    pub interpreters_head: Option<u64>,
    /// The `int` that holds the pthread key of the thread states: `autoTLSkey` in 3.6, the field `_key` of a
    /// `Py_tss_t` in `_PyRuntime` in 3.7 to 3.14. 2.7 has no such key, it keeps a list of its own.
    pub thread_key: Option<u64>,
    /// The thread-local pointer to the thread's state, `_Py_tss_gilstate`; from 3.15 on.
    pub gilstate_tls: Option<TlsVariable>,
    /// The `int` that is not 0 during a garbage collection, `collecting`; up to 3.6 and only where the file
    /// has its static symbols.
    pub gc_collecting: Option<u64>,
    /// The GIL, up to 3.6.
    pub gil: Option<GilVariable>,
}

/// Where a file without `_PyRuntime` keeps the GIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GilVariable {
    /// The static address of the pointer to it, `interpreter_lock` (2.7).
    Pointer(u64),
    /// It is variables side by side (3.6); only where the file has its static symbols.
    At {
        /// Static address of the first one.
        start: u64,
        /// Bytes up to the end of the last one.
        bytes: u8,
    },
}

/// How the file's code gets at a thread-local variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVariable {
    /// At a fixed distance from the thread pointer, in bytes (local-exec; negative on x86-64).
    FromThreadPointer(i64),
    /// In the thread's block for a module: the static address of {module, offset} in the global offset table,
    /// and what the code adds (general and local dynamic).
    InModule {
        /// Static address of the two words.
        slot: u64,
        /// Bytes.
        displacement: i64,
    },
    /// The loader leaves the distance from the thread pointer in a word (initial-exec).
    OffsetAt {
        /// Static address of the word.
        slot: u64,
        /// Bytes that the code adds.
        displacement: i64,
    },
    /// The loader leaves a TLS descriptor {function, argument}.
    Descriptor {
        /// Static address of the two words.
        slot: u64,
        /// Bytes that the code adds.
        displacement: i64,
    },
}

/// Finds the anchors of the interpreter in `file`, whose `_PyRuntime` is at `runtime` if it has one.
pub(super) fn find(file: &ElfFile, runtime: Option<u64>) -> Anchors {
    if !file.is_64_bit() {
        return Anchors::default();
    }
    let decoded = from_code(file).within(file.segments());
    let is_complete = decoded.thread_key.is_some() || decoded.gilstate_tls.is_some();
    if runtime.is_some() && is_complete {
        return decoded;
    }
    let named = from_symbols(file, runtime.is_none()).within(file.segments());
    Anchors {
        current_thread_state: named.current_thread_state,
        interpreters_head: named.interpreters_head.or(decoded.interpreters_head),
        thread_key: named.thread_key.or(decoded.thread_key),
        gilstate_tls: named.gilstate_tls.or(decoded.gilstate_tls),
        gc_collecting: named.gc_collecting,
        gil: named.gil,
    }
}

/// What the symbol tables name.
fn from_symbols(file: &ElfFile, has_static_gil: bool) -> Anchors {
    const fn variable(name: &'static [u8], size: u64) -> Wanted {
        let kind = STT_OBJECT;
        Wanted { name, kind, size }
    }
    let [head, key, own_keys, collecting, gilstate] = file.static_symbols([
        variable(b"interp_head", 8),
        variable(b"autoTLSkey", 4),
        // The list with which 2.7 does without pthread's keys; its `autoTLSkey` counts in that.
        variable(b"keyhead", 8),
        variable(b"collecting", 4),
        Wanted {
            name: b"_Py_tss_gilstate",
            kind: STT_TLS,
            size: 8,
        },
    ]);
    Anchors {
        current_thread_state: file
            .dynamic_symbol(b"_PyThreadState_Current")
            .map(|symbol| symbol.address),
        interpreters_head: head,
        thread_key: key.filter(|_| own_keys.is_none()),
        gilstate_tls: gilstate.and_then(|value| in_program(file, value)),
        gc_collecting: collecting,
        gil: gil_variable(file).filter(|_| has_static_gil),
    }
}

/// `PyMUTEX_T` and `PyCOND_T` (`Python/condvar.h`) with any C library on 64-bit processors.
const MUTEX_BYTES: u64 = 40;
const CONDITION_BYTES: u64 = 48;

/// `interpreter_lock`, or the four variables of 3.6.
fn gil_variable(file: &ElfFile) -> Option<GilVariable> {
    let kind = STT_OBJECT;
    let parts: [(&'static [u8], u64); 5] = [
        (b"gil_cond", CONDITION_BYTES),
        (b"gil_mutex", MUTEX_BYTES),
        (b"switch_cond", CONDITION_BYTES),
        (b"switch_mutex", MUTEX_BYTES),
        (b"interpreter_lock", 8),
    ];
    let found = file.static_symbols(parts.map(|(name, size)| Wanted { name, kind, size }));
    let (of_2_7, of_3_6) = (found[4], &found[..4]);
    if let Some(pointer) = of_2_7.or_else(|| returned_lock(file)) {
        return Some(GilVariable::Pointer(pointer));
    }
    let mut all: Option<Range<u64>> = None;
    for (start, (_, size)) in of_3_6.iter().zip(parts) {
        let start = *start;
        let part = start?..start?.checked_add(size)?;
        all = Some(match all {
            None => part,
            Some(all) => all.start.min(part.start)..all.end.max(part.end),
        });
    }
    let all = all?;
    let bytes = u8::try_from(all.end - all.start).ok()?;
    Some(GilVariable::At {
        start: all.start,
        bytes,
    })
}

/// `interpreter_lock` by the code of `PyEval_ThreadsInitialized`, which in 2.7 returns whether it is not null.
fn returned_lock(file: &ElfFile) -> Option<u64> {
    // Only 2.7 has it.
    file.dynamic_symbol(b"PyString_FromString")?;
    let function = file.dynamic_symbol(b"PyEval_ThreadsInitialized")?;
    match file.architecture() {
        Architecture::X86_64 => x86_64::first_variable(&FileCode::new(file), function.address),
        Architecture::Aarch64 | Architecture::Other(_) => None,
    }
}

/// A thread-local symbol of a program: its block is the first one, at a distance from the thread pointer that
/// the ABI fixes (Drepper, "ELF Handling For Thread-Local Storage", 3). A library's symbols do not tell.
fn in_program(file: &ElfFile, value: u64) -> Option<TlsVariable> {
    let block = file.thread_locals().filter(|_| file.is_program())?;
    let alignment = block.alignment.max(1);
    if !alignment.is_power_of_two() {
        return None;
    }
    let up = |bytes: u64| bytes.checked_add(alignment - 1).map(|end| end & !(alignment - 1));
    let offset = match file.architecture() {
        // Below the thread pointer. The block starts as far past a multiple of its alignment as its
        // initial values do.
        Architecture::X86_64 => {
            let end = block.address.checked_add(block.memory_bytes)?;
            let bytes = block.memory_bytes.checked_add(up(end)?.checked_sub(end)?)?;
            value.wrapping_sub(bytes)
        }
        // Behind the two words at the thread pointer.
        Architecture::Aarch64 => value.checked_add(up(16)?)?,
        Architecture::Other(_) => return None,
    };
    near_thread_pointer(offset)
}

fn near_thread_pointer(offset: u64) -> Option<TlsVariable> {
    let offset = offset.cast_signed();
    (offset.unsigned_abs() < MAX_THREAD_OFFSET).then_some(TlsVariable::FromThreadPointer(offset))
}

/// What the code of exported functions says.
fn from_code(file: &ElfFile) -> Anchors {
    let code = FileCode::new(file);
    let (thread, head) = (code.follow(0), code.follow(1));
    let interpreters_head = match head.returned {
        Some(BasedAddress {
            base: Base::File,
            offset,
        }) => Some(offset),
        _ => None,
    };
    Anchors {
        interpreters_head,
        thread_key: thread.key,
        gilstate_tls: thread.returned.and_then(thread_local),
        ..Anchors::default()
    }
}

impl Anchors {
    /// Without what cannot be a variable of the file.
    fn within(self, segments: &[Segment]) -> Self {
        let is_variable = |address: u64, bytes: u64| {
            let is_in = |segment: &Segment| segment.writable && segment.contains(address);
            address.is_multiple_of(bytes) && segments.iter().any(is_in)
        };
        Self {
            current_thread_state: self
                .current_thread_state
                .filter(|&address| is_variable(address, 8)),
            interpreters_head: self.interpreters_head.filter(|&address| is_variable(address, 8)),
            thread_key: self.thread_key.filter(|&address| is_variable(address, 4)),
            gilstate_tls: self.gilstate_tls.filter(|variable| match variable {
                TlsVariable::FromThreadPointer(_) => true,
                TlsVariable::InModule { slot, .. }
                | TlsVariable::OffsetAt { slot, .. }
                | TlsVariable::Descriptor { slot, .. } => is_variable(*slot, 8),
            }),
            gc_collecting: self.gc_collecting.filter(|&address| is_variable(address, 4)),
            gil: self.gil.filter(|variable| match variable {
                GilVariable::Pointer(start) | GilVariable::At { start, .. } => is_variable(*start, 8),
            }),
        }
    }
}

fn thread_local(place: BasedAddress) -> Option<TlsVariable> {
    let displacement = place.offset.cast_signed();
    Some(match place.base {
        Base::Thread => return near_thread_pointer(place.offset),
        Base::Module(slot) => TlsVariable::InModule { slot, displacement },
        Base::ThreadOffsetAt(slot) => TlsVariable::OffsetAt { slot, displacement },
        Base::Descriptor(slot) => TlsVariable::Descriptor { slot, displacement },
        Base::File | Base::Stack => return None,
    })
}

/// Functions looked at, and those of the C library where the file itself has them (linked statically).
const FUNCTIONS: [&[u8]; 4] = [
    b"PyGILState_GetThisThreadState",
    b"PyInterpreterState_Head",
    b"pthread_getspecific",
    b"__tls_get_addr",
];

/// The code of a file.
struct FileCode<'f> {
    file: &'f ElfFile,
    /// Static addresses of [`FUNCTIONS`].
    functions: [Option<u64>; 4],
    /// What [`Code::word`] said.
    words: RefCell<Vec<(u64, Word)>>,
}

impl<'f> FileCode<'f> {
    fn new(file: &'f ElfFile) -> Self {
        // What a dynamically linked interpreter does not export is in the C library.
        let functions = if file.is_dynamic() {
            FUNCTIONS.map(|name| file.dynamic_symbol(name).map(|symbol| symbol.address))
        } else {
            let (kind, size) = (STT_FUNC, 0);
            file.static_symbols(FUNCTIONS.map(|name| Wanted { name, kind, size }))
        };
        Self {
            file,
            functions,
            words: RefCell::default(),
        }
    }

    /// Follows the function of [`FUNCTIONS`] at this index.
    fn follow(&self, index: usize) -> Findings {
        let Some(function) = self.functions[index] else {
            return Findings::default();
        };
        match self.file.architecture() {
            Architecture::X86_64 => follow(self, x86_64::X86_64::new(), function),
            Architecture::Aarch64 => follow(self, aarch64::Aarch64, function),
            Architecture::Other(_) => Findings::default(),
        }
    }
}

impl Code for FileCode<'_> {
    fn instructions(&self, address: u64, out: &mut [u8]) -> usize {
        self.read_code(address, out).unwrap_or(0)
    }

    fn word(&self, address: u64) -> Word {
        let mut words = self.words.borrow_mut();
        if let Some(known) = words.iter().find(|known| known.0 == address) {
            return known.1;
        }
        if words.len() >= MAX_WORDS {
            return Word::Variable;
        }
        let word = self.look_up(address);
        words.push((address, word));
        word
    }

    fn function(&self, address: u64) -> Option<Function> {
        let [_, _, get_specific, tls_get_addr] = self.functions;
        match Some(address) {
            found if found == get_specific => Some(Function::GetSpecific),
            found if found == tls_get_addr => Some(Function::TlsGetAddr),
            _ => None,
        }
    }
}

impl FileCode<'_> {
    fn look_up(&self, address: u64) -> Word {
        let mut bytes = [0; 8];
        // What the file does not hold (`.bss`) is a variable.
        if self.file.read_address(address, &mut bytes).is_none() {
            return Word::Variable;
        }
        match self.file.relocation(address) {
            Some(Relocated::Address(address)) => Word::Address(address),
            Some(Relocated::Symbol { index, addend }) => self.symbol(index, addend),
            Some(Relocated::Descriptor) => Word::Descriptor,
            Some(Relocated::Other) => Word::Variable,
            None if self.is_constant(address) => Word::Address(u64::from_le_bytes(bytes)),
            None => Word::Variable,
        }
    }

    fn read_code(&self, address: u64, out: &mut [u8]) -> Option<usize> {
        let code = self.file.segments().iter().filter(|segment| segment.executable);
        let mut extents = code.filter_map(|segment| segment.file_extent(address));
        let (start, left) = extents.next()?;
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
        let out = out.get_mut(..count)?;
        self.file.reader().read_into(out, start).ok()?;
        Some(count)
    }

    fn symbol(&self, index: u32, addend: u64) -> Word {
        let Some(symbol) = self.file.dynamic_symbol_at(index) else {
            return Word::Variable;
        };
        if let Some(definition) = symbol.definition {
            return Word::Address(definition.address.wrapping_add(addend));
        }
        let is = |name: &[u8]| self.file.is_text(symbol.name_at, name);
        Word::Function(match () {
            () if is(b"pthread_getspecific") => Function::GetSpecific,
            () if is(b"__tls_get_addr") => Function::TlsGetAddr,
            () if is(b"__assert_fail") || is(b"abort") => Function::NoReturn,
            () => Function::Other,
        })
    }

    /// Whether the word stays as the loader left it.
    fn is_constant(&self, address: u64) -> bool {
        let is_read_only = |segment: &Segment| !segment.writable && segment.file_extent(address).is_some();
        self.file.written_once().contains(&address) || self.file.segments().iter().any(is_read_only)
    }
}
