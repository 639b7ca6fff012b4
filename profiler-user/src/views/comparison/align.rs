//! Makes the same functions of two recordings the same: a program that was changed has its functions at other lines, and maybe
//! in another folder. Afterwards frames of the first recording read as those of the second one.
//!
//! A function is known by its name and its file. Functions of one name in one file (several lambdas, say) cannot be told apart
//! when lines have moved, so they become one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ahash::RandomState;

use super::files::moved;
use crate::profile::{Frame, FrameKind};

/// Where the frames of a function stand.
#[derive(Debug, Default)]
struct Known {
    before: BTreeSet<Option<u32>>,
    after: BTreeSet<Option<u32>>,
}

impl Known {
    /// The line of its `def`, as it is after; else as it was before.
    fn first_line(&self) -> Option<u32> {
        let least = |lines: &BTreeSet<Option<u32>>| lines.iter().flatten().next().copied();
        least(&self.after).or_else(|| least(&self.before))
    }

    /// Where its `def` was, and how far it has moved down, if it is one function in both.
    fn moved(&self) -> Option<(u32, i64)> {
        let (before, after) = (only(&self.before)?, only(&self.after)?);
        Some((before, i64::from(after) - i64::from(before)))
    }
}

/// How far the lines of each file have moved, as its functions say: by the line of a `def`, up to the next one.
#[derive(Debug, Default)]
struct Moves(HashMap<String, BTreeMap<u32, i64>, RandomState>);

impl Moves {
    fn of(functions: &HashMap<Key, Known, RandomState>) -> Self {
        let mut moves = Self::default();
        for (key, known) in functions {
            if let (Some(file), Some((line, moved))) = (&key.file, known.moved()) {
                moves.0.entry(file.clone()).or_default().insert(line, moved);
            }
        }
        moves
    }

    /// Where a line of the first recording is in the second one. Code of a module stands between its functions.
    fn line(&self, file: Option<&str>, line: u32) -> u32 {
        let moves = file.and_then(|file| self.0.get(file));
        let moved = moves.and_then(|moves| moves.range(..=line).next_back());
        let moved = moved.map_or(0, |(_, moved)| *moved);
        u32::try_from(i64::from(line) + moved).unwrap_or(line)
    }
}

fn only(lines: &BTreeSet<Option<u32>>) -> Option<u32> {
    match lines.len() {
        1 => lines.first().copied().flatten(),
        _ => None,
    }
}

/// What a function is known by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    kind: FrameKind,
    name: String,
    file: Option<String>,
    module: Option<String>,
}

impl Key {
    fn of(frame: &Frame) -> Self {
        Self {
            kind: frame.kind,
            name: frame.name.clone(),
            file: frame.file.clone(),
            // Of code with a file that is enough: a library's name may have its version in it.
            module: frame.module.clone().filter(|_| frame.file.is_none()),
        }
    }
}

/// Changes frames of both recordings.
pub(super) fn align(before: &mut [Frame], after: &mut [Frame]) {
    move_files(before, after);
    let mut functions: HashMap<Key, Known, RandomState> = HashMap::default();
    for frame in &*before {
        let known = functions.entry(Key::of(frame)).or_default();
        known.before.insert(frame.first_line);
    }
    for frame in &*after {
        let known = functions.entry(Key::of(frame)).or_default();
        known.after.insert(frame.first_line);
    }
    // Native code with a file: the library as it is called after.
    let mut modules: HashMap<Key, Option<String>, RandomState> = HashMap::default();
    for frame in after.iter().chain(&*before) {
        modules
            .entry(Key::of(frame))
            .or_insert_with(|| frame.module.clone());
    }
    let moves = Moves::of(&functions);
    for (frames, is_before) in [(before, true), (after, false)] {
        for frame in frames {
            let key = Key::of(frame);
            let Some(known) = functions.get(&key) else {
                continue;
            };
            // What is gone stays where it was.
            if is_before && !known.after.is_empty() {
                frame.line = frame.line.map(|line| moves.line(frame.file.as_deref(), line));
            }
            frame.first_line = known.first_line();
            if let Some(module) = modules.get(&key) {
                frame.module.clone_from(module);
            }
        }
    }
}

