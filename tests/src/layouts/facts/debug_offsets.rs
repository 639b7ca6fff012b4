//! Where `_Py_DebugOffsets` has what.

use pyebpf::language::python::layout::DebugFields;

use super::{Fact, fact};

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

pub(super) fn facts(fields: &DebugFields, free_threaded: bool) -> Vec<Fact> {
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
        next_interpreter,
        modules,
        gc_collecting,
        interpreter_id,
        code_generation,
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
        table!("next_interpreter", next_interpreter, "interpreter_state.next"),
        table!("modules", modules, "interpreter_state.imports_modules"),
        table!("gc_collecting", gc_collecting, "gc.collecting"),
        table!("interpreter_id", interpreter_id, "interpreter_state.id"),
        table!(
            "code_generation",
            code_generation,
            "interpreter_state.code_object_generation"
        ),
    ]
}
