//! `_Py_DebugOffsets` (3.13+): the interpreter's own table of offsets, checked as CPython's remote debugging
//! checks it.
//!
//! Used where a layout is chosen. It lies at the start of `_PyRuntime`, statically initialised, so it is read from
//! the file. It has no thread key, no bit layouts and no owner codes: those stay in the version's data file.

use profiler_common::contract::layout::Layout;

use super::debug_fields::{DEBUG_COOKIE, DebugFields, DebugOffsetsError, word};
use super::entry::VersionEntry;

/// Largest offset or size that any build has, in bytes (`sizeof(PyInterpreterState)` is about 220 KB in 3.13).
const PLAUSIBLE: u64 = 1 << 20;

/// Whether the table at the start of `bytes` says that the build is free-threaded.
pub(crate) fn is_free_threaded(bytes: &[u8]) -> bool {
    word(bytes, 16).is_ok_and(|flag| flag != 0)
}

impl DebugFields {
    /// The layout of `entry`, with every number that `bytes` has replaced by it.
    ///
    /// # Errors
    /// When `bytes` is no such table. The result still needs the check that every table gets.
    pub(crate) fn apply(&self, bytes: &[u8], entry: &VersionEntry) -> Result<Layout, DebugOffsetsError> {
        if !bytes.starts_with(DEBUG_COOKIE) {
            return Err(DebugOffsetsError::Absent);
        }
        let bytes = bytes.get(..self.bytes.into()).ok_or(DebugOffsetsError::Short)?;
        for (field, expected, name) in [
            // The last field of an object's header.
            (self.ob_type, entry.object_header_bytes - 8, "pyobject.ob_type"),
            (self.previous, 8, "interpreter_frame.previous"),
        ] {
            if word(bytes, field)? != expected {
                return Err(DebugOffsetsError::Implausible(name));
            }
        }
        if (24..bytes.len())
            .step_by(8)
            .any(|at| word(bytes, at as u16).is_ok_and(|value| value >= PLAUSIBLE))
        {
            return Err(DebugOffsetsError::Implausible("offset"));
        }
        let get = |field: u16| self.get(bytes, field);

        // What the table has no number for keeps the data file's.
        let get_or = |field: u16, known: u16| if field == 0 { Ok(known) } else { get(field) };

        let mut layout = entry.layout;
        let state = &mut layout.thread_state;
        state.frame = get(self.current_frame)?;
        state.thread_id = get(self.thread_id)?;
        state.datastack_chunk = get(self.datastack_chunk)?;
        // Where there is no GIL, `state` counts, which it does not have.
        if !entry.free_threaded {
            state.status = get_or(self.gil, state.status)?;
            state.gil_requested = get_or(self.gil_requested, state.gil_requested)?;
        }
        state.interp = get(self.interp)?;
        state.bytes = cover(&[
            state.frame,
            state.thread_id,
            state.datastack_chunk,
            state.status,
            state.gil_requested,
            state.interp,
            state.executor,
        ]);

        let frame = &mut layout.frame;
        frame.previous = get(self.previous)?;
        frame.code = get(self.executable)?;
        frame.instr = get(self.instr_ptr)?;
        frame.owner = get(self.owner)?;
        if entry.free_threaded {
            frame.bytecode_index = get_or(self.tlbc_index, 0)?;
        }
        frame.bytes = cover(&[
            frame.previous,
            frame.code,
            frame.instr,
            frame.owner,
            frame.bytecode_index,
        ]);

        let code = &mut layout.code;
        code.object_type = get(self.ob_type)?;
        code.filename = get(self.filename)?;
        code.name = get(self.name)?;
        code.qualname = get(self.qualname)?;
        code.line_table = get(self.linetable)?;
        code.first_line = get(self.firstlineno)?;
        code.bytecode = get(self.co_code_adaptive)?;
        if entry.free_threaded {
            code.thread_bytecode = get_or(self.co_tlbc, 0)?;
        }
        layout.interpreter.collecting = get(self.interpreter_gc)?.saturating_add(get(self.gc_collecting)?);
        layout.interpreter.id = get(self.interpreter_id)?;
        layout.interpreter.code_generation = get_or(self.code_generation, 0)?;

        let text = &mut layout.text;
        // Up to 3.14 there is no `sizeof(PyCompactUnicodeObject)`: the two fields it adds keep their size.
        let compact_extra = text.compact_data.saturating_sub(text.ascii_data);
        text.str_state = get(self.str_state)?;
        text.str_length = get(self.str_length)?;
        text.ascii_data = get(self.ascii_size)?;
        text.compact_data = get_or(self.compact_size, text.ascii_data.saturating_add(compact_extra))?;
        text.bytes_size = get(self.bytes_size)?;
        text.bytes_data = get(self.bytes_data)?;
        Ok(layout)
    }
}

