//! Code objects, texts, and what leads to the class of a method.

use profiler_common::contract::layout::{
    CODE_BOOKKEEPING, CodeLayout, IDENTITY_WORDS, LAYOUT_CODE_VERSION, LAYOUT_IDENTITY_LOW_HALF, Layout,
    MethodLayout, TextLayout, text_shape,
};

use super::{Fact, Relation, compared, fact};

pub(super) fn code(layout: &Layout) -> Vec<Fact> {
    let CodeLayout {
        identity_start,
        first_line,
        filename,
        name,
        qualname,
        line_table,
        bytecode,
        thread_bytecode,
        object_type,
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
        fact("code.object_type", object_type, &["offsetof(PyObject, ob_type)"]),
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

pub(super) fn text(layout: &Layout) -> Vec<Fact> {
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

pub(super) fn method(layout: &Layout) -> Vec<Fact> {
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
        function_code,
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
            "method.function_code",
            function_code,
            &["offsetof(PyFunctionObject, func_code)"],
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
