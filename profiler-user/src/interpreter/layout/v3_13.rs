//! CPython 3.13, x86-64: offsets compiled from the headers of tag v3.13.0.
//!
//! Registered in [`super::LAYOUTS`]. Held against the compiler by `offsets_test.rs`; compared across 3.13.0,
//! 3.13.3, 3.13.5, 3.13.7, 3.13.15 and 3.13.18. `_status` bit 5 is `holds_gil`; owner 3 is
//! `FRAME_OWNED_BY_CSTACK`.

use profiler_common::layout::{
    CodeLayout, FrameLayout, LAYOUT_CODE_VERSION, Layout, RuntimeLayout, TextLayout, ThreadStateLayout,
    frame_shape, gil_shape, instr_shape, line_table_format,
};

use super::{DebugFields, VersionEntry};

pub(super) const ENTRY: VersionEntry = VersionEntry {
    major: 3,
    minor: 13,
    free_threaded: false,
    tag: "v3.13.0",
    object_header_bytes: 16,
    layout: Layout {
        runtime: RuntimeLayout {
            tstate_current: 0,
            tss_key: 2160,
        },
        thread_state: ThreadStateLayout {
            bytes: 240,
            thread_id: 152,
            frame: 72,
            datastack_chunk: 232,
            status: 32,
            interp: 16,
        },
        frame: FrameLayout {
            bytes: 72,
            previous: 8,
            code: 0,
            instr: 56,
            owner: 70,
            cframe_current: 0,
            entry_flag: 0,
        },
        code: CodeLayout {
            // `co_flags` to `co_linetable`, with `co_version` at 92; `co_weakreflist` and all behind it change.
            identity_start: 48,
            first_line: 68,
            filename: 112,
            name: 120,
            qualname: 128,
            line_table: 136,
            bytecode: 200,
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
        frame_shape: frame_shape::DIRECT,
        instr_shape: instr_shape::POINTER,
        gil_shape: gil_shape::STATUS_BIT,
        gil_bit: 5,
        line_table: line_table_format::LOCATIONS,
        shim_owner: 3,
        code_tag_mask: 0,
        flags: LAYOUT_CODE_VERSION,
        code_flags: 48,
    },
    debug_offsets: Some(DebugFields {
        bytes: 584,
        current_frame: 184,
        thread_id: 192,
        datastack_chunk: 208,
        status: 216,
        interp: 176,
        previous: 232,
        executable: 240,
        instr_ptr: 248,
        owner: 264,
        filename: 280,
        name: 288,
        qualname: 296,
        linetable: 304,
        firstlineno: 312,
        co_code_adaptive: 344,
        ob_type: 360,
        bytes_size: 520,
        bytes_data: 528,
        str_state: 544,
        str_length: 552,
        ascii_size: 560,
    }),
};
