//! The layout by which an interpreter is read, as its version and its file have it.
//!
//! Used by [`super::judgement`].

use profiler_common::contract::layout::Layout;

use super::analysis::CPython;
use super::refusal::Refusal;
use super::version::{Level, Version};
use crate::language::python::layout::check::check;
use crate::language::python::layout::debug_offsets;
use crate::language::python::layout::objects::ObjectFields;
use crate::language::python::layout::trace_refs::{TRACE_REFS_BYTES, with_longer_headers};
use crate::language::python::layout::{DebugOffsetsError, LAYOUTS, VersionEntry};

/// Where an interpreter keeps its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChosenLayout {
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
pub(super) fn find(version: Version, interpreter: &CPython) -> Result<ChosenLayout, Refusal> {
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
    Ok(ChosenLayout {
        entry,
        layout,
        objects: entry.objects.with_table(fields, bytes)?,
    })
}

/// The table's numbers, moved where every object begins with two more pointers.
fn without_debug_offsets(
    entry: &'static VersionEntry,
    interpreter: &CPython,
) -> Result<ChosenLayout, Refusal> {
    let expected = entry.object_header_bytes;
    let found = interpreter.object_header_bytes.unwrap_or(expected);
    let layout = if found == expected {
        entry.layout
    } else if found == expected + u64::from(TRACE_REFS_BYTES) {
        with_longer_headers(&entry.layout, TRACE_REFS_BYTES)
    } else {
        return Err(Refusal::ObjectLayout { expected, found });
    };
    Ok(ChosenLayout {
        entry,
        layout,
        objects: entry.objects.with_header(found),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::python::recognise::analysis::VersionEvidence;
    use crate::language::python::recognise::anchors::Anchors;
    use crate::language::python::recognise::evaluation_loop::NoLoop;

    fn interpreter(version: Version) -> CPython {
        CPython {
            runtime: Some(0x1000),
            runtime_bytes: 0x1000,
            version: VersionEvidence::Known(version),
            debug_offsets: None,
            object_header_bytes: Some(16),
            code_type: None,
            has_stackref_debug: false,
            anchors: Anchors::default(),
            evaluation_loop: Err(NoLoop::Unnamed),
        }
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
        let ChosenLayout {
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
}
