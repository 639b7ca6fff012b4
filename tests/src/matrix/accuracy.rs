//! Many samples of the programs that change their call chain every few microseconds: none may be a stack that the program
//! cannot have, no frame may have a name that the program does not know, and hardly any frame is without name or line.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;

use crate::folded::{Folded, Frame, Stack};
use crate::live::Subject;
use crate::python::Python;
use crate::workload::{marked_line, script};

/// The largest share of frames without a name or a line.
const NAMELESS: f64 = 0.001;

/// What was counted so far.
#[derive(Clone, Debug, Default)]
pub struct Accuracy {
    /// Samples of the programs, wherever they were.
    pub samples: u64,
    /// Samples inside the part that is checked call by call.
    pub chains: u64,
    /// Of those, stacks that the program cannot have.
    pub impossible: Vec<Stack>,
    /// Frames with a name that the program does not have.
    pub garbage: BTreeMap<String, u64>,
    /// Frames, by reason and interpreter: why they have no name (the marker that stands for them) or no line.
    pub nameless: BTreeMap<String, u64>,
    /// A stack with such a frame or a garbage name, for each reason and interpreter.
    pub examples: BTreeMap<String, String>,
    /// Frames of all samples.
    pub frames: u64,
}

impl Accuracy {
    /// Adds a recording of one program; `possible` says which of its stacks there can be.
    ///
    /// # Errors
    /// When the program did not report the names it has.
    pub fn add(&mut self, subject: &Subject, possible: &Possible) -> anyhow::Result<()> {
        let known: BTreeSet<(String, String)> = subject.facts.get("functions")?;
        let inside = subject.stacks.filter(|stack| stack.contains("alternate"));
        self.samples += subject.stacks.total();
        self.chains += inside.total();
        let impossible = inside.filter(|stack| !possible.is(stack));
        self.impossible.extend(impossible.stacks);
        self.count_frames(subject.python, &subject.stacks, &known);
        // What is not inside is the start and the end of the program.
        ensure!(
            inside.total() * 100 > subject.stacks.total() * 97,
            "{} of {} samples are inside:\n{}",
            inside.total(),
            subject.stacks.total(),
            subject
                .stacks
                .filter(|stack| !stack.contains("alternate"))
                .most_frequent(5)
        );
        Ok(())
    }

    fn count_frames(&mut self, python: &Python, stacks: &Folded, known: &BTreeSet<(String, String)>) {
        for stack in &stacks.stacks {
            for frame in &stack.frames {
                self.frames += stack.count;
                let (counts, reason) = match (&frame.file, frame.line) {
                    (Some(file), _) if !known.contains(&(frame.name.clone(), file.clone())) => {
                        (&mut self.garbage, format!("{} ({file})", frame.name))
                    }
                    (Some(_), Some(_)) => continue,
                    (Some(_), None) => (&mut self.nameless, "<no line>".to_owned()),
                    (None, _) => (&mut self.nameless, frame.name.clone()),
                };
                let reason = format!("{reason} on {python}");
                *counts.entry(reason.clone()).or_default() += stack.count;
                self.examples.entry(reason).or_insert_with(|| stack.text());
            }
        }
    }

    /// What was found.
    ///
    /// # Errors
    /// Anything that a correct profiler does not show.
    pub fn verdict(&self) -> anyhow::Result<String> {
        let impossible: u64 = self.impossible.iter().map(|stack| stack.count).sum();
        let garbage: u64 = self.garbage.values().sum();
        let nameless: u64 = self.nameless.values().sum();
        let share = nameless as f64 / self.frames as f64;
        let text = format!(
            "{} samples: {impossible} impossible stacks among {} of changing chains; {garbage} garbage names, {nameless} \
             without name or line among {} frames ({:.4} %): {:?}",
            self.samples,
            self.chains,
            self.frames,
            share * 100.0,
            self.nameless
        );
        ensure!(
            impossible == 0,
            "{text}\n{}",
            Folded {
                stacks: self.impossible.clone()
            }
            .most_frequent(10)
        );
        ensure!(garbage == 0, "{text}\n{:?}\n{:#?}", self.garbage, self.examples);
        ensure!(share < NAMELESS, "{text}\n{:#?}", self.examples);
        ensure!(self.chains > 0, "nothing was checked");
        Ok(text)
    }
}

/// The stacks that one of the programs can have.
#[derive(Clone, Debug)]
pub enum Possible {
    /// `chain.py`.
    Chain {
        /// Line of each call.
        calls: BTreeMap<&'static str, u32>,
        /// First and last line of each function.
        lines: BTreeMap<String, (u32, u32)>,
    },
    /// `callbacks.py`.
    Callbacks {
        /// Lines in the program itself: of the module, and of the calls into the two files.
        outer: [u32; 3],
        /// Calls inside the files: caller, its line, callee.
        calls: BTreeSet<(&'static str, u32, &'static str)>,
    },
}

