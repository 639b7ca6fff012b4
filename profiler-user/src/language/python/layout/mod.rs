//! Where each supported CPython keeps its fields: one data file per minor version, one registry line each.
//!
//! Used by [`super::Inspector`]; the numbers travel to the kernel half in `profiler_common::contract::layout::Layout`.
//! To add a version: its data file (`cargo xtask layouts` prints every number of a version without one, and holds the
//! others against CPython's headers), its line in [`LAYOUTS`], and a new shape code in `profiler_common` only where a
//! structure must be *read* differently. A version without a line is refused by name.

mod debug_offsets;
pub mod objects;
mod v2_7;
mod v3_10;
mod v3_11;
mod v3_12;
mod v3_13;
mod v3_14;
mod v3_15;
mod v3_6;
mod v3_7;
mod v3_8;
mod v3_9;

pub use self::debug_offsets::{DebugFields, DebugOffsetsError};
use self::objects::ObjectFields;

use profiler_common::contract::layout::{IDENTITY_WORDS, Layout, frame_shape, text_shape};
use profiler_common::contract::reasons::GilState;
use profiler_common::walker::python::{FRAME_WORDS, THREAD_STATE_WORDS};

use crate::elf::Architecture;
use crate::language::python::recognise::analysis::CPython;
use crate::language::python::recognise::refusal::Refusal;
use crate::language::python::recognise::version::{Level, Version};

/// The processor that the numbers are for. On aarch64 with glibc the fields of `_PyRuntime` behind its
/// mutexes lie 16 bytes further on up to 3.11; the rest is the same.
pub(super) const ARCHITECTURE: Architecture = Architecture::X86_64;

/// One supported minor version. Layouts are those of 64-bit builds with the default object layout; they do
/// not change between micro versions (compared in the reference builds that each data file names).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionEntry {
    /// Major version.
    pub major: u8,
    /// Minor version.
    pub minor: u8,
    /// Built with `--disable-gil`, which lays out everything differently.
    pub free_threaded: bool,
    /// Tag of the CPython repository from whose headers the numbers were compiled.
    pub tag: &'static str,
    /// `sizeof(PyObject)`: a build that differs (`--with-trace-refs`) has every offset moved.
    pub object_header_bytes: u64,
    /// A [`profiler_common::contract::process::thread_lookup`] code: what leads to a thread's state.
    pub lookup: u8,
    /// Fields of `_PyRuntime`.
    pub runtime: RuntimeFields,
    /// The numbers.
    pub layout: Layout,
    /// What only user space reads.
    pub objects: ObjectFields,
    /// Where `_Py_DebugOffsets` has the numbers that it has (3.13+); these win over `layout`.
    pub debug_offsets: Option<DebugFields>,
}

/// Where `_PyRuntime` (3.7+) has what finding a thread's state takes, bytes from its start; 0 for what it does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RuntimeFields {
    /// `gilstate.tstate_current`, the thread state that holds the GIL (up to 3.11).
    pub holder: u16,
    /// `ceval.gil.last_holder` (up to 3.11).
    pub last_holder: u16,
    /// `autoTSSkey`, a `Py_tss_t` (up to 3.14).
    pub thread_key: u16,
    /// `gc.collecting` (up to 3.8).
    pub collecting: u16,
}

/// `Layout::gil_held` of builds with a GIL.
const GIL_HELD: u8 = GilState::Held.code() as u8;
/// `Layout::gil_held` of free-threaded builds.
const GIL_ABSENT: u8 = GilState::Absent.code() as u8;

/// Every supported version.
pub const LAYOUTS: &[VersionEntry] = &[
    v2_7::ENTRY,
    v3_6::ENTRY,
    v3_7::ENTRY,
    v3_8::ENTRY,
    v3_9::ENTRY,
    v3_10::ENTRY,
    v3_11::ENTRY,
    v3_12::ENTRY,
    v3_13::ENTRY,
    v3_13::FREE_THREADED,
    v3_14::ENTRY,
    v3_14::FREE_THREADED,
    v3_15::ENTRY,
    v3_15::FREE_THREADED,
];

/// Where an interpreter keeps its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Its version and build.
    pub(super) entry: &'static VersionEntry,
    /// The entry's, with what the file says better.
    pub(super) layout: Layout,
    /// The same of what only user space reads.
    pub(super) objects: ObjectFields,
}

/// The layout of an interpreter of this version, as its file describes it.
///
/// # Errors
/// The reason why this interpreter cannot be profiled.
pub(super) fn find(version: Version, interpreter: &CPython) -> Result<Found, Refusal> {
    let is_free_threaded = interpreter
        .debug_offsets
        .as_deref()
        .is_some_and(debug_offsets::is_free_threaded);
    let mut entries = LAYOUTS
        .iter()
        .filter(|entry| (entry.major, entry.minor) == (version.major, version.minor))
        .peekable();
    entries.peek().ok_or(Refusal::Unsupported)?;
    let entry = entries
        .find(|entry| entry.free_threaded == is_free_threaded)
        .ok_or(Refusal::FreeThreaded)?;
    // Until the first release candidate layouts move, and CPython itself promises nothing before the release.
    if version.level != Level::Final {
        return Err(Refusal::PreRelease);
    }
    if interpreter.has_stackref_debug {
        return Err(Refusal::StackRefDebug);
    }
    let Some(fields) = &entry.debug_offsets else {
        return without_debug_offsets(entry, interpreter);
    };
    let bytes = interpreter
        .debug_offsets
        .as_deref()
        .ok_or(DebugOffsetsError::Absent)?;
    let layout = fields.apply(bytes, entry)?;
    check(&layout).map_err(DebugOffsetsError::Implausible)?;
    Ok(Found {
        entry,
        layout,
        objects: entry.objects.with_table(fields, bytes)?,
    })
}