/// Gives files of the first recording the paths that they have in the second one.
fn move_files(before: &mut [Frame], after: &[Frame]) {
    let files = |frames: &[Frame]| -> BTreeSet<String> {
        frames.iter().filter_map(|frame| frame.file.clone()).collect()
    };
    let (files_before, files_after) = (files(before), files(after));
    let [before_texts, after_texts] =
        [&files_before, &files_after].map(|files| files.iter().map(String::as_str).collect());
    let moved = moved(&before_texts, &after_texts);
    let short: HashMap<&str, Option<&str>> = after
        .iter()
        .filter_map(|frame| Some((frame.file.as_deref()?, frame.short_file.as_deref())))
        .collect();
    for frame in before {
        let Some(file) = frame.file.as_deref().and_then(|file| moved.get(file)) else {
            continue;
        };
        frame.short_file = short.get(file).copied().flatten().map(str::to_owned);
        frame.file = Some((*file).to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::align;
    use crate::output::test_recording::python;
    use crate::profile::{Frame, FrameKind};

    /// Name, file, line, line of the `def`.
    fn read(frames: &[Frame]) -> Vec<(&str, &str, u32, u32)> {
        let number = |line: Option<u32>| line.unwrap_or(0);
        let frames = frames.iter().map(|frame| {
            let file = frame.file.as_deref().unwrap_or_default();
            (&*frame.name, file, number(frame.line), number(frame.first_line))
        });
        frames.collect()
    }

    #[test]
    fn a_function_that_was_moved_is_the_same_and_so_are_its_lines() {
        let mut before = [
            python("parse", "/srv/v1/app.py", 12, 10),
            python("parse", "/srv/v1/app.py", 14, 10),
            python("old", "/srv/v1/app.py", 40, 40),
        ];
        let mut after = [
            python("parse", "/srv/v2/app.py", 32, 30),
            python("new", "/srv/v2/app.py", 3, 2),
        ];
        align(&mut before, &mut after);
        assert_eq!(
            read(&before),
            [
                ("parse", "/srv/v2/app.py", 32, 30),
                ("parse", "/srv/v2/app.py", 34, 30),
                ("old", "/srv/v2/app.py", 40, 40)
            ]
        );
        assert_eq!(
            read(&after),
            [
                ("parse", "/srv/v2/app.py", 32, 30),
                ("new", "/srv/v2/app.py", 3, 2)
            ]
        );
    }

    #[test]
    fn code_of_a_module_moves_with_the_functions_before_it() {
        let mut before = [
            python("<module>", "app.py", 5, 1),
            python("<module>", "app.py", 37, 1),
            python("main", "app.py", 31, 30),
        ];
        let mut after = [
            python("<module>", "app.py", 5, 1),
            python("<module>", "app.py", 40, 1),
            python("main", "app.py", 34, 33),
        ];
        align(&mut before, &mut after);
        assert_eq!(read(&before), read(&after));
    }

    #[test]
    fn functions_that_lines_alone_tell_apart_become_one_and_their_lines_stay() {
        let mut before = [
            python("<lambda>", "app.py", 5, 5),
            python("<lambda>", "app.py", 9, 9),
        ];
        let mut after = [python("<lambda>", "app.py", 7, 7)];
        align(&mut before, &mut after);
        assert_eq!(
            read(&before),
            [("<lambda>", "app.py", 5, 7), ("<lambda>", "app.py", 9, 7)]
        );
    }

    #[test]
    fn whole_paths_and_short_ones_meet_and_so_do_versions_of_a_library() {
        let mut short = python("f", "app.py", 3, 0);
        short.first_line = None;
        let native = |module: &str, file: Option<&str>| Frame {
            kind: FrameKind::Native,
            module: Some(module.to_owned()),
            file: file.map(str::to_owned),
            ..Frame::marker("inflate")
        };
        let mut before = [
            short,
            native("libz-1.2.so", Some("inflate.c")),
            native("libz-1.2.so", None),
        ];
        let mut after = [
            python("f", "/srv/app.py", 3, 2),
            native("libz-1.3.so", Some("inflate.c")),
            native("libz-1.3.so", None),
        ];
        align(&mut before, &mut after);
        assert_eq!(read(&before)[0], ("f", "/srv/app.py", 3, 2));
        assert_eq!(before[1], after[1]);
        assert_ne!(before[2], after[2]);
    }
}
