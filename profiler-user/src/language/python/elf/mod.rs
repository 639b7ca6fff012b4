//! What one ELF file is to a Python profiler: an interpreter, and where its `_PyRuntime` is, or nothing.
//!
//! Used by [`super::Inspector`] and by the fuzz target. Goes by what the file contains, never by
//! its name. The file is foreign: work and memory are bounded whatever its headers claim, and a refusal has a
//! type. Needs no process, opens nothing.

mod anchors;
mod evaluation_loop;
mod image;
mod relocations;
mod sections;
mod source;
mod static_symbols;
mod text;

use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;

use object::LittleEndian;
use object::elf::{EM_AARCH64, EM_X86_64, FileHeader32, FileHeader64, Machine};
use object::read::ReadRef as _;
use object::read::elf::FileHeader;

pub use self::anchors::{Anchors, TlsVariable};
pub use self::evaluation_loop::NoLoop;

use self::image::Image;
use self::source::{Bounded, Budget, Source};
use super::version::Version;

/// `_PyRuntime` before 3.13 has 656 bytes (3.9.18) or more, 460 KB at most (3.12); a generous range around
/// that.
const RUNTIME_BYTES: std::ops::RangeInclusive<u64> = 512..=4 << 20;
/// Bytes of `_Py_DebugOffsets` kept; 888 in 3.15.
const DEBUG_OFFSETS_BYTES: usize = 1024;
/// First bytes of `_Py_DebugOffsets` (`Include/internal/pycore_runtime.h` of 3.13, `_Py_Debug_Cookie`).
pub(crate) const DEBUG_COOKIE: &[u8; 8] = b"xdebugpy";
/// Functions that only PyPy defines.
const PYPY_FUNCTIONS: &[&[u8]] = &[b"pypy_main_startup", b"pypy_execute_source"];

/// Exported by builds with `Py_STACKREF_DEBUG` only (`Include/internal/pycore_stackref.h` of 3.14).
const STACKREF_DEBUG_FUNCTION: &[u8] = b"_Py_stackref_get_object";

/// Why a file could not be analysed.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// No ELF magic.
    #[error("not an ELF file")]
    NotElf,
    /// Big-endian.
    #[error("big-endian ELF files are not supported")]
    BigEndian,
    /// The headers contradict each other or the file.
    #[error("malformed ELF file: {0}")]
    Malformed(String),
    /// Analysing it would take more reading than any real file.
    #[error("the ELF file is too large or claims to be")]
    TooLarge,
    /// The file could not be read.
    #[error("reading the ELF file")]
    Io(#[from] io::Error),
}

impl From<object::read::Error> for ElfError {
    fn from(error: object::read::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A `PT_LOAD` segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Static address.
    pub address: u64,
    /// Byte of the file that is loaded there.
    pub offset: u64,
    /// Bytes taken from the file.
    pub file_bytes: u64,
    /// Bytes in memory; what exceeds `file_bytes` is zero (`.bss`).
    pub memory_bytes: u64,
    /// `PF_W`
    pub writable: bool,
    /// `PF_X`
    pub executable: bool,
}

impl Segment {
    /// Byte of the file that is loaded at this static address; `None` outside the segment and in its `.bss`.
    fn file_offset(&self, address: u64) -> Option<u64> {
        let distance = address.checked_sub(self.address)?;
        (distance < self.file_bytes).then(|| self.offset.checked_add(distance))?
    }
}

/// The C library a program runs with, as far as the profiler cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Libc {
    /// The GNU C library.
    Glibc,
    /// musl.
    Musl,
}

impl Libc {
    /// For people and `ps --format json`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Glibc => "glibc",
            Self::Musl => "musl",
        }
    }
}

/// The processor a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// x86-64.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// Another; `e_machine` (System V ABI).
    Other(u16),
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::X86_64 => f.write_str("x86-64"),
            Self::Aarch64 => f.write_str("aarch64"),
            Self::Other(machine) => write!(f, "ELF machine {machine}"),
        }
    }
}

