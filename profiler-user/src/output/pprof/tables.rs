//! The tables of a pprof file: texts, libraries, functions and frames, each once, with the numbers that samples refer to.

use indexmap::IndexSet;

use crate::pprof_messages::{Function, Line, Location, Mapping};
use crate::profile::{Frame, Recording};

/// The table of strings. The first is empty, as the format demands.
pub(super) struct Strings(IndexSet<String>);

impl Strings {
    pub(super) fn new() -> Self {
        Self(IndexSet::from([String::new()]))
    }

    /// The index of a text.
    pub(super) fn index(&mut self, text: &str) -> i64 {
        let at = match self.0.get_index_of(text) {
            Some(at) => at,
            None => self.0.insert_full(text.to_owned()).0,
        };
        i64::try_from(at).unwrap_or(0)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &String> {
        self.0.iter()
    }
}

/// Libraries, functions and frames. A frame's location has the number of the frame and one.
pub(super) struct Code {
    pub(super) mappings: Vec<Mapping>,
    pub(super) functions: Vec<Function>,
    pub(super) locations: Vec<Location>,
}

impl Code {
    pub(super) fn of(recording: &Recording, strings: &mut Strings) -> Self {
        let mut modules: IndexSet<&str> = IndexSet::new();
        let mut functions: IndexSet<Function> = IndexSet::new();
        let mut locations = Vec::with_capacity(recording.frames.len());
        for (id, frame) in (1u64..).zip(&recording.frames) {
            let mapping_id = frame
                .module
                .as_deref()
                .map_or(0, |module| number(modules.insert_full(module).0));
            let function = Function {
                id: 0,
                name: strings.index(&frame.name),
                system_name: strings.index(&system_name(frame)),
                filename: strings.index(frame.file.as_deref().unwrap_or_default()),
                start_line: frame.first_line.unwrap_or(0).into(),
            };
            let line = Line {
                function_id: number(functions.insert_full(function).0),
                line: frame.line.unwrap_or(0).into(),
            };
            locations.push(Location {
                id,
                mapping_id,
                address: 0,
                line: vec![line],
            });
        }
        let mapping = |(id, module): (u64, &str)| Mapping {
            id,
            filename: strings.index(module),
            // Nothing is left for a reader to look up.
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        };
        Self {
            mappings: (1..).zip(modules).map(mapping).collect(),
            functions: (1..)
                .zip(functions)
                .map(|(id, function)| Function { id, ..function })
                .collect(),
            locations,
        }
    }
}

/// Numbers begin with 1: 0 means none.
fn number(index: usize) -> u64 {
    index as u64 + 1
}

/// What the frame is, and its name. It differs from the name, so that `go tool pprof` takes that one as it is; otherwise it
/// would take names such as `<module>` for arguments of a template and strip them.
fn system_name(frame: &Frame) -> String {
    let kind = frame.kind.text();
    let line = if frame.approximate { "-def-line" } else { "" };
    format!("{kind}{line}:{}", frame.name)
}
