//! Where the threads of one process find their Python state: the version's way, with this file's addresses.
//!
//! Used by `recognise::judgement`; `profiler_common::walker::python::locate` does the looking up.

pub mod thread_local;
pub mod thread_specific;

use std::ops::Range;

use profiler_common::contract::process::{
    DynamicThreadVector, ThreadLookup, ThreadSpecific, gil_lookup, thread_lookup,
};

use self::thread_local::ThreadLocal;
use crate::language::python::layout::VersionEntry;
use crate::language::python::recognise::analysis::CPython;
use crate::language::python::recognise::anchors::GilVariable;
use crate::language::python::recognise::evaluation_loop::NoLoop;
use crate::language::python::recognise::refusal::Refusal;

/// Bytes by which the fields after the collector's state may differ from the table: 3.7.0 to 3.7.3 have them 88 bytes
/// further ahead.
const MAX_SHIFT: u64 = 1024;

/// `struct _gil_runtime_state` (3.7+, `Include/internal/pycore_gil.h`) with a GIL: its size, and the offsets of
/// `last_holder` and `cond`.
const GIL_BYTES: u8 = 208;
const LAST_HOLDER: u64 = 8;
const GIL_CONDITION: u8 = 32;
/// `sem_t`.
const SEMAPHORE_BYTES: u8 = 32;

/// One interpreter in one process.
#[derive(Debug)]
pub(crate) struct Target<'a> {
    pub(crate) entry: &'a VersionEntry,
    pub(crate) cpython: &'a CPython,
    /// Added to the file's addresses.
    pub(crate) bias: u64,
    /// Whether `PyCode_Type` is the file's own, and not a copy in the program.
    pub(crate) has_own_types: bool,
    /// How the C library keeps thread-specific data.
    pub(crate) specific: ThreadSpecific,
    /// How it keeps the thread-local variables of libraries.
    pub(crate) vector: DynamicThreadVector,
    /// Where it keeps who waits for a condition variable: `thread_specific::newest_waiter`.
    pub(crate) newest_waiter: u8,
}

impl Target<'_> {
    /// Address of a variable of the interpreter that is there from the start.
    ///
    /// # Errors
    /// When the file does not tell.
    pub(crate) fn landmark(&self) -> Result<u64, Refusal> {
        let anchors = &self.cpython.anchors;
        let address = self.cpython.runtime.or(anchors.current_thread_state);
        address
            .map(|address| self.address(address))
            .ok_or(Refusal::NoAnchor)
    }

    /// The lookup; `thread_local` is the place of `_Py_tss_gilstate`, for versions that have it.
    ///
    /// # Errors
    /// When the file does not tell where something is.
    pub(crate) fn lookup(&self, thread_local: Option<ThreadLocal>) -> Result<ThreadLookup, Refusal> {
        let anchors = &self.cpython.anchors;
        let anchor = |address: Option<u64>| {
            address
                .map(|address| self.address(address))
                .ok_or(Refusal::NoAnchor)
        };
        let lookup = ThreadLookup {
            holder: anchors
                .current_thread_state
                .map_or(0, |address| self.address(address)),
            collecting: anchors.gc_collecting.map_or(0, |address| self.address(address)),
            code_type: self
                .cpython
                .code_type
                .filter(|_| self.has_own_types)
                .map_or(0, |address| self.address(address)),
            specific: self.specific,
            vector: self.vector,
            how: self.entry.lookup,
            ..ThreadLookup::default()
        };
        Ok(self.with_gil(match self.entry.lookup {
            thread_lookup::LIST => ThreadLookup {
                anchor: anchor(anchors.interpreters_head)?,
                ..lookup
            },
            thread_lookup::KEY => ThreadLookup {
                anchor: anchor(anchors.thread_key)?,
                ..lookup
            },
            thread_lookup::KEY_STRUCT => self.in_runtime(lookup)?,
            _ => match thread_local.ok_or(Refusal::NoAnchor)? {
                ThreadLocal::FromThreadPointer(offset) => ThreadLookup {
                    anchor: offset.cast_unsigned(),
                    how: thread_lookup::THREAD_LOCAL,
                    ..lookup
                },
                ThreadLocal::InModule { module, offset } => ThreadLookup {
                    anchor: offset,
                    module,
                    how: thread_lookup::MODULE_LOCAL,
                    ..lookup
                },
            },
        }))
    }

    /// The same, with what leads to the GIL, where that is known. Lookups of 3.7 to 3.11 have its `last_holder`.
    fn with_gil(&self, lookup: ThreadLookup) -> ThreadLookup {
        let (gil_how, gil, gil_bytes) = match self.cpython.anchors.gil {
            _ if self.entry.free_threaded => return lookup,
            Some(GilVariable::Pointer(variable)) => {
                (gil_lookup::POINTER, self.address(variable), SEMAPHORE_BYTES)
            }
            Some(GilVariable::At { start, bytes }) => (gil_lookup::AT, self.address(start), bytes),
            None if lookup.last_holder != 0 => (
                gil_lookup::AT,
                lookup.last_holder.wrapping_sub(LAST_HOLDER),
                GIL_BYTES,
            ),
            None if self.entry.layout.interpreter.gil != 0 => (gil_lookup::INTERPRETER, 0, GIL_BYTES),
            None => return lookup,
        };
        let lists_waiters = self.newest_waiter != 0 && gil_bytes == GIL_BYTES;
        ThreadLookup {
            gil,
            gil_how,
            gil_bytes,
            gil_waiters: if lists_waiters {
                GIL_CONDITION + self.newest_waiter
            } else {
                0
            },
            ..lookup
        }
    }

    /// The code of the evaluation loop.
    pub(crate) fn evaluation_loop(&self) -> Result<Box<[Range<u64>]>, NoLoop> {
        let pieces = self
            .cpython
            .evaluation_loop
            .as_deref()
            .map_err(|&reason| reason)?;
        let loaded = |piece: &Range<u64>| self.address(piece.start)..self.address(piece.end);
        Ok(pieces.iter().map(loaded).collect())
    }

    /// Addresses of `_PyRuntime`; none where its size is not known.
    pub(crate) fn runtime(&self) -> Range<u64> {
        let start = self.cpython.runtime.map_or(0, |runtime| self.address(runtime));
        start..start.saturating_add(self.cpython.runtime_bytes)
    }

    /// Everything is in `_PyRuntime`, where the table says or a little aside: the code that uses the key knows.
    fn in_runtime(&self, lookup: ThreadLookup) -> Result<ThreadLookup, Refusal> {
        let fields = &self.entry.runtime;
        let runtime = self.cpython.runtime.ok_or(Refusal::NoAnchor)?;
        let key = runtime.wrapping_add(fields.thread_key.into());
        // The code names the second `int` of a `Py_tss_t`.
        let found = self
            .cpython
            .anchors
            .thread_key
            .map(|address| address.wrapping_sub(4));
        let key = found
            .filter(|found| found.abs_diff(key) <= MAX_SHIFT)
            .unwrap_or(key);
        let shifted = key.wrapping_sub(fields.thread_key.into());
        let at = |start: u64, field: u16| match field {
            0 => 0,
            field => self.address(start.wrapping_add(field.into())),
        };
        Ok(ThreadLookup {
            holder: at(shifted, fields.holder),
            last_holder: at(shifted, fields.last_holder),
            anchor: self.address(key),
            collecting: at(runtime, fields.collecting),
            ..lookup
        })
    }

    fn address(&self, address: u64) -> u64 {
        self.bias.wrapping_add(address)
    }
}
