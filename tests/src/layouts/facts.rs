//! Every number of a version's data file, and the C expressions that say what it is.
//!
//! No versions here: of several expressions the first one that compiles with a version's headers counts, and none
//! means that the version has no such field.

use profiler_common::layout::{
    CODE_BOOKKEEPING, CodeLayout, FrameLayout, IDENTITY_WORDS, InterpreterLayout, LAYOUT_CODE_VERSION,
    LAYOUT_IDENTITY_LOW_HALF, Layout, MethodLayout, TextLayout, ThreadStateLayout, frame_shape, gil_shape,
    text_shape,
};
use profiler_common::process::thread_lookup;
use pyebpf::interpreter::layout::{DebugFields, RuntimeFields, VersionEntry};

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
    facts.extend(code(layout));
    facts.extend(text(layout));
    facts.extend(method(layout));
    if let Some(fields) = &entry.debug_offsets {
        facts.extend(debug_offsets(fields, entry.free_threaded));
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
    } = entry.layout.thread_state;
    let has_bit = entry.layout.gil_shape == gil_shape::STATUS_BIT;
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
        fact(
            "thread_state.status",
            status,
            &[
                "offsetof(PyThreadState, holds_gil)",
                "offsetof(PyThreadState, _status)",
            ],
        )
        .when(has_bit),
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
        .when(has_bit),
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
        ),
    ]
}

