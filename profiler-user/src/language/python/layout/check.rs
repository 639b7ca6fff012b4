//! Whether the walker can use the numbers of a layout.

use profiler_common::contract::layout::{IDENTITY_WORDS, LAYOUT_CODE_VERSION, Layout, text_shape};
use profiler_common::walker::python::{FRAME_WORDS, THREAD_STATE_WORDS};

/// Bytes of the identity range.
const IDENTITY_BYTES: u16 = 8 * IDENTITY_WORDS as u16;

/// Whether the walker can use these numbers: it masks indexes instead of checking them, so a field outside
/// the part that is read would be garbage, not a fault. Names the first field that does not fit.
pub(crate) fn check(layout: &Layout) -> Result<(), &'static str> {
    let within = |field: u16, size: u16, bytes: u16| field.checked_add(size).is_some_and(|end| end <= bytes);
    let state = &layout.thread_state;
    let frame = &layout.frame;
    let code = &layout.code;
    let identity = |field: u16, size: u16| {
        field
            .checked_sub(code.identity_start)
            .is_some_and(|field| within(field, size, IDENTITY_BYTES))
    };
    let text = &layout.text;
    let is_bytes = layout.text_shape == text_shape::BYTES;
    let checks = [
        (
            usize::from(state.bytes) <= 8 * THREAD_STATE_WORDS,
            "thread_state.size",
        ),
        (within(state.thread_id, 8, state.bytes), "thread_state.thread_id"),
        (within(state.frame, 8, state.bytes), "thread_state.current_frame"),
        (
            within(state.datastack_chunk, 8, state.bytes),
            "thread_state.datastack_chunk",
        ),
        (within(state.status, 4, state.bytes), "thread_state.status"),
        (within(state.interp, 8, state.bytes), "thread_state.interp"),
        (
            within(state.gil_requested, 4, state.bytes),
            "thread_state.gil_requested",
        ),
        (
            within(state.executor, 8, state.bytes),
            "thread_state.current_executor",
        ),
        (
            within(frame.bytecode_index, 4, frame.bytes),
            "interpreter_frame.tlbc_index",
        ),
        (
            usize::from(frame.bytes) <= 8 * FRAME_WORDS && frame.bytes.is_multiple_of(8),
            "interpreter_frame.size",
        ),
        (
            within(frame.previous, 8, frame.bytes),
            "interpreter_frame.previous",
        ),
        (within(frame.code, 8, frame.bytes), "interpreter_frame.executable"),
        (within(frame.instr, 4, frame.bytes), "interpreter_frame.instr_ptr"),
        (within(frame.owner, 1, frame.bytes), "interpreter_frame.owner"),
        (
            within(frame.entry_flag, 1, frame.bytes),
            "interpreter_frame.is_entry",
        ),
        (
            (layout.interpreter.id != 0) == (layout.flags & LAYOUT_CODE_VERSION != 0),
            "interpreter_state.id",
        ),
        (
            code.identity_start.is_multiple_of(8),
            "code_object.identity_start",
        ),
        (identity(code.first_line, 4), "code_object.firstlineno"),
        (identity(code.filename, 8), "code_object.filename"),
        (identity(code.name, 8), "code_object.name"),
        (identity(code.qualname, 8), "code_object.qualname"),
        (identity(code.line_table, 8), "code_object.linetable"),
        (
            layout.code_flags == 0 || identity(layout.code_flags, 4),
            "code_object.co_flags",
        ),
        // `capture` reads `state` and `length` with the first 64 bytes of a `str`.
        (
            is_bytes || within(text.str_length, 8, 64),
            "unicode_object.length",
        ),
        (
            is_bytes || within(text.str_state, 4, 64) && text.str_state >= text.str_length,
            "unicode_object.state",
        ),
        (
            is_bytes || text.ascii_data < text.compact_data,
            "unicode_object.asciiobject_size",
        ),
        (within(text.bytes_size, 8, 64), "bytes_object.ob_size"),
        (text.bytes_size < text.bytes_data, "bytes_object.ob_sval"),
    ];
    checks
        .iter()
        .find(|(holds, _)| !holds)
        .map_or(Ok(()), |(_, name)| Err(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::python::layout::LAYOUTS;

    #[test]
    fn every_registered_layout_fits_the_walker() {
        for entry in LAYOUTS {
            assert_eq!(check(&entry.layout), Ok(()), "{}", entry.tag);
        }
    }

    #[test]
    fn a_field_outside_the_part_that_is_read_is_named() {
        let of_3_12 = LAYOUTS.iter().find(|entry| (entry.major, entry.minor) == (3, 12));
        let known = of_3_12.expect("it is supported").layout;
        let mut layout = known;
        layout.code.line_table = 144;
        assert_eq!(check(&layout), Err("code_object.linetable"));
        layout = known;
        layout.thread_state.thread_id = u16::MAX;
        assert_eq!(check(&layout), Err("thread_state.thread_id"));
    }
}
