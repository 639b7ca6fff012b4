//! Every number of a version's data file, and the C expressions that say what it is.
//!
//! No versions here: of several expressions the first one that compiles with a version's headers counts, and none
//! means that the version has no such field.

mod debug_offsets;
mod instances;
mod locals;
mod objects;

use profiler_common::contract::layout::{
    FrameLayout, InterpreterLayout, Layout, ThreadStateLayout, frame_shape, gil_shape,
};
use profiler_common::contract::process::thread_lookup;
use pyebpf::language::python::layout::{RuntimeFields, VersionEntry};

/// `sizeof(PyObject)`; where it differs, everything does.
pub(super) const OBJECT_HEADER: &str = "object_header_bytes";

/// One number.
#[derive(Clone, Copy, Debug)]
pub struct Fact {
    /// What the data file calls it.
    pub name: &'static str,
    /// C expressions for it; the first one that compiles counts.
    pub expressions: &'static [&'static str],
    /// What the data file says.
    pub expected: u64,
    /// How the two compare.
    pub relation: Relation,
    /// Whether the number is read at all in this version.
    pub is_used: bool,
}

/// How the number of the data file and that of the compiler compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// They are the same.
    Equal,
    /// The compiler's is at least that of the data file.
    AtLeast,
    /// The compiler's is below that of the data file.
    Below,
}

impl Fact {
    fn when(self, is_used: bool) -> Self {
        Self { is_used, ..self }
    }

    /// Whether the compiler's number, if it has any, is as the data file says.
    #[must_use]
    pub fn holds(&self, computed: Option<u64>) -> bool {
        match (computed, self.relation) {
            _ if !self.is_used => true,
            (None, _) => self.relation == Relation::Equal && self.expected == 0,
            (Some(computed), Relation::Equal) => computed == self.expected,
            (Some(computed), Relation::AtLeast) => computed >= self.expected,
            (Some(computed), Relation::Below) => computed < self.expected,
        }
    }
}

