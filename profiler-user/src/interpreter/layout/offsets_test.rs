//! Holds every number of the data files against the C compiler: a program of `offsetof` and `sizeof` per
//! installed CPython, built with that CPython's own headers.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use profiler_common::layout::{
    CODE_BOOKKEEPING, IDENTITY_WORDS, LAYOUT_CODE_VERSION, LAYOUT_IDENTITY_LOW_HALF, frame_shape, gil_shape,
};

use super::{LAYOUTS, VersionEntry};
use crate::interpreter::test_support::{not_tested, supported};

/// A C expression, and what the data file says it is.
type Fact = (&'static str, u64);

#[test]
fn every_offset_is_what_the_compiler_computes_from_the_headers() {
    if Command::new("cc").arg("--version").output().is_err() {
        return not_tested("offsets: no C compiler");
    }
    let mut checked = BTreeSet::new();
    for python in supported("offsets") {
        let Some(headers) = &python.headers else {
            // Another installation of the version may have them.
            continue;
        };
        let entry = LAYOUTS
            .iter()
            .find(|entry| (entry.major, entry.minor) == python.minor())
            .expect("`supported` gives registered versions only");
        let facts: Vec<Fact> = facts(entry)
            .into_iter()
            .filter(|(_, value)| *value != UNUSED)
            .collect();
        let computed = compile(headers, &facts, entry.minor);
        for (expression, expected) in &facts {
            assert_eq!(
                computed.get(*expression),
                Some(expected),
                "{expression} of {}",
                python.program.display()
            );
        }
        check_immutable(entry, headers);
        checked.insert((entry.major, entry.minor));
        println!("{} facts hold for {}", facts.len(), headers.display());
    }
    for entry in LAYOUTS
        .iter()
        .filter(|entry| !checked.contains(&(entry.major, entry.minor)))
    {
        not_tested(&format!(
            "offsets: no headers of CPython {}.{}",
            entry.major, entry.minor
        ));
    }
}

/// A field that a version does not have.
const UNUSED: u64 = u64::MAX;

fn facts(entry: &VersionEntry) -> Vec<Fact> {
    let mut facts = state_facts(entry);
    facts.extend(frame_facts(entry));
    facts.extend(object_facts(entry));
    facts.extend(debug_offsets_facts(entry));
    facts
}

/// Leaves out the fields that are 0 because the version has none: the names do not compile there.
fn present(expression: &'static str, value: u16) -> Fact {
    (expression, if value == 0 { UNUSED } else { value.into() })
}

fn state_facts(entry: &VersionEntry) -> Vec<Fact> {
    let layout = &entry.layout;
    let state = &layout.thread_state;
    let key = entry.runtime.thread_key;
    let (in_gilstate, outside) = if entry.minor <= 11 { (key, 0) } else { (0, key) };
    let newest_frame = match layout.frame_shape {
        frame_shape::OBJECT => "offsetof(PyThreadState, frame)",
        frame_shape::VIA_CFRAME => "offsetof(PyThreadState, cframe)",
        _ => "offsetof(PyThreadState, current_frame)",
    };
    let gil_bit = match (layout.gil_shape, entry.minor) {
        (gil_shape::STATUS_BIT, 12) => "STATUS_BIT(active)",
        (gil_shape::STATUS_BIT, _) => "STATUS_BIT(holds_gil)",
        _ => "",
    };
    vec![
        present(
            "offsetof(_PyRuntimeState, gilstate.tstate_current)",
            entry.runtime.holder,
        ),
        present("offsetof(_PyRuntimeState, gilstate.autoTSSkey)", in_gilstate),
        present(
            "offsetof(_PyRuntimeState, gilstate.autoTSSkey._key) - 4",
            in_gilstate,
        ),
        present("offsetof(_PyRuntimeState, autoTSSkey)", outside),
        present("offsetof(_PyRuntimeState, autoTSSkey._key) - 4", outside),
        (
            "offsetof(Py_tss_t, _is_initialized)",
            if key == 0 { UNUSED } else { 0 },
        ),
        ("offsetof(PyThreadState, thread_id)", state.thread_id.into()),
        (newest_frame, state.frame.into()),
        present("offsetof(PyThreadState, datastack_chunk)", state.datastack_chunk),
        present("offsetof(PyThreadState, _status)", state.status),
        ("offsetof(PyThreadState, interp)", state.interp.into()),
        (
            gil_bit,
            if gil_bit.is_empty() {
                UNUSED
            } else {
                layout.gil_bit.into()
            },
        ),
        ("sizeof(PyObject)", entry.object_header_bytes),
    ]
}

fn frame_facts(entry: &VersionEntry) -> Vec<Fact> {
    let frame = &entry.layout.frame;
    if entry.layout.frame_shape == frame_shape::OBJECT {
        return vec![
            ("offsetof(PyFrameObject, f_back)", frame.previous.into()),
            ("offsetof(PyFrameObject, f_code)", frame.code.into()),
            ("offsetof(PyFrameObject, f_lasti)", frame.instr.into()),
            ("sizeof(((PyFrameObject *)0)->f_lasti)", 4),
        ];
    }
    let (code, instr) = if entry.minor <= 12 {
        (
            "offsetof(_PyInterpreterFrame, f_code)",
            "offsetof(_PyInterpreterFrame, prev_instr)",
        )
    } else {
        (
            "offsetof(_PyInterpreterFrame, f_executable)",
            "offsetof(_PyInterpreterFrame, instr_ptr)",
        )
    };
    let via_cframe = entry.layout.frame_shape == frame_shape::VIA_CFRAME;
    let (shim, shim_owner) = match entry.layout.shim_owner {
        _ if entry.minor <= 11 => ("FRAME_OWNED_BY_FRAME_OBJECT + 1", 3),
        owner => ("FRAME_OWNED_BY_CSTACK", owner.into()),
    };
    vec![
        ("offsetof(_PyInterpreterFrame, previous)", frame.previous.into()),
        (code, frame.code.into()),
        (instr, frame.instr.into()),
        ("offsetof(_PyInterpreterFrame, owner)", frame.owner.into()),
        ("sizeof(((_PyInterpreterFrame *)0)->owner)", 1),
        (
            "offsetof(_PyCFrame, current_frame)",
            if via_cframe {
                frame.cframe_current.into()
            } else {
                UNUSED
            },
        ),
        (
            "offsetof(_PyInterpreterFrame, is_entry)",
            if entry.minor == 11 {
                frame.entry_flag.into()
            } else {
                UNUSED
            },
        ),
        (shim, shim_owner),
    ]
}

fn object_facts(entry: &VersionEntry) -> Vec<Fact> {
    let code = &entry.layout.code;
    let text = &entry.layout.text;
    let has_qualname = entry.minor >= 11;
    let line_table = if entry.minor <= 9 {
        "offsetof(PyCodeObject, co_lnotab)"
    } else {
        "offsetof(PyCodeObject, co_linetable)"
    };
    vec![
        ("offsetof(PyCodeObject, co_firstlineno)", code.first_line.into()),
        ("sizeof(((PyCodeObject *)0)->co_firstlineno)", 4),
        ("offsetof(PyCodeObject, co_filename)", code.filename.into()),
        ("offsetof(PyCodeObject, co_name)", code.name.into()),
        (
            "offsetof(PyCodeObject, co_qualname)",
            if has_qualname {
                code.qualname.into()
            } else {
                UNUSED
            },
        ),
        (line_table, code.line_table.into()),
        present("offsetof(PyCodeObject, co_code_adaptive)", code.bytecode),
        present("offsetof(PyCodeObject, co_flags)", entry.layout.code_flags),
        (
            "CO_NO_MONITORING_EVENTS",
            if entry.layout.code_flags == 0 {
                UNUSED
            } else {
                CODE_BOOKKEEPING.into()
            },
        ),
        ("offsetof(PyASCIIObject, length)", text.str_length.into()),
        ("offsetof(PyASCIIObject, state)", text.str_state.into()),
        ("sizeof(((PyASCIIObject *)0)->state)", 4),
        ("sizeof(PyASCIIObject)", text.ascii_data.into()),
        ("sizeof(PyCompactUnicodeObject)", text.compact_data.into()),
        ("STATE_BIT(kind)", text.kind_shift.into()),
        ("STATE_BIT(compact)", text.compact_bit.into()),
        ("STATE_BIT(ascii)", text.ascii_bit.into()),
        ("offsetof(PyVarObject, ob_size)", text.bytes_size.into()),
        ("offsetof(PyBytesObject, ob_sval)", text.bytes_data.into()),
    ]
}

fn debug_offsets_facts(entry: &VersionEntry) -> Vec<Fact> {
    let Some(fields) = &entry.debug_offsets else {
        return Vec::new();
    };
    vec![
        ("sizeof(_Py_DebugOffsets)", fields.bytes.into()),
        ("offsetof(_PyRuntimeState, debug_offsets)", 0),
        ("offsetof(_Py_DebugOffsets, version)", 8),
        ("offsetof(_Py_DebugOffsets, free_threaded)", 16),
        (
            "offsetof(_Py_DebugOffsets, thread_state.current_frame)",
            fields.current_frame.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, thread_state.thread_id)",
            fields.thread_id.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, thread_state.datastack_chunk)",
            fields.datastack_chunk.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, thread_state.status)",
            fields.gil.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, thread_state.interp)",
            fields.interp.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, interpreter_frame.previous)",
            fields.previous.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, interpreter_frame.executable)",
            fields.executable.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, interpreter_frame.instr_ptr)",
            fields.instr_ptr.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, interpreter_frame.owner)",
            fields.owner.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, code_object.filename)",
            fields.filename.into(),
        ),
        ("offsetof(_Py_DebugOffsets, code_object.name)", fields.name.into()),
        (
            "offsetof(_Py_DebugOffsets, code_object.qualname)",
            fields.qualname.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, code_object.linetable)",
            fields.linetable.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, code_object.firstlineno)",
            fields.firstlineno.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, code_object.co_code_adaptive)",
            fields.co_code_adaptive.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, pyobject.ob_type)",
            fields.ob_type.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, bytes_object.ob_size)",
            fields.bytes_size.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, bytes_object.ob_sval)",
            fields.bytes_data.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, unicode_object.state)",
            fields.str_state.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, unicode_object.length)",
            fields.str_length.into(),
        ),
        (
            "offsetof(_Py_DebugOffsets, unicode_object.asciiobject_size)",
            fields.ascii_size.into(),
        ),
    ]
}

