//! CPython 3.12, x86-64: offsets compiled from the headers of tag v3.12.1.
//!
//! Registered in [`super::LAYOUTS`]. Held against the compiler by `cargo xtask layouts`; compared across 3.12.1
//! and 3.12.3. `_status` bit 4 is `active`; owner 3 is `FRAME_OWNED_BY_CSTACK`.

use profiler_common::contract::layout::{
    CodeLayout, FrameLayout, InterpreterLayout, LAYOUT_CODE_VERSION, Layout, MethodLayout, TextLayout,
    ThreadStateLayout, frame_shape, gil_shape, instr_shape, line_table_format, text_shape,
};
use profiler_common::contract::process::thread_lookup;

use super::entry::{GIL_HELD, RuntimeFields, VersionEntry};
use super::locals::LocalsFields;
use super::objects::{DictionaryShape, InstanceShape, IntegerShape, ObjectFields, ThreadAttributes};

pub(super) const ENTRY: VersionEntry = VersionEntry {
    major: 3,
    minor: 12,
    free_threaded: false,
    tag: "v3.12.1",
    object_header_bytes: 16,
    lookup: thread_lookup::KEY_STRUCT,
    runtime: RuntimeFields {
        holder: 0,
        last_holder: 0,
        thread_key: 1544,
        collecting: 0,
    },
    layout: Layout {
        thread_state: ThreadStateLayout {
            bytes: 240,
            thread_id: 136,
            frame: 56,
            datastack_chunk: 232,
            status: 24,
            interp: 16,
            next: 0,
            gil_requested: 0,
            executor: 0,
        },
        interpreter: InterpreterLayout {
            collecting: 312,
            threads: 0,
            id: 8,
            code_generation: 0,
            gil: 384,
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
            bytecode: 192,
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
        frame_shape: frame_shape::VIA_CFRAME,
        instr_shape: instr_shape::POINTER,
        gil_shape: gil_shape::STATUS_BIT,
        gil_bit: 4,
        gil_held: GIL_HELD,
        text_shape: text_shape::UNICODE,
        line_table: line_table_format::LOCATIONS,
        shim_owner: 3,
        code_tag_mask: 0,
        flags: LAYOUT_CODE_VERSION,
        code_flags: 0,
    },
    objects: ObjectFields {
        header_bytes: 16,
        modules: 944,
        next: 0,
        cached_keys: 864,
        dictionary: DictionaryShape::Kinds,
        instance: InstanceShape::TaggedPointer,
        integer: IntegerShape::Tag,
        thread: ThreadAttributes::PLAIN,
        locals: LocalsFields::OF_3_12,
    },
    debug_offsets: None,
};
