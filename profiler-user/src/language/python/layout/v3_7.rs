//! CPython 3.7, x86-64: offsets compiled from the headers of tag v3.7.16.
//!
//! Registered in [`super::LAYOUTS`]. Held against the compiler by `cargo xtask layouts`; 3.7.0 to 3.7.3
//! have everything after the collector's state 88 bytes further ahead; the code of `PyGILState_GetThisThreadState` tells.

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
    minor: 7,
    free_threaded: false,
    tag: "v3.7.16",
    object_header_bytes: 16,
    lookup: thread_lookup::KEY_STRUCT,
    runtime: RuntimeFields {
        holder: 1480,
        last_holder: 1272,
        thread_key: 1504,
        collecting: 632,
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
            collecting: 0,
            threads: 0,
            id: 0,
            code_generation: 0,
            gil: 0,
        },
        frame: FrameLayout {
            bytes: 112,
            previous: 24,
            code: 32,
            instr: 104,
            owner: 0,
            cframe_current: 0,
            entry_flag: 0,
            bytecode_index: 0,
        },
        code: CodeLayout {
            // `co_nlocals` to `co_lnotab`; `co_zombieframe` after it changes.
            identity_start: 24,
            object_type: 8,
            first_line: 36,
            filename: 96,
            name: 104,
            qualname: 104,
            line_table: 112,
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
            local_count: 24,
            local_names: 64,
            cell_arguments: 88,
            cell_argument_bytes: 8,
            locals: 360,
            cell_content: 16,
            tuple_items: 24,
            object_type: 8,
            function_code: 16,
            type_name: 24,
            type_flags: 168,
        },
        frame_shape: frame_shape::OBJECT,
        instr_shape: instr_shape::LASTI_BYTES,
        gil_shape: gil_shape::HOLDER,
        gil_bit: 0,
        gil_held: GIL_HELD,
        text_shape: text_shape::UNICODE,
        line_table: line_table_format::LNOTAB,
        shim_owner: 255,
        code_tag_mask: 0,
        flags: 0,
        code_flags: 0,
    },
    objects: ObjectFields {
        header_bytes: 16,
        modules: 40,
        next: 0,
        cached_keys: 0,
        dictionary: DictionaryShape::Indexed,
        instance: InstanceShape::Dictionary,
        integer: IntegerShape::Size,
        thread: ThreadAttributes::PLAIN,
        locals: LocalsFields {
            flags: 16,
            keyword_arguments: 4,
            count: 8,
            names: 48,
            ..LocalsFields::OF_3_8
        },
    },
    debug_offsets: None,
};
