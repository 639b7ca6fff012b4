//! Reads what `pyebpf record -f raw` writes: one stack per line, outermost frame first, `frame;frame;... COUNT`.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};

/// One frame: `name (file.py:LINE)`, a root (`process 7:"..."`), or a marker such as `<truncated>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// The function's name, or the whole text of a frame that is not a function.
    pub name: String,
    /// Its file.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
}

impl Frame {
    fn parse(text: &str) -> Self {
        let place = text.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
        let Some((name, place)) = place else {
            return Self {
                name: text.to_owned(),
                file: None,
                line: None,
            };
        };
        let (file, line) = match place.rsplit_once(':') {
            Some((file, line)) if line.parse::<u32>().is_ok() => (file, line.parse().ok()),
            _ => (place, None),
        };
        Self {
            name: name.to_owned(),
            file: Some(file.to_owned()),
            line,
        }
    }

    fn text(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{} ({file}:{line})", self.name),
            (Some(file), None) => format!("{} ({file})", self.name),
            (None, _) => self.name.clone(),
        }
    }

    /// The number in a root frame: `7` of `process 7:"python app.py"` for the prefix `process `.
    fn root_id(&self, prefix: &str, end: &[char]) -> Option<u32> {
        self.name.strip_prefix(prefix)?.split(end).next()?.parse().ok()
    }
}

/// How root frames other than those of processes and threads start.
const GROUPS: &[&str] = &[
    "container ",
    "no container",
    "unit ",
    "pod ",
    "no pod",
    "user ",
    "script ",
    "module ",
    "program ",
    "unknown script",
];

/// Some samples with one stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stack {
    /// The process of its root frame, where it has one.
    pub pid: Option<u32>,
    /// Text of the process's root frame.
    pub process: Option<String>,
    /// Thread id and name of its root frame, where it has one.
    pub thread: Option<(u32, String)>,
    /// Texts of its other root frames (`--group-by`), outermost first.
    pub groups: Vec<String>,
    /// Outermost first, without roots.
    pub frames: Vec<Frame>,
    /// Samples.
    pub count: u64,
}

impl Stack {
    /// The innermost frame's name.
    #[must_use]
    pub fn leaf(&self) -> &str {
        self.frames.last().map_or("", |frame| frame.name.as_str())
    }

    /// Whether a function with this name is on it.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.frames.iter().any(|frame| frame.name == name)
    }

    /// For people: the frames, outermost first.
    #[must_use]
    pub fn text(&self) -> String {
        let frames: Vec<String> = self.frames.iter().map(Frame::text).collect();
        match frames.len() {
            0..=40 => frames.join(";"),
            n => format!(
                "{};[{} frames];{}",
                frames[..5].join(";"),
                n - 10,
                frames[n - 5..].join(";")
            ),
        }
    }
}

/// All stacks of a recording, or some of them.
#[derive(Clone, Debug, Default)]
pub struct Folded {
    /// In the order of the file.
    pub stacks: Vec<Stack>,
}

impl Folded {
    /// Parses the file.
    ///
    /// # Errors
    /// The first line that is not a folded stack.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let stacks = text.lines().map(parse_line).collect::<anyhow::Result<_>>()?;
        Ok(Self { stacks })
    }

    /// Samples.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.stacks.iter().map(|stack| stack.count).sum()
    }

    /// Samples whose stack fulfils a condition.
    pub fn count(&self, condition: impl Fn(&Stack) -> bool) -> u64 {
        self.stacks
            .iter()
            .filter(|stack| condition(stack))
            .map(|stack| stack.count)
            .sum()
    }

    /// The stacks that fulfil a condition.
    #[must_use]
    pub fn filter(&self, condition: impl Fn(&Stack) -> bool) -> Self {
        Self {
            stacks: self
                .stacks
                .iter()
                .filter(|stack| condition(stack))
                .cloned()
                .collect(),
        }
    }

    /// The stacks of one process.
    #[must_use]
    pub fn of_process(&self, pid: u32) -> Self {
        self.filter(|stack| stack.pid == Some(pid))
    }

    /// Samples by innermost function.
    #[must_use]
    pub fn leaves(&self) -> BTreeMap<&str, u64> {
        let mut leaves = BTreeMap::new();
        for stack in &self.stacks {
            *leaves.entry(stack.leaf()).or_default() += stack.count;
        }
        leaves
    }

    /// The processes that occur.
    #[must_use]
    pub fn pids(&self) -> BTreeSet<u32> {
        self.stacks.iter().filter_map(|stack| stack.pid).collect()
    }

    /// For people: the most frequent stacks, at most `limit`.
    #[must_use]
    pub fn most_frequent(&self, limit: usize) -> String {
        let mut stacks: Vec<&Stack> = self.stacks.iter().collect();
        stacks.sort_by_key(|stack| std::cmp::Reverse(stack.count));
        let lines: Vec<String> = stacks
            .iter()
            .take(limit)
            .map(|stack| format!("    {:>6}  {}", stack.count, stack.text()))
            .collect();
        lines.join("\n")
    }
}

