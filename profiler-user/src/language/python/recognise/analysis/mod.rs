//! What one ELF file is to a Python profiler: an interpreter, and where its `_PyRuntime` is, or nothing.
//!
//! Used by [`super::Inspector`] and by the fuzz target. Goes by what the file contains, never by
//! its name. The file is foreign: work and memory are bounded whatever its headers claim, and a refusal has a
//! type. Needs no process, opens nothing.

mod facts;
mod version_texts;

use std::collections::BTreeSet;
use std::fs::File;

use object::LittleEndian;
use object::elf::{FileHeader32, FileHeader64};
use object::read::ReadRef as _;
use object::read::elf::FileHeader;

pub use self::facts::{Analysis, CPython, Implementation, Libc, VersionEvidence};

use super::version::Version;
use super::{anchors, evaluation_loop};
use crate::elf::image::Image;
use crate::elf::source::{self, Bounded, Budget, Source};
use crate::elf::{ElfError, Segment, architecture};

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
