//! CPython 2.7, x86-64: offsets compiled from the headers of tag v2.7.18.
//!
//! Registered in [`super::LAYOUTS`]. Held against the compiler by `cargo xtask layouts`; there is no
//! `_PyRuntime`, and thread-specific values are kept in a list behind a lock. Names are `str`, which holds bytes.

use profiler_common::contract::layout::{
    CodeLayout, FrameLayout, InterpreterLayout, Layout, MethodLayout, TextLayout, ThreadStateLayout,
    frame_shape, gil_shape, instr_shape, line_table_format, text_shape,
};
use profiler_common::contract::process::thread_lookup;

use super::entry::{GIL_HELD, RuntimeFields, VersionEntry};
use super::locals::LocalsFields;
use super::objects::{DictionaryShape, InstanceShape, IntegerShape, ObjectFields, ThreadAttributes};

pub(super) const ENTRY: VersionEntry = VersionEntry {
    major: 2,
    minor: 7,
    free_threaded: false,
    tag: "v2.7.18",
    object_header_bytes: 16,
    lookup: thread_lookup::LIST,
    runtime: RuntimeFields {
        holder: 0,
        last_holder: 0,
        thread_key: 0,
        collecting: 0,
    },
    layout: Layout {
        thread_state: ThreadStateLayout {
            bytes: 152,
            thread_id: 144,
            frame: 16,
            datastack_chunk: 0,
            status: 0,
            interp: 8,
            next: 0,
            gil_requested: 0,
            executor: 0,
        },
        interpreter: InterpreterLayout {
            collecting: 0,
            threads: 8,
            id: 0,
            code_generation: 0,
            gil: 0,
        },
        frame: FrameLayout {
            bytes: 128,
            previous: 24,
            code: 32,
            instr: 120,
            owner: 0,
            cframe_current: 0,
            entry_flag: 0,
            bytecode_index: 0,
        },
        code: CodeLayout {
            // `co_argcount` to `co_lnotab`; `co_zombieframe` after it changes.
            identity_start: 16,
            object_type: 8,
            first_line: 96,
            filename: 80,
            name: 88,
            qualname: 88,
            line_table: 104,
            bytecode: 0,
            thread_bytecode: 0,
        },
        text: TextLayout {
            str_length: 0,
            str_state: 0,
            ascii_data: 0,
            compact_data: 0,
            bytes_size: 16,
            bytes_data: 36,
            kind_shift: 0,
            compact_bit: 0,
            ascii_bit: 0,
            pad: 0,
        },
        method: MethodLayout {
            argument_count: 16,
            local_count: 20,
            local_names: 56,
            cell_arguments: 0,
            cell_argument_bytes: 0,
            locals: 376,
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
        text_shape: text_shape::BYTES,
        line_table: line_table_format::UNSIGNED_LNOTAB,
        shim_owner: 255,
        code_tag_mask: 0,
        flags: 0,
        code_flags: 0,
    },
    objects: ObjectFields {
        header_bytes: 16,
        modules: 16,
        next: 0,
        cached_keys: 0,
        dictionary: DictionaryShape::OpenAddressed,
        instance: InstanceShape::Dictionary,
        integer: IntegerShape::Machine,
        thread: ThreadAttributes::MANGLED,
        locals: LocalsFields {
            first: 360,
            scope: 40,
            globals: 32,
            flags: 12,
            arguments: 0,
            keyword_arguments: LocalsFields::ABSENT,
            count: 4,
            names: 40,
            tuple_items: 8,
            function_name: 40,
            generator_name: LocalsFields::ABSENT,
        },
    },
    debug_offsets: None,
};