/// The table's numbers, moved where every object begins with two more pointers.
fn without_debug_offsets(entry: &'static VersionEntry, interpreter: &CPython) -> Result<Found, Refusal> {
    let expected = entry.object_header_bytes;
    let found = interpreter.object_header_bytes.unwrap_or(expected);
    let layout = if found == expected {
        entry.layout
    } else if found == expected + u64::from(TRACE_REFS_BYTES) {
        with_longer_headers(&entry.layout, TRACE_REFS_BYTES)
    } else {
        return Err(Refusal::ObjectLayout { expected, found });
    };
    Ok(Found {
        entry,
        layout,
        objects: entry.objects.with_header(found),
    })
}

/// `_ob_next` and `_ob_prev` of builds with `Py_TRACE_REFS` (`Include/object.h` up to 3.12; up to 3.7 every `Py_DEBUG` build).
const TRACE_REFS_BYTES: u16 = 16;

/// Moves every field of every object; thread states, interpreters and the frames of 3.11+ are none.
fn with_longer_headers(layout: &Layout, extra: u16) -> Layout {
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

/// Bytes of the identity range.
const IDENTITY_BYTES: u16 = 8 * IDENTITY_WORDS as u16;

/// Whether the walker can use these numbers: it masks indexes instead of checking them, so a field outside
/// the part that is read would be garbage, not a fault. Names the first field that does not fit.
fn check(layout: &Layout) -> Result<(), &'static str> {
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
    use crate::language::python::recognise::analysis::VersionEvidence;

    fn interpreter(version: Version) -> CPython {
        CPython {
            runtime: Some(0x1000),
            version: VersionEvidence::Known(version),
            debug_offsets: None,
            object_header_bytes: Some(16),
            code_type: None,
            has_stackref_debug: false,
            anchors: crate::language::python::recognise::anchors::Anchors::default(),
            evaluation_loop: Err(crate::language::python::recognise::evaluation_loop::NoLoop::Unnamed),
        }
    }

    #[test]
    fn every_registered_layout_fits_the_walker() {
        for entry in LAYOUTS {
            assert_eq!(check(&entry.layout), Ok(()), "{}", entry.tag);
        }
    }

    #[test]
    fn versions_are_registered_once_and_in_order() {
        let numbers: Vec<_> = LAYOUTS
            .iter()
            .map(|entry| (entry.major, entry.minor, entry.free_threaded))
            .collect();
        assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    }

    #[test]
    fn an_unknown_version_a_pre_release_and_a_moved_object_header_are_refused() {
        let version = Version::minor_only(3, 9);
        assert!(find(version, &interpreter(version)).is_ok());
        let future = Version::minor_only(3, 99);
        assert_eq!(find(future, &interpreter(future)), Err(Refusal::Unsupported));
        let candidate = Version {
            level: Level::Candidate,
            serial: 1,
            ..version
        };
        assert_eq!(find(candidate, &interpreter(candidate)), Err(Refusal::PreRelease));
        let odd = CPython {
            object_header_bytes: Some(40),
            ..interpreter(version)
        };
        assert_eq!(
            find(version, &odd),
            Err(Refusal::ObjectLayout {
                expected: 16,
                found: 40
            })
        );
        let debug = CPython {
            has_stackref_debug: true,
            ..interpreter(version)
        };
        assert_eq!(find(version, &debug), Err(Refusal::StackRefDebug));
        let hidden = CPython {
            object_header_bytes: None,
            ..interpreter(version)
        };
        assert!(find(version, &hidden).is_ok());
    }

    #[test]
    fn objects_with_two_more_pointers_are_read_16_bytes_further_on() {
        let version = Version::minor_only(3, 9);
        let traced = CPython {
            object_header_bytes: Some(32),
            ..interpreter(version)
        };
        let Found {
            entry,
            layout,
            objects,
        } = find(version, &traced).expect("supported");
        assert_eq!(check(&layout), Ok(()));
        let known = &entry.layout;
        assert_eq!(layout.frame.code, known.frame.code + 16);
        assert_eq!(objects.header_bytes, entry.objects.header_bytes + 16);
        assert_eq!(layout.code.name, known.code.name + 16);
        assert_eq!(layout.method.locals, known.method.locals + 16);
        assert_eq!(layout.text.bytes_data, known.text.bytes_data + 16);
        assert_eq!((layout.frame.owner, layout.thread_state), (0, known.thread_state));
    }

    #[test]
    fn a_field_outside_the_part_that_is_read_is_named() {
        let mut layout = v3_12::ENTRY.layout;
        layout.code.line_table = 144;
        assert_eq!(check(&layout), Err("code_object.linetable"));
        layout = v3_12::ENTRY.layout;
        layout.thread_state.thread_id = u16::MAX;
        assert_eq!(check(&layout), Err("thread_state.thread_id"));
    }
}
