//! File names that people read, short but never the same for two files: otherwise functions of two files that have the
//! same name and line would be added up.
//!
//! A frame brings the part of its path from the package on. Where two files of a recording come to the same text, both
//! are lengthened, one directory at a time, until they differ. Pure; used by `style` for every format that shows short names.

use std::collections::HashMap;

use crate::profile::Frame;

/// How often names are compared again after some were lengthened. Then whatever is still the same is shown whole.
const MAX_ROUNDS: usize = 4;

/// The name of each file of a recording.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShortNames<'f> {
    /// Path -> its end that is shown.
    names: HashMap<&'f str, &'f str>,
}

impl<'f> ShortNames<'f> {
    /// Chooses the names.
    #[must_use]
    pub fn of(frames: impl IntoIterator<Item = &'f Frame>) -> Self {
        let mut names: HashMap<&str, &str> = HashMap::new();
        for frame in frames {
            let Some(file) = frame.file.as_deref() else {
                continue;
            };
            let short = frame.short_file.as_deref();
            let short = short.and_then(|short| end_of(file, short.len())).unwrap_or(file);
            // One file may come with two names: the whole path where nobody could tell, at one of the times.
            let shortest = names.entry(file).or_insert(short);
            if short.len() < shortest.len() {
                *shortest = short;
            }
        }
        let mut names = Self { names };
        for _ in 0..MAX_ROUNDS {
            if !names.lengthen() {
                return names;
            }
        }
        names.show_whole();
        names
    }

    /// How the file of `frame` is written; `None` for code without a file.
    #[must_use]
    pub fn get<'a>(&'a self, frame: &'a Frame) -> Option<&'a str> {
        let file = frame.file.as_deref()?;
        let chosen = self.names.get(file).copied();
        chosen.or(frame.short_file.as_deref()).or(Some(file))
    }

    /// Makes names that are the same longer; `false` when there are none.
    fn lengthen(&mut self) -> bool {
        let twins = self.twins();
        for files in &twins {
            // Files whose ends are alike stand side by side.
            let shared = |position: usize| -> usize {
                let with = |other: Option<usize>| {
                    let other = other.and_then(|other| files.get(other));
                    other.map_or(0, |other| common_end(files[position], other))
                };
                with(position.checked_sub(1)).max(with(position.checked_add(1)))
            };
            for (position, file) in files.iter().enumerate() {
                self.names.insert(file, longer(file, shared(position)));
            }
        }
        !twins.is_empty()
    }

    /// Files that have the same name, each group sorted by how the paths end.
    fn twins(&self) -> Vec<Vec<&'f str>> {
        let mut by_name: HashMap<&str, Vec<&'f str>> = HashMap::new();
        for (file, name) in &self.names {
            by_name.entry(name).or_default().push(file);
        }
        let mut twins: Vec<Vec<&str>> = by_name.into_values().filter(|files| files.len() > 1).collect();
        for files in &mut twins {
            files.sort_unstable_by(|a, b| a.bytes().rev().cmp(b.bytes().rev()));
        }
        twins
    }

    /// Whole paths never are the same. Those of relative ones may be another's short name, so no name stays short.
    fn show_whole(&mut self) {
        for (file, name) in &mut self.names {
            *name = file;
        }
    }
}

/// The last `length` bytes of `path`; `None` if they are not text, or if there are none.
fn end_of(path: &str, length: usize) -> Option<&str> {
    let end = path.get(path.len().checked_sub(length)?..)?;
    (!end.is_empty()).then_some(end)
}

/// How many bytes at their ends are the same.
fn common_end(a: &str, b: &str) -> usize {
    let pairs = a.bytes().rev().zip(b.bytes().rev());
    pairs.take_while(|(a, b)| a == b).count()
}