/// Bytes to read so that an 8-byte field at each of these offsets is covered; a multiple of 8.
fn cover(fields: &[u16]) -> u16 {
    let last = fields.iter().copied().max().unwrap_or(0);
    (last & !7).saturating_add(8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::python::layout::LAYOUTS;
    use crate::language::python::layout::check::check;

    fn with_debug_offsets() -> impl Iterator<Item = (DebugFields, &'static VersionEntry)> {
        LAYOUTS
            .iter()
            .filter_map(|entry| Some((entry.debug_offsets?, entry)))
    }

    /// A table that says what `layout` says.
    fn bytes_of(fields: &DebugFields, entry: &VersionEntry, layout: &Layout) -> Vec<u8> {
        let mut bytes = vec![0; fields.bytes.into()];
        bytes[..8].copy_from_slice(DEBUG_COOKIE);
        let Layout {
            thread_state: state,
            frame,
            code,
            text,
            interpreter,
            ..
        } = *layout;
        for (at, value) in [
            (fields.current_frame, state.frame),
            (fields.thread_id, state.thread_id),
            (fields.datastack_chunk, state.datastack_chunk),
            (if entry.free_threaded { 0 } else { fields.gil }, state.status),
            (fields.gil_requested, state.gil_requested),
            (fields.tlbc_index, frame.bytecode_index),
            (fields.co_tlbc, code.thread_bytecode),
            (fields.compact_size, text.compact_data),
            (fields.gc_collecting, interpreter.collecting),
            (fields.interpreter_id, interpreter.id),
            (fields.code_generation, interpreter.code_generation),
            (fields.modules, entry.objects.modules),
            (fields.next_interpreter, entry.objects.next),
            (fields.interp, state.interp),
            (fields.previous, frame.previous),
            (fields.executable, frame.code),
            (fields.instr_ptr, frame.instr),
            (fields.owner, frame.owner),
            (fields.filename, code.filename),
            (fields.name, code.name),
            (fields.qualname, code.qualname),
            (fields.linetable, code.line_table),
            (fields.firstlineno, code.first_line),
            (fields.co_code_adaptive, code.bytecode),
            (fields.ob_type, entry.object_header_bytes as u16 - 8),
            (fields.bytes_size, text.bytes_size),
            (fields.bytes_data, text.bytes_data),
            (fields.str_state, text.str_state),
            (fields.str_length, text.str_length),
            (fields.ascii_size, text.ascii_data),
        ]
        .into_iter()
        .filter(|(at, _)| *at != 0)
        {
            bytes[usize::from(at)..][..2].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_table_that_agrees_changes_nothing() {
        for (fields, entry) in with_debug_offsets() {
            let layout = entry.layout;
            assert_eq!(
                fields.apply(&bytes_of(&fields, entry, &layout), entry),
                Ok(layout)
            );
            assert_eq!(
                entry
                    .objects
                    .with_table(&fields, &bytes_of(&fields, entry, &layout)),
                Ok(entry.objects)
            );
        }
    }

    #[test]
    fn a_moved_field_is_followed_and_the_read_grows_with_it() {
        for (fields, entry) in with_debug_offsets() {
            let mut moved = entry.layout;
            moved.thread_state.datastack_chunk = moved.thread_state.bytes;
            moved.thread_state.bytes += 8;
            moved.frame.owner += 8;
            moved.frame.bytes += 8;
            assert_eq!(fields.apply(&bytes_of(&fields, entry, &moved), entry), Ok(moved));
            assert_eq!(check(&moved), Ok(()));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for (fields, entry) in with_debug_offsets() {
            let good = bytes_of(&fields, entry, &entry.layout);
            let apply = |bytes: &[u8]| fields.apply(bytes, entry).expect_err("not a table");
            assert_eq!(apply(b""), DebugOffsetsError::Absent);
            assert_eq!(apply(&good[..good.len() - 1]), DebugOffsetsError::Short);
            let mut bad = good.clone();
            bad[usize::from(fields.previous)] = 16;
            assert_eq!(
                apply(&bad),
                DebugOffsetsError::Implausible("interpreter_frame.previous")
            );
            bad = good.clone();
            bad[usize::from(fields.bytes) - 1] = 1;
            assert_eq!(apply(&bad), DebugOffsetsError::Implausible("offset"));
        }
    }
}