/// The identity range ends before the first field that changes, and from 3.12 on holds the version number.
fn check_immutable(entry: &VersionEntry, headers: &Path) {
    let code = &entry.layout.code;
    let start = u64::from(code.identity_start);
    let end = start + 8 * IDENTITY_WORDS as u64;
    let (first_changing, before): (&'static str, &'static str) = match entry.minor {
        ..=10 => (
            "offsetof(PyCodeObject, co_zombieframe)",
            "offsetof(PyCodeObject, ob_base) + sizeof(PyObject)",
        ),
        11 => ("offsetof(PyCodeObject, co_weakreflist)", "sizeof(PyVarObject)"),
        _ => ("offsetof(PyCodeObject, co_weakreflist)", "sizeof(PyVarObject)"),
    };
    let version: &'static str = if entry.minor >= 12 {
        "offsetof(PyCodeObject, co_version)"
    } else {
        "0"
    };
    let computed = compile(
        headers,
        &[(first_changing, 0), (before, 0), (version, 0)],
        entry.minor,
    );
    assert!(end <= computed[first_changing], "3.{}", entry.minor);
    assert!(start >= computed[before], "3.{}", entry.minor);
    if entry.minor == 11 {
        // `co_warmup` counts down to quickening: it must be in the half of the first word that is left out.
        let warmup = "offsetof(PyCodeObject, co_warmup)";
        let next = "offsetof(PyCodeObject, co_argcount)";
        let computed = compile(headers, &[(warmup, 0), (next, 0)], entry.minor);
        assert!(computed[warmup] >= start + 4 && computed[next] == start + 8);
    }
    let low_half = entry.layout.flags & LAYOUT_IDENTITY_LOW_HALF != 0;
    assert_eq!(low_half, entry.minor == 11);
    let has_version = entry.layout.flags & LAYOUT_CODE_VERSION != 0;
    assert_eq!(has_version, entry.minor >= 12);
    assert!(
        !has_version || (start..end).contains(&computed[version]),
        "3.{}",
        entry.minor
    );
}