fn interpreter(entry: &VersionEntry) -> Vec<Fact> {
    let InterpreterLayout { collecting, threads } = entry.layout.interpreter;
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

fn code(layout: &Layout) -> Vec<Fact> {
    let CodeLayout {
        identity_start,
        first_line,
        filename,
        name,
        qualname,
        line_table,
        bytecode,
        thread_bytecode,
    } = layout.code;
    let start = u64::from(identity_start);
    let end = start + 8 * IDENTITY_WORDS as u64;
    let has_version = layout.flags & LAYOUT_CODE_VERSION != 0;
    const VERSION: &[&str] = &["offsetof(PyCodeObject, co_version)"];
    vec![
        compared(
            Relation::Below,
            fact("code.identity_start", start + 1, &["sizeof(PyObject)"]),
        ),
        // The first field that changes.
        compared(
            Relation::AtLeast,
            fact(
                "code.identity_start + 96",
                end,
                &[
                    "offsetof(PyCodeObject, co_zombieframe)",
                    "offsetof(PyCodeObject, co_weakreflist)",
                ],
            ),
        ),
        // Counts down in the half of the first word that is left out.
        fact(
            "flags: LAYOUT_IDENTITY_LOW_HALF",
            if layout.flags & LAYOUT_IDENTITY_LOW_HALF == 0 {
                0
            } else {
                start + 4
            },
            &["offsetof(PyCodeObject, co_warmup)"],
        ),
        compared(
            Relation::AtLeast,
            fact("flags: LAYOUT_CODE_VERSION", start, VERSION),
        )
        .when(has_version),
        compared(Relation::Below, fact("flags: LAYOUT_CODE_VERSION", end, VERSION)).when(has_version),
        fact(
            "code.first_line",
            first_line,
            &["offsetof(PyCodeObject, co_firstlineno)"],
        ),
        fact(
            "code.first_line: bytes",
            4u64,
            &["sizeof(((PyCodeObject *)0)->co_firstlineno)"],
        ),
        fact(
            "code.filename",
            filename,
            &["offsetof(PyCodeObject, co_filename)"],
        ),
        fact("code.name", name, &["offsetof(PyCodeObject, co_name)"]),
        fact(
            "code.qualname",
            qualname,
            &[
                "offsetof(PyCodeObject, co_qualname)",
                "offsetof(PyCodeObject, co_name)",
            ],
        ),
        fact(
            "code.line_table",
            line_table,
            &[
                "offsetof(PyCodeObject, co_linetable)",
                "offsetof(PyCodeObject, co_lnotab)",
            ],
        ),
        fact(
            "code.bytecode",
            bytecode,
            &["offsetof(PyCodeObject, co_code_adaptive)"],
        ),
        fact(
            "code.thread_bytecode",
            thread_bytecode,
            &["offsetof(PyCodeObject, co_tlbc)"],
        ),
        fact(
            "code_flags",
            layout.code_flags,
            &["0 * CO_NO_MONITORING_EVENTS + offsetof(PyCodeObject, co_flags)"],
        ),
        fact(
            "code_flags: CODE_BOOKKEEPING",
            CODE_BOOKKEEPING,
            &["CO_NO_MONITORING_EVENTS"],
        )
        .when(layout.code_flags != 0),
    ]
}

fn text(layout: &Layout) -> Vec<Fact> {
    let TextLayout {
        str_length,
        str_state,
        ascii_data,
        compact_data,
        bytes_size,
        bytes_data,
        kind_shift,
        compact_bit,
        ascii_bit,
        pad: _,
    } = layout.text;
    let is_unicode = layout.text_shape == text_shape::UNICODE;
    vec![
        fact(
            "text.str_length",
            str_length,
            &["offsetof(PyASCIIObject, length)"],
        )
        .when(is_unicode),
        fact("text.str_state", str_state, &["offsetof(PyASCIIObject, state)"]).when(is_unicode),
        fact(
            "text.str_state: bytes",
            4u64,
            &["sizeof(((PyASCIIObject *)0)->state)"],
        )
        .when(is_unicode),
        fact("text.ascii_data", ascii_data, &["sizeof(PyASCIIObject)"]).when(is_unicode),
        fact(
            "text.compact_data",
            compact_data,
            &["sizeof(PyCompactUnicodeObject)"],
        )
        .when(is_unicode),
        fact(
            "text.kind_shift",
            kind_shift,
            &["BIT(PyASCIIObject, state, kind)"],
        )
        .when(is_unicode),
        fact(
            "text.compact_bit",
            compact_bit,
            &["BIT(PyASCIIObject, state, compact)"],
        )
        .when(is_unicode),
        fact("text.ascii_bit", ascii_bit, &["BIT(PyASCIIObject, state, ascii)"]).when(is_unicode),
        fact("text.bytes_size", bytes_size, &["offsetof(PyVarObject, ob_size)"]),
        fact(
            "text.bytes_data",
            bytes_data,
            &["offsetof(PyBytesObject, ob_sval)"],
        ),
    ]
}

fn method(layout: &Layout) -> Vec<Fact> {
    let MethodLayout {
        argument_count,
        local_count,
        local_names,
        cell_arguments,
        cell_argument_bytes,
        locals,
        cell_content,
        tuple_items,
        object_type,
        type_name,
        type_flags,
    } = layout.method;
    let is_used = layout.method != MethodLayout::NONE;
    [
        fact(
            "method.argument_count",
            argument_count,
            &["offsetof(PyCodeObject, co_argcount)"],
        ),
        fact(
            "method.local_count",
            local_count,
            &["offsetof(PyCodeObject, co_nlocals)"],
        ),
        fact(
            "method.local_names",
            local_names,
            &["offsetof(PyCodeObject, co_varnames)"],
        ),
        fact(
            "method.cell_arguments",
            cell_arguments,
            &["offsetof(PyCodeObject, co_cell2arg)"],
        ),
        fact(
            "method.cell_argument_bytes",
            cell_argument_bytes,
            &["sizeof(*((PyCodeObject *)0)->co_cell2arg)"],
        ),
        fact(
            "method.locals",
            locals,
            &["offsetof(PyFrameObject, f_localsplus)"],
        ),
        fact(
            "method.cell_content",
            cell_content,
            &["offsetof(PyCellObject, ob_ref)"],
        ),
        fact(
            "method.tuple_items",
            tuple_items,
            &["offsetof(PyTupleObject, ob_item)"],
        ),
        fact(
            "method.object_type",
            object_type,
            &["offsetof(PyObject, ob_type)"],
        ),
        fact(
            "method.type_name",
            type_name,
            &["offsetof(PyTypeObject, tp_name)"],
        ),
        fact(
            "method.type_flags",
            type_flags,
            &["offsetof(PyTypeObject, tp_flags)"],
        ),
    ]
    .map(|fact| fact.when(is_used))
    .into()
}

/// `offsetof` into the table itself.
macro_rules! table {
    ($name:literal, $value:expr, $($field:literal),+) => {
        fact(
            concat!("debug_offsets.", $name),
            $value,
            &[$(concat!("offsetof(_Py_DebugOffsets, ", $field, ")")),+],
        )
    };
}

fn debug_offsets(fields: &DebugFields, free_threaded: bool) -> Vec<Fact> {
    let DebugFields {
        bytes,
        current_frame,
        thread_id,
        datastack_chunk,
        gil,
        gil_requested,
        interp,
        previous,
        executable,
        instr_ptr,
        owner,
        tlbc_index,
        filename,
        name,
        qualname,
        linetable,
        firstlineno,
        co_code_adaptive,
        co_tlbc,
        ob_type,
        bytes_size,
        bytes_data,
        str_state,
        str_length,
        ascii_size,
        compact_size,
        interpreter_gc,
        gc_collecting,
    } = *fields;
    vec![
        fact("debug_offsets.bytes", bytes, &["sizeof(_Py_DebugOffsets)"]),
        fact(
            "debug_offsets: at the start",
            0u64,
            &["offsetof(_PyRuntimeState, debug_offsets)"],
        ),
        table!("version", 8u64, "version"),
        table!("free_threaded", 16u64, "free_threaded"),
        table!("current_frame", current_frame, "thread_state.current_frame"),
        table!("thread_id", thread_id, "thread_state.thread_id"),
        table!("datastack_chunk", datastack_chunk, "thread_state.datastack_chunk"),
        // 3.14 has `status`, which is not where the bit is.
        table!("gil", gil, "thread_state.holds_gil", "thread_state.status").when(gil != 0),
        table!("gil_requested", gil_requested, "thread_state.gil_requested"),
        table!("interp", interp, "thread_state.interp"),
        table!("previous", previous, "interpreter_frame.previous"),
        table!("executable", executable, "interpreter_frame.executable"),
        table!("instr_ptr", instr_ptr, "interpreter_frame.instr_ptr"),
        table!("owner", owner, "interpreter_frame.owner"),
        table!("tlbc_index", tlbc_index, "interpreter_frame.tlbc_index").when(free_threaded),
        table!("filename", filename, "code_object.filename"),
        table!("name", name, "code_object.name"),
        table!("qualname", qualname, "code_object.qualname"),
        table!("linetable", linetable, "code_object.linetable"),
        table!("firstlineno", firstlineno, "code_object.firstlineno"),
        table!(
            "co_code_adaptive",
            co_code_adaptive,
            "code_object.co_code_adaptive"
        ),
        table!("co_tlbc", co_tlbc, "code_object.co_tlbc").when(free_threaded),
        table!("ob_type", ob_type, "pyobject.ob_type"),
        table!("bytes_size", bytes_size, "bytes_object.ob_size"),
        table!("bytes_data", bytes_data, "bytes_object.ob_sval"),
        table!("str_state", str_state, "unicode_object.state"),
        table!("str_length", str_length, "unicode_object.length"),
        table!("ascii_size", ascii_size, "unicode_object.asciiobject_size"),
        table!(
            "compact_size",
            compact_size,
            "unicode_object.compactunicodeobject_size"
        ),
        table!("interpreter_gc", interpreter_gc, "interpreter_state.gc"),
        table!("gc_collecting", gc_collecting, "gc.collecting"),
    ]
}
