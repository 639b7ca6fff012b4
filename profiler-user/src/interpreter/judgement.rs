//! Whether an interpreter that was found can be profiled, and all that reading it takes.
//!
//! Used by [`super::Inspector`]. Decides from the file's analysis and the process's mappings alone; reads
//! nothing.

use profiler_common::layout::Layout;
use profiler_common::process::ThreadSpecific;

use super::elf::{Analysis, CPython, Implementation, Libc, VersionEvidence};
use super::inspector::path_of;
use super::layout;
use super::loader;
use super::refusal::{Identity, Refusal};
use super::thread_specific::thread_specific;
use super::version::Version;
use super::{Interpreter, Linkage, Refused};
use crate::process::maps::{Mapping, Maps};

/// The interpreter in a mapped file, the reason why it is refused, or `None` when it is not completely mapped
/// yet.
pub(super) fn judge(
    maps: &Maps,
    mapping: &Mapping<'_>,
    analysis: &Analysis,
    implementation: &Implementation,
    program_libc: Option<Libc>,
) -> Result<Option<Interpreter>, Refused> {
    let file = path_of(mapping);
    let Implementation::CPython(cpython) = implementation else {
        return Err(Refused {
            what: Identity::PyPy,
            reason: Refusal::Unsupported,
            file,
        });
    };
    let version = match cpython.version {
        VersionEvidence::Known(version) => Some(version),
        _ => None,
    };
    let refuse = |reason| Refused {
        what: Identity::CPython(version),
        reason,
        file: file.clone(),
    };
    let usable = usable(analysis, cpython, program_libc).map_err(refuse)?;

    let Some(bias) = loader::load_bias(maps, mapping, &analysis.segments) else {
        return Ok(None);
    };
    let runtime_address = bias.wrapping_add(usable.runtime);
    if !maps
        .iter()
        .any(|mapping| mapping.writable && mapping.contains(runtime_address))
    {
        return Ok(None);
    }
    Ok(Some(Interpreter {
        version: usable.version,
        layout: usable.layout,
        runtime_address,
        libc: usable.libc,
        thread_specific: usable.thread_specific,
        linkage: if analysis.is_program {
            Linkage::Static
        } else {
            Linkage::Shared
        },
        file,
    }))
}

/// What a file has to offer before it can be profiled.
struct Usable {
    version: Version,
    runtime: u64,
    layout: Layout,
    libc: Libc,
    thread_specific: ThreadSpecific,
}

fn usable(analysis: &Analysis, cpython: &CPython, program_libc: Option<Libc>) -> Result<Usable, Refusal> {
    let version = match &cpython.version {
        VersionEvidence::Known(version) => *version,
        VersionEvidence::Absent => return Err(Refusal::NoVersion),
        VersionEvidence::Contradictory(versions) => return Err(Refusal::Contradictory(versions.clone())),
    };
    if !analysis.is_64_bit {
        return Err(Refusal::Is32Bit);
    }
    if analysis.architecture != layout::ARCHITECTURE {
        return Err(Refusal::Architecture(analysis.architecture));
    }
    let layout = layout::find(version, cpython)?;
    let runtime = cpython.runtime.ok_or(Refusal::Unsupported)?;
    let libc = analysis.libc.or(program_libc).ok_or(Refusal::UnknownLibc)?;
    let thread_specific = thread_specific(analysis.architecture, libc).ok_or(Refusal::UnknownLibc)?;
    Ok(Usable {
        version,
        runtime,
        layout,
        libc,
        thread_specific,
    })
}
