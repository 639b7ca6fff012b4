//! CPython 3.15 and 3.15t, x86-64: offsets compiled from the headers of tag v3.15.2.
//!
//! Registered in [`super::LAYOUTS`]. Compared across 3.15.0 and 3.15.2. There is no thread key any more: the thread state
//! is in the hidden thread-local variable `_Py_tss_gilstate`. Owner 3 is `FRAME_OWNED_BY_INTERPRETER`.

use profiler_common::contract::layout::{
    CodeLayout, FrameLayout, InterpreterLayout, LAYOUT_CODE_VERSION, Layout, MethodLayout, TextLayout,
    ThreadStateLayout, frame_shape, gil_shape, instr_shape, line_table_format, text_shape,
};
use profiler_common::contract::process::thread_lookup;

use super::debug_fields::DebugFields;
use super::entry::{GIL_ABSENT, GIL_HELD, RuntimeFields, VersionEntry};
use super::locals::LocalsFields;
use super::objects::{DictionaryShape, InstanceShape, IntegerShape, ObjectFields, ThreadAttributes};

pub(super) const ENTRY: VersionEntry = VersionEntry {
    major: 3,
    minor: 15,
    free_threaded: false,
    tag: "v3.15.2",
    object_header_bytes: 16,
    lookup: thread_lookup::THREAD_LOCAL,
    runtime: RuntimeFields {
        holder: 0,
        last_holder: 0,
        thread_key: 0,
        collecting: 0,
    },
    layout: Layout {
        thread_state: ThreadStateLayout {
            bytes: 312,
            thread_id: 176,
            frame: 72,
            datastack_chunk: 256,
            status: 36,
            interp: 16,
            next: 0,
            gil_requested: 40,
            executor: 304,
        },
        interpreter: InterpreterLayout {
            collecting: 7512,
            threads: 0,
            id: 7272,
            code_generation: 0,
            gil: 16,
        },
        frame: FrameLayout {
            bytes: 80,
            previous: 8,
            code: 0,
            instr: 56,
            owner: 74,
            cframe_current: 0,
            entry_flag: 0,
            bytecode_index: 0,
        },
        code: CodeLayout {
            // `co_flags` to `co_linetable`, with `co_version` at 92; `co_weakreflist` and all after it change.
            identity_start: 48,
            object_type: 8,
            first_line: 68,
            filename: 112,
            name: 120,
            qualname: 128,
            line_table: 136,
            bytecode: 208,
            thread_bytecode: 0,
        },
        text: TextLayout {
            str_length: 16,
            str_state: 32,
            ascii_data: 40,
            compact_data: 56,
            bytes_size: 16,
            bytes_data: 32,
            kind_shift: 2,
            compact_bit: 5,
            ascii_bit: 6,
            pad: 0,
        },
        method: MethodLayout::NONE,
        frame_shape: frame_shape::DIRECT,
        instr_shape: instr_shape::POINTER,
        gil_shape: gil_shape::STATUS_BIT,
        gil_bit: 0,
        gil_held: GIL_HELD,
        text_shape: text_shape::UNICODE,
        line_table: line_table_format::LOCATIONS,
        shim_owner: 3,
        code_tag_mask: 3,
        flags: LAYOUT_CODE_VERSION,
        code_flags: 48,
    },
    objects: ObjectFields {
        header_bytes: 16,
        modules: 7592,
        next: 7264,
        cached_keys: 872,
        dictionary: DictionaryShape::KindsWithHeader,
        instance: InstanceShape::Inline(24),
        integer: IntegerShape::Tag,
        thread: ThreadAttributes::PLAIN,
        locals: LocalsFields::OF_3_14,
    },
    debug_offsets: Some(DEBUG_FIELDS),
};

/// Every object begins with 16 bytes more, and each thread may run its own copy of the bytecode.
pub(super) const FREE_THREADED: VersionEntry = VersionEntry {
    free_threaded: true,
    tag: "v3.15.2",
    object_header_bytes: 32,
    layout: Layout {
        frame: FrameLayout {
            owner: 78,
            bytecode_index: 72,
            ..ENTRY.layout.frame
        },
        code: CodeLayout {
            // As above, with `co_version` at 108.
            identity_start: 64,
            object_type: 24,
            first_line: 84,
            filename: 128,
            name: 136,
            qualname: 144,
            line_table: 152,
            bytecode: 232,
            thread_bytecode: 224,
        },
        text: TextLayout {
            str_length: 32,
            str_state: 48,
            ascii_data: 56,
            compact_data: 72,
            bytes_size: 32,
            bytes_data: 48,
            // `interned` takes a whole byte.
            kind_shift: 8,
            compact_bit: 11,
            ascii_bit: 12,
            pad: 0,
        },
        instr_shape: instr_shape::THREAD_POINTER,
        thread_state: ThreadStateLayout {
            status: 48,
            gil_requested: 0,
            ..ENTRY.layout.thread_state
        },
        gil_shape: gil_shape::ATTACHED,
        gil_held: GIL_ABSENT,
        code_flags: 64,
        ..ENTRY.layout
    },
    objects: ObjectFields {
        header_bytes: 32,
        modules: 7592,
        instance: InstanceShape::Inline(8),
        ..ENTRY.objects
    },
    ..ENTRY
};

const DEBUG_FIELDS: DebugFields = DebugFields {
    bytes: 888,
    current_frame: 208,
    thread_id: 240,
    datastack_chunk: 256,
    gil: 272,
    gil_requested: 280,
    interp: 200,
    previous: 320,
    executable: 328,
    instr_ptr: 336,
    owner: 352,
    tlbc_index: 368,
    filename: 384,
    name: 392,
    qualname: 400,
    linetable: 408,
    firstlineno: 416,
    co_code_adaptive: 448,
    co_tlbc: 456,
    ob_type: 472,
    bytes_size: 696,
    bytes_data: 704,
    str_state: 720,
    str_length: 728,
    ascii_size: 736,
    compact_size: 744,
    interpreter_gc: 88,
    next_interpreter: 64,
    modules: 96,
    gc_collecting: 760,
    interpreter_id: 56,
    code_generation: 160,
};