fn parse_line(line: &str) -> anyhow::Result<Stack> {
    let (frames, count) = line
        .rsplit_once(' ')
        .with_context(|| format!("no count in {line:?}"))?;
    let count = count.parse().with_context(|| format!("no count in {line:?}"))?;
    let mut frames: Vec<Frame> = frames.split(';').map(Frame::parse).collect();
    if frames.iter().any(|frame| frame.name.is_empty()) {
        bail!("a frame without a name in {line:?}");
    }
    let (mut pid, mut process, mut thread, mut groups) = (None, None, None, Vec::new());
    while let Some(root) = frames.first() {
        if let Some(id) = root.root_id("process ", &[':']) {
            // Nested with --subprocesses: the innermost process is the one that was running.
            (pid, process) = (Some(id), Some(root.name.clone()));
        } else if let Some(id) = root.root_id("thread (", &[')']) {
            // `Thread-1 (work)` looks like a function in a file.
            let text = root.text();
            let name = text.split_once("): ").map_or("", |(_, name)| name);
            thread = Some((id, name.to_owned()));
        } else if root.line.is_none() && GROUPS.iter().any(|start| root.name.starts_with(start)) {
            groups.push(root.text());
        } else {
            break;
        }
        frames.remove(0);
    }
    Ok(Stack {
        pid,
        process,
        thread,
        groups,
        frames,
        count,
    })
}

#[cfg(test)]
mod tests {
    use super::{Folded, Frame};

    #[test]
    fn roots_functions_markers_and_counts_are_told_apart() {
        let text = "process 7:\"python3 a b.py\";thread (9): MainThread;<module> (a b.py:3);f.<locals>.g (x.py:12) 4\n\
                    container web (docker);user www;f (x.py:1) 3\n\
                    <native thread> 1\n\
                    f (<string>) 2\n\
                    thread (9): Thread-1 (work);f (x.py:1) 1\n";
        let folded = Folded::parse(text).expect("valid");
        assert_eq!(folded.total(), 11);
        let first = &folded.stacks[0];
        assert_eq!(
            (first.pid, &first.thread),
            (Some(7), &Some((9, "MainThread".to_owned())))
        );
        assert_eq!(first.text(), "<module> (a b.py:3);f.<locals>.g (x.py:12)");
        assert_eq!(folded.stacks[1].groups, ["container web (docker)", "user www"]);
        assert_eq!(folded.stacks[1].frames.len(), 1);
        assert_eq!(folded.stacks[2].leaf(), "<native thread>");
        let no_line = Frame {
            name: "f".to_owned(),
            file: Some("<string>".to_owned()),
            line: None,
        };
        assert_eq!(folded.stacks[3].frames, [no_line]);
        assert_eq!(folded.stacks[4].thread, Some((9, "Thread-1 (work)".to_owned())));
    }

    #[test]
    fn a_broken_line_is_an_error() {
        for text in ["f (x.py:1)", "f (x.py:1) many", ";f 1", "\n"] {
            assert!(Folded::parse(text).is_err(), "{text:?}");
        }
    }
}
