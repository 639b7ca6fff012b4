//! CPython 3.11, x86-64: offsets compiled from the headers of tag v3.11.7.
//!
//! Registered in [`super::LAYOUTS`]. Held against the compiler by `cargo xtask layouts`; compared across 3.11.2
//! and 3.11.7. Owners are 0 to 2: entry frames on the C stack came with 3.12.

use profiler_common::contract::layout::{
    CodeLayout, FrameLayout, InterpreterLayout, LAYOUT_IDENTITY_LOW_HALF, Layout, MethodLayout, TextLayout,
    ThreadStateLayout, frame_shape, gil_shape, instr_shape, line_table_format, text_shape,
};
use profiler_common::contract::process::thread_lookup;

use super::entry::{GIL_HELD, RuntimeFields, VersionEntry};
use super::locals::LocalsFields;
use super::objects::{DictionaryShape, InstanceShape, IntegerShape, ObjectFields, ThreadAttributes};

pub(super) const ENTRY: VersionEntry = VersionEntry {
    major: 3,
    minor: 11,
    free_threaded: false,
    tag: "v3.11.7",
    object_header_bytes: 16,
    lookup: thread_lookup::KEY_STRUCT,
    runtime: RuntimeFields {
        holder: 576,
        last_holder: 368,
        thread_key: 592,
        collecting: 0,
    },
    layout: Layout {
        thread_state: ThreadStateLayout {
            bytes: 304,
            thread_id: 152,
            frame: 56,
            datastack_chunk: 296,
            status: 0,
            interp: 16,
            next: 0,
            gil_requested: 0,
            executor: 0,
        },
        interpreter: InterpreterLayout {
            collecting: 848,
            threads: 0,
            id: 0,
            code_generation: 0,
            gil: 0,
        },
        frame: FrameLayout {
            bytes: 72,
            previous: 48,
            code: 32,
            instr: 56,
            owner: 69,
            cframe_current: 8,
            entry_flag: 68,
            bytecode_index: 0,
        },
        code: CodeLayout {
            // `co_argcount` to `co_linetable`; `co_warmup` before it, and `co_weakreflist` and all after it,
            // change.
            identity_start: 48,
            object_type: 8,
            first_line: 72,
            filename: 112,
            name: 120,
            qualname: 128,
            line_table: 136,
            bytecode: 184,
            thread_bytecode: 0,
        },
        text: TextLayout {
            str_length: 16,
            str_state: 32,
            ascii_data: 48,
            compact_data: 72,
            bytes_size: 16,
            bytes_data: 32,
            kind_shift: 2,
            compact_bit: 5,
            ascii_bit: 6,
            pad: 0,
        },
        method: MethodLayout::NONE,
        frame_shape: frame_shape::VIA_CFRAME,
        instr_shape: instr_shape::POINTER,
        gil_shape: gil_shape::HOLDER,
        gil_bit: 0,
        gil_held: GIL_HELD,
        text_shape: text_shape::UNICODE,
        line_table: line_table_format::LOCATIONS,
        shim_owner: 3,
        code_tag_mask: 0,
        flags: LAYOUT_IDENTITY_LOW_HALF,
        code_flags: 0,
    },
    objects: ObjectFields {
        header_bytes: 16,
        modules: 888,
        next: 0,
        cached_keys: 856,
        dictionary: DictionaryShape::Kinds,
        instance: InstanceShape::TwoPointers,
        integer: IntegerShape::Size,
        thread: ThreadAttributes::PLAIN,
        locals: LocalsFields {
            scope: 24,
            globals: 8,
            arguments: 40,
            keyword_arguments: 48,
            count: 60,
            generator_name: 24,
            ..LocalsFields::OF_3_12
        },
    },
    debug_offsets: None,
};
