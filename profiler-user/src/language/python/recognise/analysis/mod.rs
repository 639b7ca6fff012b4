//! What one ELF file is to a Python profiler: an interpreter, and where its `_PyRuntime` is, or nothing.
//!
//! Used by [`super::Inspector`] and by the fuzz target. Goes by what the file contains, never by
//! its name. The file is foreign: work and memory are bounded whatever its headers claim, and a refusal has a
//! type. Needs no process, opens nothing.

mod facts;
mod version_texts;

pub use self::facts::{Analysis, CPython, Implementation, Libc, VersionEvidence};
use std::collections::BTreeSet;

use super::version::Version;
use super::{anchors, evaluation_loop};
use crate::elf::{ElfError, ElfFile, FileBytes, Symbol};
use crate::language::python::layout::debug_fields::DEBUG_COOKIE;
use crate::path::base_name_of_bytes;

/// Bytes read of one file, all in all.
const BUDGET_BYTES: u64 = 64 << 20;
/// `_PyRuntime` before 3.13 has 656 bytes (3.9.18) or more, 460 KB at most (3.12); a generous range around
/// that.
const RUNTIME_BYTES: std::ops::RangeInclusive<u64> = 512..=4 << 20;
/// Bytes of `_Py_DebugOffsets` kept; 888 in 3.15.
const DEBUG_OFFSETS_BYTES: usize = 1024;
/// Functions that only PyPy defines.
const PYPY_FUNCTIONS: &[&[u8]] = &[b"pypy_main_startup", b"pypy_execute_source"];

/// Exported by builds with `Py_STACKREF_DEBUG` only (`Include/internal/pycore_stackref.h` of 3.14).
const STACKREF_DEBUG_FUNCTION: &[u8] = b"_Py_stackref_get_object";

/// Says what a file is.
///
/// # Errors
/// [`ElfError`]; only [`ElfError::Io`] can be different at the next try.
pub fn analyze(bytes: impl Into<FileBytes>) -> Result<Analysis, ElfError> {
    let file = ElfFile::open(bytes.into(), BUDGET_BYTES)?;
    let analysis = Analysis {
        interpreter: find_interpreter(&file),
        architecture: file.architecture(),
        is_64_bit: file.is_64_bit(),
        is_program: file.is_program(),
        libc: find_libc(&file),
        debug_slot: file.debug_slot(),
        has_code_type: code_type(&file).is_some(),
        segments: file.segments().into(),
    };
    // What was not found may not have been found because of the disk or the budget; then nothing can be said about the
    // file.
    file.reader().failure().map_or(Ok(analysis), Err)
}

fn find_interpreter(file: &ElfFile) -> Option<Implementation> {
    if PYPY_FUNCTIONS
        .iter()
        .any(|name| file.dynamic_symbol(name).is_some())
    {
        return Some(Implementation::PyPy);
    }
    let object_header_bytes = file.dynamic_symbol(b"_Py_NoneStruct").map(|symbol| symbol.size);
    if let Some((runtime, runtime_bytes)) = find_runtime(file) {
        let debug_offsets = read_debug_offsets(file, runtime);
        let version = find_version(file, debug_offsets.as_deref());
        let runtime = Some(runtime);
        return Some(Implementation::CPython(Box::new(CPython {
            runtime,
            runtime_bytes,
            version,
            debug_offsets,
            object_header_bytes,
            code_type: code_type(file),
            has_stackref_debug: file.dynamic_symbol(STACKREF_DEBUG_FUNCTION).is_some(),
            anchors: anchors::find(file, runtime),
            evaluation_loop: evaluation_loop::find(file),
        })));
    }
    // Up to 3.6 there is no `_PyRuntime`; this is the state of the thread that holds the GIL.
    file.dynamic_symbol(b"_PyThreadState_Current")?;
    let version = find_version(file, None);
    Some(Implementation::CPython(Box::new(CPython {
        runtime: None,
        runtime_bytes: 0,
        version,
        debug_offsets: None,
        object_header_bytes,
        code_type: code_type(file),
        has_stackref_debug: false,
        anchors: anchors::find(file, None),
        evaluation_loop: evaluation_loop::find(file),
    })))
}

fn code_type(file: &ElfFile) -> Option<u64> {
    file.dynamic_symbol(b"PyCode_Type").map(|symbol| symbol.address)
}

/// The dynamic symbol survives stripping; the section (3.10+) survives hidden visibility; the static symbol
/// is the last resort. Address and size.
fn find_runtime(file: &ElfFile) -> Option<(u64, u64)> {
    let of_section = || {
        let section = file.loaded_section(b".PyRuntime")?;
        Some((section.address, section.size))
    };
    let of_symbol = |symbol: Symbol| (symbol.address, symbol.size);
    let (address, bytes) = file
        .dynamic_symbol(b"_PyRuntime")
        .map(of_symbol)
        .or_else(of_section)
        .or_else(|| file.static_symbol(b"_PyRuntime", RUNTIME_BYTES).map(of_symbol))?;
    // An address that is not loaded is not a definition.
    let is_loaded = file.segments().iter().any(|segment| segment.contains(address));
    is_loaded.then_some((address, bytes))
}

fn read_debug_offsets(file: &ElfFile, runtime: u64) -> Option<Box<[u8]>> {
    let mut bytes = vec![0; DEBUG_OFFSETS_BYTES];
    file.read_address(runtime, &mut bytes)?;
    bytes.starts_with(DEBUG_COOKIE).then(|| bytes.into_boxed_slice())
}

/// 3.13+: `_Py_DebugOffsets.version`. 3.11+: `Py_Version`. Before: soname and cache tag, which must agree.
fn find_version(file: &ElfFile, debug_offsets: Option<&[u8]>) -> VersionEvidence {
    let mut numbers = BTreeSet::new();
    numbers.extend(
        debug_offsets
            .and_then(|bytes| le_u32(bytes.get(8..12)?))
            .and_then(Version::from_hex),
    );
    numbers.extend(exported_version(file));
    let version = match only(numbers) {
        VersionEvidence::Absent => {
            let mut texts = version_texts::cache_tags(file);
            texts.extend(file.soname().as_deref().and_then(Version::from_soname));
            only(texts)
        }
        evidence => evidence,
    };
    match version {
        VersionEvidence::Known(version) if version.micro.is_none() => {
            VersionEvidence::Known(version_texts::full_version(file, version).unwrap_or(version))
        }
        evidence => evidence,
    }
}

/// `const unsigned long Py_Version` (`Include/pylifecycle.h` of 3.11).
fn exported_version(file: &ElfFile) -> Option<Version> {
    let mut bytes = [0; 4];
    file.read_address(file.dynamic_symbol(b"Py_Version")?.address, &mut bytes)?;
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
fn find_libc(file: &ElfFile) -> Option<Libc> {
    if let Some(loader) = file.loader() {
        let name = base_name_of_bytes(&loader);
        return Some(if name.starts_with(b"ld-musl") {
            Libc::Musl
        } else {
            Libc::Glibc
        });
    }
    if file.needs(|name| name == b"libc.so.6") {
        return Some(Libc::Glibc);
    }
    // Alpine's soname, and that of musl built by hand.
    if file.needs(|name| name.starts_with(b"libc.musl-") || name == b"libc.so") {
        return Some(Libc::Musl);
    }
    if file.is_dynamic() && !file.is_program() {
        return None;
    }
    Some(if file.has_abi_note() {
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
