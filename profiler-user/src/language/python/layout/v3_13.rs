//! CPython 3.13 and 3.13t, x86-64: offsets compiled from the headers of tags v3.13.0 and v3.13.15.
//!
//! Registered in [`super::LAYOUTS`]. Held against the compiler by `cargo xtask layouts`; compared across 3.13.0,
//! 3.13.3, 3.13.5, 3.13.7, 3.13.15 and 3.13.18. `_status` bit 5 is `holds_gil`; owner 3 is
//! `FRAME_OWNED_BY_CSTACK`.

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
    minor: 13,
    free_threaded: false,
    tag: "v3.13.0",
    object_header_bytes: 16,
    lookup: thread_lookup::KEY_STRUCT,
    runtime: RuntimeFields {
        holder: 0,
        last_holder: 0,
        thread_key: 2160,
        collecting: 0,
    },
    layout: Layout {
        thread_state: ThreadStateLayout {
            bytes: 240,
            thread_id: 152,
            frame: 72,
            datastack_chunk: 232,
            status: 32,
            interp: 16,
            next: 0,
            gil_requested: 0,
            executor: 0,
        },
        interpreter: InterpreterLayout {
            collecting: 7600,
            threads: 0,
            id: 7272,
            code_generation: 0,
            gil: 16,
        },
        frame: FrameLayout {
            bytes: 72,
            previous: 8,
            code: 0,
            instr: 56,
            owner: 70,
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
            bytecode: 200,
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
        gil_bit: 5,
        gil_held: GIL_HELD,
        text_shape: text_shape::UNICODE,
        line_table: line_table_format::LOCATIONS,
        shim_owner: 3,
        code_tag_mask: 0,
        flags: LAYOUT_CODE_VERSION,
        code_flags: 48,
    },
    objects: ObjectFields {
        header_bytes: 16,
        modules: 7656,
        next: 7264,
        cached_keys: 864,
        dictionary: DictionaryShape::KindsWithHeader,
        instance: InstanceShape::Inline(24),
        integer: IntegerShape::Tag,
        thread: ThreadAttributes::PLAIN,
        locals: LocalsFields::OF_3_12,
    },
    debug_offsets: Some(DEBUG_FIELDS),
};

const DEBUG_FIELDS: DebugFields = DebugFields {
    bytes: 584,
    current_frame: 184,
    thread_id: 192,
    datastack_chunk: 208,
    gil: 216,
    gil_requested: 0,
    interp: 176,
    previous: 232,
    executable: 240,
    instr_ptr: 248,
    owner: 264,
    tlbc_index: 0,
    filename: 280,
    name: 288,
    qualname: 296,
    linetable: 304,
    firstlineno: 312,
    co_code_adaptive: 344,
    co_tlbc: 0,
    ob_type: 360,
    bytes_size: 520,
    bytes_data: 528,
    str_state: 544,
    str_length: 552,
    ascii_size: 560,
    compact_size: 0,
    interpreter_gc: 80,
    next_interpreter: 64,
    modules: 88,
    gc_collecting: 576,
    interpreter_id: 56,
    code_generation: 0,
};

/// Every object begins with 16 bytes more.
pub(super) const FREE_THREADED: VersionEntry = VersionEntry {
    free_threaded: true,
    tag: "v3.13.15",
    object_header_bytes: 32,
    layout: Layout {
        code: CODE_FREE_THREADED,
        text: TEXT_FREE_THREADED,
        thread_state: ThreadStateLayout {
            status: 40,
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
        modules: 7664,
        instance: InstanceShape::Inline(8),
        ..ENTRY.objects
    },
    ..ENTRY
};

const CODE_FREE_THREADED: CodeLayout = CodeLayout {
    // As above, with `co_version` at 108.
    identity_start: 64,
    object_type: 24,
    first_line: 84,
    filename: 128,
    name: 136,
    qualname: 144,
    line_table: 152,
    bytecode: 216,
    thread_bytecode: 0,
};

const TEXT_FREE_THREADED: TextLayout = TextLayout {
    str_length: 32,
    str_state: 48,
    ascii_data: 56,
    compact_data: 72,
    bytes_size: 32,
    bytes_data: 48,
    ..ENTRY.layout.text
};