fn fact(name: &'static str, expected: impl Into<u64>, expressions: &'static [&'static str]) -> Fact {
    Fact {
        name,
        expressions,
        expected: expected.into(),
        relation: Relation::Equal,
        is_used: true,
    }
}

fn compared(relation: Relation, fact: Fact) -> Fact {
    Fact { relation, ..fact }
}

/// Every number of the version.
pub(super) fn facts(entry: &VersionEntry) -> Vec<Fact> {
    let layout = &entry.layout;
    let mut facts = vec![fact(
        OBJECT_HEADER,
        entry.object_header_bytes,
        &["sizeof(PyObject)"],
    )];
    facts.extend(runtime(&entry.runtime));
    facts.extend(thread_state(entry));
    facts.extend(interpreter(entry));
    facts.extend(frame(layout));
    facts.extend(objects::code(layout));
    facts.extend(objects::text(layout));
    facts.extend(objects::method(layout));
    facts.extend(instances::facts(&entry.objects));
    facts.extend(locals::facts(layout, &entry.objects));
    if let Some(fields) = &entry.debug_offsets {
        facts.extend(debug_offsets::facts(fields, entry.free_threaded));
    }
    facts
}

fn runtime(fields: &RuntimeFields) -> Vec<Fact> {
    let RuntimeFields {
        holder,
        last_holder,
        thread_key,
        collecting,
    } = *fields;
    vec![
        fact(
            "runtime.holder",
            holder,
            &["offsetof(_PyRuntimeState, gilstate.tstate_current)"],
        ),
        fact(
            "runtime.last_holder",
            last_holder,
            &["offsetof(_PyRuntimeState, ceval.gil.last_holder)"],
        ),
        fact(
            "runtime.thread_key",
            thread_key,
            &[
                "offsetof(_PyRuntimeState, gilstate.autoTSSkey)",
                "offsetof(_PyRuntimeState, autoTSSkey)",
            ],
        ),
        fact(
            "runtime.thread_key: Py_tss_t._key",
            4u64,
            &["offsetof(Py_tss_t, _key)"],
        )
        .when(thread_key != 0),
        fact(
            "runtime.collecting",
            collecting,
            &["offsetof(_PyRuntimeState, gc.collecting)"],
        ),
    ]
}

fn thread_state(entry: &VersionEntry) -> Vec<Fact> {
    let ThreadStateLayout {
        bytes,
        thread_id,
        frame,
        datastack_chunk,
        status,
        interp,
        next,
        gil_requested,
        executor,
    } = entry.layout.thread_state;
    let shape = entry.layout.gil_shape;
    let status_expressions: &[&str] = match shape {
        gil_shape::ATTACHED => &["offsetof(PyThreadState, state)"],
        _ => &[
            "offsetof(PyThreadState, holds_gil)",
            "offsetof(PyThreadState, _status)",
        ],
    };
    vec![
        compared(
            Relation::AtLeast,
            fact("thread_state.bytes", bytes, &["sizeof(PyThreadState)"]),
        ),
        fact(
            "thread_state.thread_id",
            thread_id,
            &["offsetof(PyThreadState, thread_id)"],
        ),
        fact(
            "thread_state.frame",
            frame,
            &[
                "offsetof(PyThreadState, current_frame)",
                // 3.10 has a `cframe` that leads to no frame.
                "offsetof(PyThreadState, cframe) + 0 * offsetof(_PyCFrame, current_frame)",
                "offsetof(PyThreadState, frame)",
            ],
        ),
        fact(
            "thread_state.datastack_chunk",
            datastack_chunk,
            &["offsetof(PyThreadState, datastack_chunk)"],
        ),
        fact("thread_state.status", status, status_expressions).when(shape != gil_shape::HOLDER),
        fact(
            "gil_bit",
            entry.layout.gil_bit,
            &[
                // An `int` of its own, 0 or 1.
                "0 * offsetof(PyThreadState, holds_gil)",
                "BIT(PyThreadState, _status, holds_gil)",
                "BIT(PyThreadState, _status, active)",
            ],
        )
        .when(shape == gil_shape::STATUS_BIT),
        fact(
            "thread_state.interp",
            interp,
            &["offsetof(PyThreadState, interp)"],
        ),
        fact("thread_state.next", next, &["offsetof(PyThreadState, next)"])
            .when(entry.lookup == thread_lookup::LIST),
        fact(
            "thread_state.gil_requested",
            gil_requested,
            &["offsetof(PyThreadState, gil_requested)"],
        )
        .when(shape != gil_shape::ATTACHED),
        fact(
            "thread_state.executor",
            executor,
            &["offsetof(PyThreadState, current_executor)"],
        )
        .when(executor != 0),
    ]
}

fn interpreter(entry: &VersionEntry) -> Vec<Fact> {
    let InterpreterLayout {
        collecting,
        threads,
        id,
        code_generation,
        gil,
    } = entry.layout.interpreter;
    let is_list = entry.lookup == thread_lookup::LIST;
    vec![
        fact(
            "interpreter.collecting",
            collecting,
            &["offsetof(PyInterpreterState, gc.collecting)"],
        ),
        fact(
            "interpreter.threads",
            threads,
            &["offsetof(PyInterpreterState, tstate_head)"],
        )
        .when(is_list),
        fact("interpreter.next", 0u64, &["offsetof(PyInterpreterState, next)"]).when(is_list),
        fact("interpreter.id", id, &["offsetof(PyInterpreterState, id)"]).when(id != 0),
        // It moves between patch releases: the file's own table says where it is.
        fact(
            "interpreter.code_generation",
            code_generation,
            &["offsetof(PyInterpreterState, _code_object_generation)"],
        )
        .when(code_generation != 0),
        fact(
            "interpreter.gil",
            gil,
            &["offsetof(PyInterpreterState, ceval.gil)"],
        )
        .when(gil != 0),
    ]
}

fn frame(layout: &Layout) -> Vec<Fact> {
    let FrameLayout {
        bytes,
        previous,
        code,
        instr,
        owner,
        cframe_current,
        entry_flag,
        bytecode_index,
    } = layout.frame;
    let is_object = layout.frame_shape == frame_shape::OBJECT;
    vec![
        compared(
            Relation::AtLeast,
            fact(
                "frame.bytes",
                bytes,
                &["sizeof(_PyInterpreterFrame)", "sizeof(PyFrameObject)"],
            ),
        ),
        fact(
            "frame.previous",
            previous,
            &[
                "offsetof(_PyInterpreterFrame, previous)",
                "offsetof(PyFrameObject, f_back)",
            ],
        ),
        fact(
            "frame.code",
            code,
            &[
                "offsetof(_PyInterpreterFrame, f_executable)",
                "offsetof(_PyInterpreterFrame, f_code)",
                "offsetof(PyFrameObject, f_code)",
            ],
        ),
        fact(
            "frame.instr",
            instr,
            &[
                "offsetof(_PyInterpreterFrame, instr_ptr)",
                "offsetof(_PyInterpreterFrame, prev_instr)",
                "offsetof(PyFrameObject, f_lasti)",
            ],
        ),
        fact(
            "frame.instr: f_lasti",
            4u64,
            &["sizeof(((PyFrameObject *)0)->f_lasti)"],
        )
        .when(is_object),
        fact("frame.owner", owner, &["offsetof(_PyInterpreterFrame, owner)"]),
        fact(
            "frame.owner: bytes",
            1u64,
            &["sizeof(((_PyInterpreterFrame *)0)->owner)"],
        )
        .when(!is_object),
        fact(
            "shim_owner",
            layout.shim_owner,
            &[
                "FRAME_OWNED_BY_INTERPRETER",
                "FRAME_OWNED_BY_CSTACK",
                "FRAME_OWNED_BY_FRAME_OBJECT + 1",
            ],
        )
        .when(!is_object),
        fact(
            "frame.cframe_current",
            cframe_current,
            &["offsetof(_PyCFrame, current_frame)"],
        ),
        fact(
            "frame.entry_flag",
            entry_flag,
            &["offsetof(_PyInterpreterFrame, is_entry)"],
        ),
        fact(
            "frame.bytecode_index",
            bytecode_index,
            &["offsetof(_PyInterpreterFrame, tlbc_index)"],
        ),
    ]
}
