//! CPython 3.10, x86-64: offsets compiled from the headers of tag v3.10.13.
//!
//! Registered in [`super::LAYOUTS`]. Held against the compiler by `cargo xtask layouts`; compared across 3.10.4,
//! 3.10.12 and 3.10.13.

use profiler_common::contract::layout::{
    CodeLayout, FrameLayout, InterpreterLayout, Layout, MethodLayout, TextLayout, ThreadStateLayout,
    frame_shape, gil_shape, instr_shape, line_table_format, text_shape,
};
use profiler_common::contract::process::thread_lookup;

use super::entry::{GIL_HELD, RuntimeFields, VersionEntry};
use super::locals::LocalsFields;
use super::objects::{DictionaryShape, InstanceShape, IntegerShape, ObjectFields, ThreadAttributes};

pub(super) const ENTRY: VersionEntry = VersionEntry {
    major: 3,
    minor: 10,
    free_threaded: false,
    tag: "v3.10.13",
    object_header_bytes: 16,
    lookup: thread_lookup::KEY_STRUCT,
    runtime: RuntimeFields {
        holder: 568,
        last_holder: 360,
        thread_key: 584,
        collecting: 0,
    },
    layout: Layout {
        thread_state: ThreadStateLayout {
            bytes: 184,
            thread_id: 176,
            frame: 24,
            datastack_chunk: 0,
            status: 0,
            interp: 16,
            next: 0,
            gil_requested: 0,
            executor: 0,
        },
        interpreter: InterpreterLayout {
            collecting: 816,
            threads: 0,
            id: 0,
            code_generation: 0,
            gil: 0,
        },
        frame: FrameLayout {
            bytes: 104,
            previous: 24,
            code: 32,
            instr: 96,
            owner: 0,
            cframe_current: 0,
            entry_flag: 0,
            bytecode_index: 0,
        },
        code: CodeLayout {
            // `co_stacksize` to `co_linetable`; `co_zombieframe` after it changes.
            identity_start: 32,
            object_type: 8,
            first_line: 40,
            filename: 104,
            name: 112,
            qualname: 112,
            line_table: 120,
            bytecode: 0,
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
        method: MethodLayout {
            argument_count: 16,
            local_count: 28,
            local_names: 72,
            cell_arguments: 96,
            cell_argument_bytes: 8,
            locals: 352,
            cell_content: 16,
            tuple_items: 24,
            object_type: 8,
            function_code: 48,
            type_name: 24,
            type_flags: 168,
        },
        frame_shape: frame_shape::OBJECT,
        instr_shape: instr_shape::LASTI_UNITS,
        gil_shape: gil_shape::HOLDER,
        gil_bit: 0,
        gil_held: GIL_HELD,
        text_shape: text_shape::UNICODE,
        line_table: line_table_format::RANGES,
        shim_owner: 255,
        code_tag_mask: 0,
        flags: 0,
        code_flags: 0,
    },
    objects: ObjectFields {
        header_bytes: 16,
        modules: 856,
        next: 0,
        cached_keys: 0,
        dictionary: DictionaryShape::Indexed,
        instance: InstanceShape::Dictionary,
        integer: IntegerShape::Size,
        thread: ThreadAttributes::PLAIN,
        locals: LocalsFields {
            first: 336,
            function_name: 24,
            generator_name: 32,
            ..LocalsFields::OF_3_8
        },
    },
    debug_offsets: None,
};
