//! Functions, lines and stacks of a recording as tables of the page: each once, stacks as a tree. Used by the page.

use ahash::RandomState;
use indexmap::IndexMap;
use serde::Serialize;

use super::columns::Column;
use super::text::shown;
use crate::output::short_names::ShortNames;
use crate::output::style::{LineStyle, RenderOptions};
use crate::profile::{Frame, FrameKind, Owner, Recording};

/// What a stack without frames is called.
const NO_FRAMES: &str = "<no frames>";

/// The tables.
pub(super) struct Stacks {
    pub(super) functions: Functions,
    pub(super) lines: Lines,
    pub(super) nodes: Nodes,
    /// The innermost node of each stack.
    pub(super) node_of: Vec<u32>,
}

/// Functions, a column each for what is known of them.
#[derive(Default, Serialize)]
pub(super) struct Functions {
    name: Vec<String>,
    /// Where it is, short: file and first line, or library; empty where nobody knows.
    place: Vec<String>,
    first_line: Column,
    /// The same, whole.
    path: Vec<String>,
    /// Position in [`Owner::ALL`].
    owner: Column,
    /// 1 for import machinery.
    import: Column,
}

/// Lines of functions; 0 where it is not known.
#[derive(Default, Serialize)]
pub(super) struct Lines {
    function: Column,
    line: Column,
    /// 1 if it is not known which line of the function it was.
    about: Column,
}

impl Lines {
    /// Whether they say anything.
    pub(super) fn are_several(&self) -> bool {
        self.line.has_any()
    }
}

/// Stacks as a tree, callers first; everything below a node comes right after it.
#[derive(Default, Serialize)]
pub(super) struct Nodes {
    /// How far before a node its caller stands; 0 for the outermost ones.
    up: Column,
    line: Column,
}

impl Stacks {
    pub(super) fn of(recording: &Recording, options: &RenderOptions) -> Self {
        let names = ShortNames::of(&recording.frames);
        let mut growing = Growing {
            options,
            names: &names,
            functions: IndexMap::default(),
            lines: IndexMap::default(),
            tables: (Functions::default(), Lines::default()),
        };
        let lines: Vec<u32> = recording.frames.iter().map(|frame| growing.line(frame)).collect();
        let marker = Frame::marker(NO_FRAMES);
        let nobody = if recording.stacks.iter().any(|stack| stack.is_empty()) {
            growing.line(&marker)
        } else {
            0
        };
        let (functions, lines_table) = growing.tables;
        let stacks = recording.stacks.iter().map(|stack| match &**stack {
            [] => vec![nobody],
            frames => frames
                .iter()
                .filter_map(|frame| lines.get(frame.0 as usize).copied())
                .collect(),
        });
        let (nodes, node_of) = tree(&stacks.collect::<Vec<_>>());
        Self {
            functions,
            lines: lines_table,
            nodes,
            node_of,
        }
    }
}

/// Stacks of lines as a tree, and the innermost node of each.
fn tree(stacks: &[Vec<u32>]) -> (Nodes, Vec<u32>) {
    let mut order: Vec<usize> = (0..stacks.len()).collect();
    // Side by side what begins alike: so everything below a node comes right after it.
    order.sort_unstable_by_key(|at| &stacks[*at]);
    let mut nodes = Nodes::default();
    let mut node_of = vec![0; stacks.len()];
    let mut open: Vec<(u32, u32)> = Vec::new();
    for at in order {
        let stack = &stacks[at];
        let common = open
            .iter()
            .zip(stack)
            .take_while(|((line, _), other)| line == *other)
            .count();
        open.truncate(common);
        for line in &stack[common..] {
            let node = position(nodes.line.len());
            nodes.up.push(open.last().map_or(0, |(_, above)| node - above));
            nodes.line.push(*line);
            open.push((*line, node));
        }
        node_of[at] = open.last().map_or(0, |(_, node)| *node);
    }
    (nodes, node_of)
}

/// What makes a function: two of the same name and file may begin at different lines.
type FunctionKey<'f> = (FrameKind, &'f str, Option<&'f str>, Option<&'f str>, Option<u32>);