impl Possible {
    /// Those of `chain.py`.
    ///
    /// # Errors
    /// When the program lacks a mark.
    pub fn of_chain() -> anyhow::Result<Self> {
        let file = script("chain");
        let mut calls = BTreeMap::new();
        for (name, mark) in [
            ("<module>", "module"),
            ("alternate", "alternate"),
            ("top_a", "top_a"),
            ("mid_a", "mid_a"),
            ("top_b", "top_b"),
            ("mid_b", "mid_b"),
        ] {
            calls.insert(name, marked_line(&file, mark)?);
        }
        let lines = lines_of_functions(&std::fs::read_to_string(file)?);
        Ok(Self::Chain { calls, lines })
    }

    /// Those of `callbacks.py`.
    ///
    /// # Errors
    /// When the program lacks a mark.
    pub fn of_callbacks() -> anyhow::Result<Self> {
        let file = script("callbacks");
        let first = marked_line(&file, "template")?;
        let mut calls = BTreeSet::new();
        for (caller, mark, callee) in [
            ("top", "sorted", "key"),
            ("top", "make", "__init__"),
            ("top", "map", "key"),
            ("top", "list", "each"),
            ("key", "key", "leaf"),
            ("__init__", "init", "leaf"),
            ("each", "each", "leaf"),
        ] {
            calls.insert((caller, marked_line(&file, mark)? - first + 1, callee));
        }
        let outer = [
            marked_line(&file, "module")?,
            marked_line(&file, "a")?,
            marked_line(&file, "b")?,
        ];
        Ok(Self::Callbacks { outer, calls })
    }

    /// Whether the program can have this stack: from its top without a gap, each caller at the line of its call.
    #[must_use]
    pub fn is(&self, stack: &Stack) -> bool {
        match self {
            Self::Chain { calls, lines } => is_chain(stack, calls, lines),
            Self::Callbacks { outer, calls } => is_callback(stack, *outer, calls),
        }
    }
}

/// First and last line of each function of a program, by its name.
fn lines_of_functions(text: &str) -> BTreeMap<String, (u32, u32)> {
    let mut lines: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    let mut current = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(rest) = line.strip_prefix("def ") {
            current = rest.split('(').next().unwrap_or_default().to_owned();
            lines.insert(current.clone(), (number, number));
        } else if line.starts_with(' ') {
            if let Some(range) = lines.get_mut(&current) {
                range.1 = number;
            }
        } else {
            current.clear();
        }
    }
    lines
}

/// One of the two chains, the innermost function at one of its own lines.
fn is_chain(stack: &Stack, calls: &BTreeMap<&str, u32>, lines: &BTreeMap<String, (u32, u32)>) -> bool {
    let names: Vec<&str> = stack.frames.iter().map(|frame| frame.name.as_str()).collect();
    let a = ["<module>", "alternate", "top_a", "mid_a", "leaf_a"];
    let b = ["<module>", "alternate", "top_b", "mid_b", "leaf_b"];
    if !a.starts_with(&names) && !b.starts_with(&names) {
        return false;
    }
    let Some((leaf, callers)) = stack.frames.split_last() else {
        return false;
    };
    callers
        .iter()
        .all(|frame| frame.line == calls.get(frame.name.as_str()).copied())
        && lines
            .get(&leaf.name)
            .is_some_and(|(first, last)| leaf.line.is_some_and(|line| (*first..=*last).contains(&line)))
}

/// Frames of one of the two files only, each called by a line that calls it.
fn is_callback(stack: &Stack, outer: [u32; 3], calls: &BTreeSet<(&'static str, u32, &'static str)>) -> bool {
    let [module, a, b] = outer.map(Some);
    let plain = |frame: &Frame| frame.name.rsplit('.').next().unwrap_or_default().to_owned();
    let [root, alternate, made @ ..] = stack.frames.as_slice() else {
        // `alternate` is on it.
        return false;
    };
    let Some(top) = made.first() else {
        return root.line == module;
    };
    let caller = if top.file.as_deref() == Some("/made/a.py") {
        a
    } else {
        b
    };
    root.line == module
        && alternate.line == caller
        && top.name == "top"
        && made.iter().all(|frame| frame.file == top.file)
        && made.windows(2).all(|pair| {
            let (caller, callee) = (plain(&pair[0]), plain(&pair[1]));
            pair[0]
                .line
                .is_some_and(|line| calls.contains(&(caller.as_str(), line, callee.as_str())))
        })
}