/// The shortest end of `path` that is longer than `shared` bytes and begins with a whole component; else all of it.
fn longer(path: &str, shared: usize) -> &str {
    let different = path.len().saturating_sub(shared);
    let before = path
        .as_bytes()
        .get(..different.saturating_sub(1))
        .unwrap_or_default();
    match before.iter().rposition(|byte| *byte == b'/') {
        None => path,
        Some(slash) => path.get(slash + 1..).unwrap_or(path),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::ShortNames;
    use crate::profile::{Frame, FrameKind};

    fn frame(file: &str, short: &str) -> Frame {
        Frame {
            kind: FrameKind::Python,
            file: Some(file.to_owned()),
            short_file: Some(short.to_owned()),
            ..Frame::marker("handle")
        }
    }

    fn names(files: &[(&str, &str)]) -> Vec<String> {
        let frames: Vec<Frame> = files.iter().map(|(file, short)| frame(file, short)).collect();
        let names = ShortNames::of(&frames);
        let name = |frame| names.get(frame).expect("it has a file").to_owned();
        frames.iter().map(name).collect()
    }

    #[test]
    fn names_that_differ_stay_as_short_as_they_are() {
        assert_eq!(
            names(&[
                ("/s/app/pkg/x.py", "pkg/x.py"),
                ("/s/x.py", "x.py"),
                ("<string>", "<string>")
            ]),
            ["pkg/x.py", "x.py", "<string>"]
        );
    }

    #[test]
    fn two_files_with_the_same_name_are_both_lengthened_until_they_differ() {
        assert_eq!(
            names(&[("/s/corp/a/core.py", "core.py"), ("/s/corp/b/core.py", "core.py")]),
            ["a/core.py", "b/core.py"]
        );
        assert_eq!(
            names(&[
                ("/v1/site/a/core.py", "core.py"),
                ("/v2/site/a/core.py", "core.py"),
                ("/v2/site/ba/core.py", "core.py"),
                ("/core.py", "core.py"),
            ]),
            ["v1/site/a/core.py", "v2/site/a/core.py", "ba/core.py", "/core.py"]
        );
    }

    #[test]
    fn what_was_lengthened_does_not_become_a_third_name() {
        assert_eq!(
            names(&[
                ("/x/a/core.py", "core.py"),
                ("/y/b/core.py", "core.py"),
                ("/lib/a/core.py", "a/core.py"),
            ]),
            ["x/a/core.py", "b/core.py", "lib/a/core.py"]
        );
    }

    #[test]
    fn a_relative_path_that_is_the_end_of_another_stays_whole() {
        assert_eq!(
            names(&[
                ("a/core.py", "core.py"),
                ("/s/a/core.py", "core.py"),
                ("core.py", "core.py")
            ]),
            ["a/core.py", "s/a/core.py", "core.py"]
        );
    }

    #[test]
    fn a_file_has_one_name_wherever_it_was_met() {
        assert_eq!(
            names(&[("/s/pkg/x.py", "/s/pkg/x.py"), ("/s/pkg/x.py", "pkg/x.py")]),
            ["pkg/x.py", "pkg/x.py"]
        );
    }

    proptest! {
        #[test]
        fn different_files_have_different_names_that_are_their_ends(
            files in proptest::collection::vec(("/?([abé]/){0,5}[xy]", 0usize..12), 1..12),
        ) {
            let frames: Vec<Frame> = files
                .iter()
                .map(|(file, length)| {
                    let start = file.len().saturating_sub(*length + 1);
                    let start = (start..file.len()).find(|at| file.is_char_boundary(*at)).unwrap_or(0);
                    frame(file, &file[start..])
                })
                .collect();
            let names = ShortNames::of(&frames);
            let different: HashSet<&str> = files.iter().map(|(file, _)| &**file).collect();
            let shown: HashSet<&str> = frames.iter().filter_map(|frame| names.get(frame)).collect();
            prop_assert_eq!(different.len(), shown.len());
            for frame in &frames {
                let file = frame.file.as_deref().unwrap_or_default();
                prop_assert!(names.get(frame).is_some_and(|name| !name.is_empty() && file.ends_with(name)));
            }
        }
    }
}
