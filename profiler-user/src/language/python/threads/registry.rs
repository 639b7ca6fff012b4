//! `threading._active` of one interpreter: the threads that Python knows, by `pthread_self()`.
//!
//! Sources: `Lib/threading.py` of CPython 2.7 and 3.6 to 3.15; `Python/pystate.c` (`PyInterpreterState_New`).

use std::collections::HashMap;

use profiler_common::memory::{Memory, RemoteAddr};

use crate::language::python::objects::{Objects, pointer};

/// Modules looked at.
const MAX_MODULES: u64 = 1 << 14;
/// Names of one module looked at.
const MAX_GLOBALS: u64 = 1 << 12;
/// Threads looked at.
const MAX_THREADS: u64 = 1 << 14;
/// Interpreters of a process looked at.
const MAX_INTERPRETERS: usize = 256;

/// The process's first interpreter: new ones are put before the others.
pub(super) fn main_interpreter<M: Memory>(
    objects: &Objects<'_, M>,
    mut interpreter: RemoteAddr,
) -> RemoteAddr {
    let next = u64::from(objects.fields().next);
    for _ in 0..MAX_INTERPRETERS {
        match pointer(objects.memory(), interpreter.offset(next)) {
            Some(older) => interpreter = older,
            None => break,
        }
    }
    interpreter
}

/// `threading._active`, if the interpreter has imported `threading`.
pub(super) fn find<M: Memory>(objects: &Objects<'_, M>, interpreter: RemoteAddr) -> Option<RemoteAddr> {
    let modules = pointer(
        objects.memory(),
        interpreter.offset(objects.fields().modules.into()),
    )?;
    let threading = value(objects, modules, MAX_MODULES, "threading")?;
    value(objects, objects.of_module(threading)?, MAX_GLOBALS, "_active")
}

fn value<M: Memory>(
    objects: &Objects<'_, M>,
    dictionary: RemoteAddr,
    most: u64,
    name: &str,
) -> Option<RemoteAddr> {
    let entries = objects.dictionary(dictionary, most)?;
    let entry = entries.iter().find(|entry| objects.is_text(entry.key, name))?;
    Some(entry.value)
}

/// The `Thread` objects of `active`; `None` when it is no dictionary any more.
pub(super) fn threads<M: Memory>(
    objects: &Objects<'_, M>,
    active: RemoteAddr,
) -> Option<HashMap<u64, RemoteAddr>> {
    let entries = objects.dictionary(active, MAX_THREADS)?;
    let threads = entries
        .iter()
        .filter_map(|entry| Some((objects.integer(entry.key)?, entry.value)));
    Some(threads.collect())
}

/// What a `Thread` object says.
pub(super) struct Named {
    pub(super) name: String,
    /// The kernel's id of its thread, in the innermost pid namespace (3.8 and newer).
    pub(super) native_id: Option<u64>,
}

/// The name of a `Thread` object, if it is the one with this `pthread_self()`: it may have been freed by now.
pub(super) fn name<M: Memory>(objects: &Objects<'_, M>, thread: RemoteAddr, ident: u64) -> Option<Named> {
    let names = objects.fields().thread;
    let attributes = objects.attributes(thread)?;
    let get = |name: &str| {
        let entry = attributes.iter().find(|entry| objects.is_text(entry.key, name))?;
        Some(entry.value)
    };
    if objects.integer(get(names.ident)?)? != ident {
        return None;
    }
    Some(Named {
        name: objects.text(get(names.name)?)?,
        native_id: get("_native_id").and_then(|id| objects.integer(id)),
    })
}