struct Growing<'f> {
    options: &'f RenderOptions,
    names: &'f ShortNames<'f>,
    functions: IndexMap<FunctionKey<'f>, u32, RandomState>,
    lines: IndexMap<(u32, u32, bool), u32, RandomState>,
    tables: (Functions, Lines),
}

impl<'f> Growing<'f> {
    fn line(&mut self, frame: &'f Frame) -> u32 {
        let function = self.function(frame);
        let line = self.options.line(frame).unwrap_or(0);
        let is_about = frame.approximate && self.options.lines == LineStyle::Current;
        let lines = &mut self.tables.1;
        *self.lines.entry((function, line, is_about)).or_insert_with(|| {
            lines.function.push(function);
            lines.line.push(line);
            lines.about.push(u8::from(is_about));
            position(lines.line.len() - 1)
        })
    }

    fn function(&mut self, frame: &'f Frame) -> u32 {
        let (file, module) = (frame.file.as_deref(), frame.module.as_deref());
        let key = (frame.kind, frame.name.as_str(), file, module, frame.first_line);
        if let Some(known) = self.functions.get(&key) {
            return *known;
        }
        let is_marker = frame.kind == FrameKind::Marker;
        let short = if self.options.full_filenames {
            file
        } else {
            self.names.get(frame)
        };
        let place = short.or(module).filter(|_| !is_marker);
        let owner = Owner::of(frame);
        let functions = &mut self.tables.0;
        functions.name.push(shown(&frame.name));
        functions.place.push(shown(place.unwrap_or_default()));
        functions.first_line.push(
            frame
                .first_line
                .filter(|_| self.options.lines != LineStyle::None)
                .unwrap_or(0),
        );
        functions.path.push(shown(file.or(module).unwrap_or_default()));
        functions
            .owner
            .push_position(Owner::ALL.iter().position(|of| *of == owner).unwrap_or(0));
        functions.import.push(u8::from(is_import(frame)));
        let number = position(functions.name.len() - 1);
        self.functions.insert(key, number);
        number
    }
}

/// Whether it is a part of `import` itself, and not of what is imported.
fn is_import(frame: &Frame) -> bool {
    let file = frame.file.as_deref().unwrap_or_default();
    let is_frozen = ["<frozen importlib.", "<frozen importlib>", "<frozen zipimport"];
    let is_python = frame.kind == FrameKind::Python && Owner::of(frame) == Owner::StandardLibrary;
    let is_there = [
        "/importlib/_bootstrap.py",
        "/importlib/_bootstrap_external.py",
        "/importlib/__init__.py",
        "/zipimport.py",
    ];
    is_python
        && (is_frozen.iter().any(|start| file.starts_with(start))
            || is_there.iter().any(|end| file.ends_with(end)))
}

fn position(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::columns::{Column, read};
    use super::{is_import, tree};
    use crate::output::test_recording::python;

    #[test]
    fn stacks_become_a_tree_in_which_what_is_below_a_node_follows_it() {
        let stacks = [vec![0, 1, 2], vec![3], vec![0, 1], vec![0, 4], vec![0, 1, 2]];
        let (nodes, node_of) = tree(&stacks);
        let read = |column: &Column| {
            let text = serde_json::to_value(column).expect("a text");
            read(text.as_str().expect("a text"))
        };
        assert_eq!(read(&nodes.line), [0, 1, 2, 4, 3]);
        assert_eq!(read(&nodes.up), [0, 1, 1, 3, 0]);
        assert_eq!(node_of, [2, 4, 1, 3, 2]);
    }

    #[test]
    fn import_machinery_is_told_from_what_it_imports() {
        for (file, expected) in [
            ("<frozen importlib._bootstrap>", true),
            ("<frozen importlib._bootstrap_external>", true),
            ("<frozen zipimport>", true),
            ("/usr/lib/python3.11/importlib/__init__.py", true),
            ("/usr/lib/python3.11/importlib/metadata/__init__.py", false),
            ("<frozen runpy>", false),
            ("/srv/importlib/_bootstrap.py", false),
        ] {
            assert_eq!(is_import(&python("f", file, 1, 1)), expected, "{file}");
        }
    }
}