/// Values of the expressions, as the compiler sees them.
fn compile(headers: &Path, facts: &[Fact], minor: u8) -> BTreeMap<String, u64> {
    const BEFORE: &str = r"
#include <Python.h>
#include <frameobject.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#define STATE_BIT(field) ({ PyASCIIObject s; unsigned word; memset(&s, 0, sizeof s); s.state.field = 1; \
    memcpy(&word, (char *)&s + offsetof(PyASCIIObject, state), 4); __builtin_ctz(word); })
#define STATUS_BIT(field) ({ PyThreadState s; unsigned word; memset(&s, 0, sizeof s); s._status.field = 1; \
    memcpy(&word, (char *)&s + offsetof(PyThreadState, _status), 4); __builtin_ctz(word); })
";
    let internal: &[&str] = match minor {
        ..=6 => &[],
        7 => &["pystate.h"],
        8 => &["pycore_pystate.h"],
        9..=10 => &["pycore_runtime.h"],
        _ => &["pycore_runtime.h", "pycore_interp.h", "pycore_frame.h"],
    };
    let mut source = format!("#define Py_BUILD_CORE 1\n{BEFORE}");
    for header in internal {
        writeln!(source, "#include \"internal/{header}\"").expect("writing to memory");
    }
    source.push_str("int main(void) {\n");
    for (expression, _) in facts {
        writeln!(
            source,
            "printf(\"%llu {expression}\\n\", (unsigned long long)({expression}));"
        )
        .expect("writing to memory");
    }
    source.push_str("return 0; }\n");

    let directory = tempfile::tempdir().expect("a writable temporary directory");
    let (c_file, program) = (
        directory.path().join("offsets.c"),
        directory.path().join("offsets"),
    );
    std::fs::write(&c_file, source).expect("writable");
    let built = Command::new("cc")
        .args(["-w", "-std=gnu11", "-I"])
        .arg(headers)
        .arg("-I")
        .arg(headers.join("internal"))
        .arg(&c_file)
        .arg("-o")
        .arg(&program)
        .output()
        .expect("the compiler starts");
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    let output = Command::new(&program).output().expect("it was just built");
    let text = String::from_utf8(output.stdout).expect("ASCII");
    text.lines()
        .map(|line| {
            let (value, expression) = line.split_once(' ').expect("two columns");
            (expression.to_owned(), value.parse().expect("a number"))
        })
        .collect()
}