/// What can be said about an interpreter's version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VersionEvidence {
    /// This.
    Known(Version),
    /// The file does not say.
    Absent,
    /// It says several things.
    Contradictory(BTreeSet<Version>),
}

/// A CPython interpreter inside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CPython {
    /// Static address of `_PyRuntime`; `None` before 3.7, which has none.
    pub runtime: Option<u64>,
    /// Its version.
    pub version: VersionEvidence,
    /// The file's bytes from `_PyRuntime` on, when they begin with the cookie of `_Py_DebugOffsets` (3.13+).
    pub debug_offsets: Option<Box<[u8]>>,
    /// `sizeof(PyObject)`, when the file exports `_Py_NoneStruct`; more than 16 in builds with other object
    /// layouts.
    pub object_header_bytes: Option<u64>,
    /// Static address of `PyCode_Type`; `None` when the file does not export it.
    pub code_type: Option<u64>,
    /// Built with `Py_STACKREF_DEBUG` (3.14+).
    pub has_stackref_debug: bool,
    /// Where it keeps what leads to a thread's state.
    pub anchors: Anchors,
    /// Static addresses of the code of its evaluation loop, one piece or several; or why they are not known.
    pub evaluation_loop: Result<Box<[Range<u64>]>, NoLoop>,
}

/// A Python implementation inside a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Implementation {
    /// CPython.
    CPython(Box<CPython>),
    /// PyPy, of any version.
    PyPy,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Analysis {
    /// The interpreter in it; nearly always `None`.
    pub interpreter: Option<Implementation>,
    /// Processor.
    pub architecture: Architecture,
    /// 64-bit pointers.
    pub is_64_bit: bool,
    /// A program, not a library.
    pub is_program: bool,
    /// The C library it is linked with; `None` when the file does not tell.
    pub libc: Option<Libc>,
    /// Static address at which the dynamic loader leaves the address of its `r_debug` (the value of
    /// `DT_DEBUG`).
    pub debug_slot: Option<u64>,
    /// Has a `PyCode_Type`: besides interpreters, programs that the linker gave a copy of their library's.
    pub has_code_type: bool,
    /// `PT_LOAD` segments.
    pub segments: Box<[Segment]>,
}

/// Analyses an open file with positioned reads.
///
/// # Errors
/// [`ElfError`]; only [`ElfError::Io`] can be different at the next try.
pub fn analyze_file(file: &File) -> Result<Analysis, ElfError> {
    analyze(file)
}

/// Analyses a file's bytes.
///
/// # Errors
/// As [`analyze_file`], but never [`ElfError::Io`].
pub fn analyze_bytes(bytes: &[u8]) -> Result<Analysis, ElfError> {
    analyze(bytes)
}

/// `sizeof(struct pthread)` of the glibc in an open file, in bytes, as it tells debuggers in
/// `_thread_db_sizeof_pthread` (`nptl_db/structs.def`): exported by `libc.so.6` from 2.34 on, before a local
/// symbol of `libpthread.so.0`. `None` when the file does not say.
///
/// # Errors
/// As [`analyze_file`].
pub fn sizeof_pthread(file: &File) -> Result<Option<u16>, ElfError> {
    const NAME: &[u8] = b"_thread_db_sizeof_pthread";
    with_image64(file, |image| {
        let address = match image.dynamic_symbol(NAME) {
            Some(symbol) => symbol.address,
            None => image.static_symbol(NAME, 4..=4)?.address,
        };
        let mut bytes = [0; 4];
        image.read_address(address, &mut bytes)?;
        u16::try_from(u32::from_le_bytes(bytes)).ok()
    })
}

/// What `find` finds in a 64-bit file; `None` in others.
fn with_image64<T, S: Source>(
    source: S,
    find: impl for<'i> FnOnce(&Image<'i, FileHeader64<LittleEndian>, S>) -> Option<T>,
) -> Result<Option<T>, ElfError> {
    let budget = Budget::new();
    let cache = source::cache(source, &budget)?;
    let data = Bounded::new(&cache, source, &budget);
    let result = match data.read_bytes_at(0, 16).unwrap_or_default() {
        [0x7f, b'E', b'L', b'F', 2, 1, ..] => Image::parse(data).map(|image| find(&image)),
        [0x7f, b'E', b'L', b'F', ..] => Ok(None),
        _ => Err(ElfError::NotElf),
    };
    budget.failure().map_or(result, Err)
}

