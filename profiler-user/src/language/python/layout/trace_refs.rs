//! Builds with `Py_TRACE_REFS`, where every object begins with two more pointers.

use profiler_common::contract::layout::{Layout, frame_shape};

/// `_ob_next` and `_ob_prev` of builds with `Py_TRACE_REFS` (`Include/object.h` up to 3.12; up to 3.7 every `Py_DEBUG` build).
pub(crate) const TRACE_REFS_BYTES: u16 = 16;

/// Moves every field of every object; thread states, interpreters and the frames of 3.11+ are not objects.
pub(crate) fn with_longer_headers(layout: &Layout, extra: u16) -> Layout {
    let mut layout = *layout;
    let move_all = |fields: &mut [&mut u16]| {
        for field in fields {
            if **field != 0 {
                **field = field.saturating_add(extra);
            }
        }
    };
    let code = &mut layout.code;
    move_all(&mut [
        &mut code.identity_start,
        &mut code.object_type,
        &mut code.first_line,
        &mut code.filename,
        &mut code.name,
        &mut code.qualname,
        &mut code.line_table,
        &mut code.bytecode,
        &mut layout.code_flags,
    ]);
    let text = &mut layout.text;
    move_all(&mut [
        &mut text.str_length,
        &mut text.str_state,
        &mut text.ascii_data,
        &mut text.compact_data,
        &mut text.bytes_size,
        &mut text.bytes_data,
    ]);
    let method = &mut layout.method;
    move_all(&mut [
        &mut method.argument_count,
        &mut method.local_count,
        &mut method.local_names,
        &mut method.cell_arguments,
        &mut method.locals,
        &mut method.cell_content,
        &mut method.tuple_items,
        &mut method.object_type,
        &mut method.function_code,
        &mut method.type_name,
        &mut method.type_flags,
    ]);
    if layout.frame_shape == frame_shape::OBJECT {
        let frame = &mut layout.frame;
        move_all(&mut [
            &mut frame.bytes,
            &mut frame.previous,
            &mut frame.code,
            &mut frame.instr,
        ]);
    }
    layout
}
