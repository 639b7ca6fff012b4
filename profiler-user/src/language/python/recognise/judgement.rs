//! Whether an interpreter that was found can be profiled, and all that reading it takes.
//!
//! Used by [`super::Inspector`]. Decides from the file's analysis and the process's mappings; of its memory it reads
//! only where the loader put the interpreter's thread-local variables (3.15+).

use profiler_common::contract::layout::Layout;
use profiler_common::contract::process::{DynamicThreadVector, ThreadSpecific};
use profiler_common::memory::{Fault, Memory};

use super::analysis::{Analysis, CPython, Implementation, Libc, VersionEvidence};
use super::choice::{self, ChosenLayout};
use super::finding::Refused;
use super::interpreter::{Interpreter, Linkage};
use super::loader;
use super::refusal::{InterpreterName, Refusal};
use super::version::Version;
use crate::language::python::layout::objects::ObjectFields;
use crate::language::python::layout::{self, VersionEntry};
use crate::language::python::lookup::Target;
use crate::language::python::lookup::thread_local;
use crate::language::python::lookup::thread_specific::{
    dynamic_thread_vector, newest_waiter, thread_specific,
};
use crate::proc::maps::{Mapping, Maps};

/// The interpreter in a mapped file, the reason why it is refused, or `None` when it is not completely mapped
/// yet.
pub(super) fn judge<M: Memory>(
    memory: &M,
    maps: &Maps,
    mapping: &Mapping<'_>,
    analysis: &Analysis,
    implementation: &Implementation,
    program: Option<&Analysis>,
) -> Result<Option<Interpreter>, Refused> {
    let file = mapping.file_path();
    let Implementation::CPython(cpython) = implementation else {
        return Err(Refused {
            what: InterpreterName::PyPy,
            reason: Refusal::Unsupported,
            file,
        });
    };
    let version = match cpython.version {
        VersionEvidence::Known(version) => Some(version),
        _ => None,
    };
    let refuse = |reason| Refused {
        what: InterpreterName::CPython(version),
        reason,
        file: file.clone(),
    };
    let program_libc = program.and_then(|program| program.libc);
    let usable = usable(analysis, cpython, program_libc).map_err(refuse)?;

    let Some(bias) = loader::load_bias(maps, mapping, &analysis.segments) else {
        return Ok(None);
    };
    let target = Target {
        entry: usable.entry,
        cpython,
        bias,
        has_own_types: analysis.is_program || !program.is_some_and(|program| program.has_code_type),
        specific: usable.specific,
        vector: usable.vector,
        newest_waiter: newest_waiter(usable.libc),
    };
    let landmark = target.landmark().map_err(refuse)?;
    if !maps
        .iter()
        .any(|mapping| mapping.writable && mapping.contains(landmark))
    {
        return Ok(None);
    }
    let thread_local = match cpython.anchors.gilstate_tls {
        None => None,
        Some(variable) => match thread_local::resolve(variable, bias, memory) {
            // The loader has not mapped or relocated all of the file yet.
            Ok(None) | Err(Fault) => return Ok(None),
            Ok(place) => place,
        },
    };
    let lookup = target.lookup(thread_local).map_err(refuse)?;
    Ok(Some(Interpreter {
        version: usable.version,
        is_free_threaded: usable.entry.free_threaded,
        layout: usable.layout,
        objects: usable.objects,
        lookup,
        runtime: target.runtime(),
        libc: usable.libc,
        linkage: if analysis.is_program {
            Linkage::Static
        } else {
            Linkage::Shared
        },
        evaluation_loop: target.evaluation_loop(),
        file,
    }))
}

/// What a file has to offer before it can be profiled.
struct Usable {
    version: Version,
    entry: &'static VersionEntry,
    layout: Layout,
    objects: ObjectFields,
    libc: Libc,
    specific: ThreadSpecific,
    vector: DynamicThreadVector,
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
    let ChosenLayout {
        entry,
        layout,
        objects,
    } = choice::find(version, cpython)?;
    let libc = analysis.libc.or(program_libc).ok_or(Refusal::UnknownLibc)?;
    let specific = thread_specific(analysis.architecture, libc).ok_or(Refusal::UnknownLibc)?;
    let vector = dynamic_thread_vector(analysis.architecture, libc).ok_or(Refusal::UnknownLibc)?;
    Ok(Usable {
        version,
        entry,
        layout,
        objects,
        libc,
        specific,
        vector,
    })
}