fn analyze<S: Source>(source: S) -> Result<Analysis, ElfError> {
    let budget = Budget::new();
    let cache = source::cache(source, &budget)?;
    let data = Bounded::new(&cache, source, &budget);
    let ident = data.read_bytes_at(0, 16).unwrap_or_default();
    let result = match ident {
        [0x7f, b'E', b'L', b'F', 1, 1, ..] => analyze_class::<FileHeader32<LittleEndian>, S>(data),
        [0x7f, b'E', b'L', b'F', 2, 1, ..] => analyze_class::<FileHeader64<LittleEndian>, S>(data),
        [0x7f, b'E', b'L', b'F', 1 | 2, 2, ..] => Err(ElfError::BigEndian),
        [0x7f, b'E', b'L', b'F', ..] => Err(ElfError::Malformed("no such class or byte order".to_owned())),
        _ => Err(ElfError::NotElf),
    };
    // What failed below may have failed because of the disk or the budget; then nothing can be said about the
    // file.
    budget.failure().map_or(result, Err)
}

fn analyze_class<Elf: FileHeader<Endian = LittleEndian>, S: Source>(
    data: Bounded<'_, S>,
) -> Result<Analysis, ElfError> {
    let image: Image<'_, Elf, S> = Image::parse(data)?;
    Ok(Analysis {
        interpreter: find_interpreter(&image),
        architecture: architecture(image.header.e_machine(LittleEndian)),
        is_64_bit: image.header.is_type_64(),
        is_program: image.is_program(),
        libc: find_libc(&image),
        debug_slot: image.debug_slot(),
        has_code_type: code_type(&image).is_some(),
        segments: image.segments.as_slice().into(),
    })
}

fn architecture(machine: Machine) -> Architecture {
    match machine {
        EM_X86_64 => Architecture::X86_64,
        EM_AARCH64 => Architecture::Aarch64,
        other => Architecture::Other(other.0),
    }
}

fn find_interpreter<Elf: FileHeader<Endian = LittleEndian>, S: Source>(
    image: &Image<'_, Elf, S>,
) -> Option<Implementation> {
    if PYPY_FUNCTIONS
        .iter()
        .any(|name| image.dynamic_symbol(name).is_some())
    {
        return Some(Implementation::PyPy);
    }
    let object_header_bytes = image.dynamic_symbol(b"_Py_NoneStruct").map(|symbol| symbol.size);
    if let Some(runtime) = find_runtime(image) {
        let debug_offsets = read_debug_offsets(image, runtime);
        let version = find_version(image, debug_offsets.as_deref());
        let runtime = Some(runtime);
        return Some(Implementation::CPython(Box::new(CPython {
            runtime,
            version,
            debug_offsets,
            object_header_bytes,
            code_type: code_type(image),
            has_stackref_debug: image.dynamic_symbol(STACKREF_DEBUG_FUNCTION).is_some(),
            anchors: anchors::find(image, runtime),
            evaluation_loop: evaluation_loop::find(image),
        })));
    }
    // Up to 3.6 there is no `_PyRuntime`; this is the state of the thread that holds the GIL.
    image.dynamic_symbol(b"_PyThreadState_Current")?;
    let version = find_version(image, None);
    Some(Implementation::CPython(Box::new(CPython {
        runtime: None,
        version,
        debug_offsets: None,
        object_header_bytes,
        code_type: code_type(image),
        has_stackref_debug: false,
        anchors: anchors::find(image, None),
        evaluation_loop: evaluation_loop::find(image),
    })))
}

fn code_type<Elf: FileHeader<Endian = LittleEndian>, S: Source>(image: &Image<'_, Elf, S>) -> Option<u64> {
    image.dynamic_symbol(b"PyCode_Type").map(|symbol| symbol.address)
}

