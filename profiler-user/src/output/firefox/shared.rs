//! The tables that all threads share: stacks, frames, functions, libraries, source files and texts.

use std::io::Write;

use indexmap::IndexSet;
use serde_json::Value;

use super::category::category;
use super::columns::{Columns, write_column, write_table};
use crate::output::error::OutputError;
use crate::output::style::{LineStyle, RenderOptions};
use crate::profile::{Frame, FrameKind, Owner, Recording, StackId};

/// A stack without a single frame has one all the same: a row without a stack would not count.
const NO_FRAMES: &str = "<no frames>";

/// Index into one of the tables.
type Index = u32;

fn index(at: usize) -> Index {
    Index::try_from(at).unwrap_or(Index::MAX)
}

/// A row of `funcTable`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Function {
    name: Index,
    /// The library of native code.
    resource: Option<Index>,
    source: Option<Index>,
    /// Its first.
    line: Option<u32>,
}

/// A row of `frameTable`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    function: Index,
    /// Index into `meta.categories`.
    category: Index,
    line: Option<u32>,
}

/// A row of `stackTable`: a frame, and the stack that it is on.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    prefix: Option<Index>,
    frame: Index,
}

/// The tables that all threads share.
#[derive(Default)]
pub(super) struct Shared<'p> {
    texts: IndexSet<&'p str>,
    /// Their texts.
    sources: IndexSet<Index>,
    resources: IndexSet<Index>,
    functions: IndexSet<Function>,
    frames: IndexSet<Place>,
    nodes: IndexSet<Node>,
    /// `StackId` to index into `nodes`.
    of_stack: Vec<Index>,
}

impl<'p> Shared<'p> {
    pub(super) fn of(recording: &'p Recording, options: &RenderOptions) -> Self {
        let mut shared = Self::default();
        let frames = recording.frames.iter();
        let of_frame: Vec<Index> = frames.map(|frame| shared.frame(frame, options)).collect();
        for stack in &recording.stacks {
            let mut frames: Vec<Index> = stack.iter().map(|id| of_frame[id.0 as usize]).collect();
            if frames.is_empty() {
                frames.push(shared.place(NO_FRAMES, Owner::Nobody));
            }
            let mut node = None;
            for frame in frames {
                let (at, _) = shared.nodes.insert_full(Node { prefix: node, frame });
                node = Some(index(at));
            }
            shared.of_stack.extend(node);
        }
        shared
    }

    fn frame(&mut self, frame: &'p Frame, options: &RenderOptions) -> Index {
        if frame.kind == FrameKind::Marker {
            return self.place(&frame.name, Owner::Nobody);
        }
        let has_lines = options.lines != LineStyle::None;
        let known = |text: Option<&'p str>| text.filter(|text| !text.is_empty());
        let function = Function {
            name: self.text(&frame.name),
            resource: known(frame.module.as_deref()).map(|module| {
                let text = self.text(module);
                index(self.resources.insert_full(text).0)
            }),
            source: known(frame.file.as_deref()).map(|file| {
                let text = self.text(file);
                index(self.sources.insert_full(text).0)
            }),
            line: frame.first_line.filter(|line| has_lines && *line != 0),
        };
        let place = Place {
            function: index(self.functions.insert_full(function).0),
            category: index(category(Owner::of(frame))),
            line: options.line(frame),
        };
        index(self.frames.insert_full(place).0)
    }

    /// A frame that is only a text.
    fn place(&mut self, name: &'p str, owner: Owner) -> Index {
        let function = Function {
            name: self.text(name),
            resource: None,
            source: None,
            line: None,
        };
        let place = Place {
            function: index(self.functions.insert_full(function).0),
            category: index(category(owner)),
            line: None,
        };
        index(self.frames.insert_full(place).0)
    }

    /// Index into `stackTable`.
    pub(super) fn stack(&self, stack: StackId) -> Option<Index> {
        self.of_stack.get(stack.0 as usize).copied()
    }

    fn text(&mut self, text: &'p str) -> Index {
        index(self.texts.insert_full(text).0)
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> Result<(), OutputError> {
        let null = |_| Value::Null;
        let zero = |_| Value::from(0);
        let one = |_| Value::from(1);
        let none = |_| Value::from(-1);
        let no = |_| Value::from(false);
        out.write_all(b"{")?;
        let node = |at: usize| self.nodes[at];
        let columns: Columns<'_> = &[
            ("frame", &|at| node(at).frame.into()),
            ("prefix", &|at| node(at).prefix.into()),
        ];
        write_table(out, "stackTable", self.nodes.len(), columns)?;
        let frame = |at: usize| self.frames[at];
        let columns: Columns<'_> = &[
            ("address", &none),
            ("inlineDepth", &zero),
            ("category", &|at| frame(at).category.into()),
            ("subcategory", &zero),
            ("func", &|at| frame(at).function.into()),
            ("nativeSymbol", &null),
            ("innerWindowID", &null),
            ("line", &|at| frame(at).line.into()),
            ("column", &null),
        ];
        write_table(out, "frameTable", self.frames.len(), columns)?;
        let function = |at: usize| self.functions[at];
        let columns: Columns<'_> = &[
            ("name", &|at| function(at).name.into()),
            // "JS" would be one of two types of code to choose from; here owners are categories.
            ("isJS", &no),
            ("relevantForJS", &no),
            ("resource", &|at| {
                function(at).resource.map_or(Value::from(-1), Value::from)
            }),
            ("source", &|at| function(at).source.into()),
            ("lineNumber", &|at| function(at).line.into()),
            ("columnNumber", &null),
        ];
        write_table(out, "funcTable", self.functions.len(), columns)?;
        let columns: Columns<'_> = &[
            // No entry of `libs`: those are for looking up names, and all that can be known are there.
            ("lib", &null),
            ("name", &|at| self.resources[at].into()),
            ("host", &null),
            // A library.
            ("type", &one),
        ];
        write_table(out, "resourceTable", self.resources.len(), columns)?;
        let columns: Columns<'_> = &[
            ("libIndex", &null),
            ("address", &null),
            ("name", &null),
            ("functionSize", &null),
        ];
        write_table(out, "nativeSymbols", 0, columns)?;
        let columns: Columns<'_> = &[
            ("id", &null),
            ("filename", &|at| self.sources[at].into()),
            ("startLine", &one),
            ("startColumn", &one),
            ("sourceMapURL", &null),
        ];
        write_table(out, "sources", self.sources.len(), columns)?;
        write_column(out, "stringArray", self.texts.iter().map(Ok))?;
        Ok(out.write_all(b"}")?)
    }
}