/// The dynamic symbol survives stripping; the section (3.10+) survives hidden visibility; the static symbol
/// is the last resort.
fn find_runtime<Elf: FileHeader<Endian = LittleEndian>, S: Source>(image: &Image<'_, Elf, S>) -> Option<u64> {
    let address = image
        .dynamic_symbol(b"_PyRuntime")
        .map(|symbol| symbol.address)
        .or_else(|| image.section(b".PyRuntime").map(|section| section.address))
        .or_else(|| {
            image
                .static_symbol(b"_PyRuntime", RUNTIME_BYTES)
                .map(|symbol| symbol.address)
        })?;
    // An address that is not loaded is no definition.
    let is_loaded = |segment: &Segment| {
        address
            .checked_sub(segment.address)
            .is_some_and(|distance| distance < segment.memory_bytes)
    };
    image.segments.iter().any(is_loaded).then_some(address)
}

fn read_debug_offsets<Elf: FileHeader<Endian = LittleEndian>, S: Source>(
    image: &Image<'_, Elf, S>,
    runtime: u64,
) -> Option<Box<[u8]>> {
    let mut bytes = vec![0; DEBUG_OFFSETS_BYTES];
    image.read_address(runtime, &mut bytes)?;
    bytes.starts_with(DEBUG_COOKIE).then(|| bytes.into_boxed_slice())
}

/// 3.13+: `_Py_DebugOffsets.version`. 3.11+: `Py_Version`. Before: soname and cache tag, which must agree.
fn find_version<Elf: FileHeader<Endian = LittleEndian>, S: Source>(
    image: &Image<'_, Elf, S>,
    debug_offsets: Option<&[u8]>,
) -> VersionEvidence {
    let mut numbers = BTreeSet::new();
    numbers.extend(
        debug_offsets
            .and_then(|bytes| le_u32(bytes.get(8..12)?))
            .and_then(Version::from_hex),
    );
    numbers.extend(exported_version(image));
    let version = match only(numbers) {
        VersionEvidence::Absent => {
            let mut texts = image.cache_tags();
            texts.extend(image.soname().and_then(Version::from_soname));
            only(texts)
        }
        evidence => evidence,
    };
    match version {
        VersionEvidence::Known(version) if version.micro.is_none() => {
            VersionEvidence::Known(image.full_version(version).unwrap_or(version))
        }
        evidence => evidence,
    }
}

/// `const unsigned long Py_Version` (`Include/pylifecycle.h` of 3.11).
fn exported_version<Elf: FileHeader<Endian = LittleEndian>, S: Source>(
    image: &Image<'_, Elf, S>,
) -> Option<Version> {
    let mut bytes = [0; 4];
    image.read_address(image.dynamic_symbol(b"Py_Version")?.address, &mut bytes)?;
    Version::from_hex(u32::from_le_bytes(bytes))
}

fn only(versions: BTreeSet<Version>) -> VersionEvidence {
    match versions.len() {
        0 => VersionEvidence::Absent,
        1 => versions.first().map_or(VersionEvidence::Absent, |&version| {
            VersionEvidence::Known(version)
        }),
        _ => VersionEvidence::Contradictory(versions),
    }
}

/// By the loader a program asks for; a library by the C library it needs; a static program by glibc's ABI note.
fn find_libc<Elf: FileHeader<Endian = LittleEndian>, S: Source>(image: &Image<'_, Elf, S>) -> Option<Libc> {
    if let Some(loader) = &image.loader {
        let name = loader.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        return Some(if name.starts_with(b"ld-musl") {
            Libc::Musl
        } else {
            Libc::Glibc
        });
    }
    if image.needs(|name| name == b"libc.so.6") {
        return Some(Libc::Glibc);
    }
    // Alpine's soname, and that of musl built by hand.
    if image.needs(|name| name.starts_with(b"libc.musl-") || name == b"libc.so") {
        return Some(Libc::Musl);
    }
    if image.is_dynamic() && !image.is_program() {
        return None;
    }
    Some(if image.has_abi_note {
        Libc::Glibc
    } else {
        Libc::Musl
    })
}

fn le_u32(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests;
