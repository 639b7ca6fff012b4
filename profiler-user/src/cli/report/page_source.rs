//! The source that a page shows: that of the functions in which most was spent, read with the rights of whoever called `report`.
//!
//! Paths are foreign, and a page is passed on. A program could claim that its code lies in a file that is nobody's business, so
//! only files that are called like Python source are read, and only if the user asks for it.

use std::collections::HashMap;
use std::path::Path;

use super::source::{self, Source};
use crate::output::SourceFile;
use crate::profile::{Frame, FrameKind, Recording};

/// Lines that a page has, of all files.
const MOST_LINES: usize = 20_000;
/// Of a function that is longer, only what is around the lines that ran.
const LONGEST_FUNCTION: u32 = 400;
/// Lines before and after one that ran.
const AROUND: u32 = 3;

/// Where a function is, as far as it ran.
#[derive(Debug, Default)]
struct Span {
    lines: Vec<u32>,
    heat: u64,
}

/// Source of the hottest functions.
pub(in crate::cli) fn of(recording: &Recording) -> Vec<SourceFile> {
    let ended = recording.started + recording.duration;
    let wanted = wanted(recording);
    let read = source::read(wanted.iter().copied());
    let files = read.into_iter().filter_map(|(path, source)| match source {
        Source::Lines { lines, changed } if !lines.is_empty() => Some(SourceFile {
            path: path.to_owned(),
            is_changed: !recording.duration.is_zero() && changed.is_some_and(|changed| changed > ended),
            lines,
        }),
        _ => None,
    });
    let mut files: Vec<SourceFile> = files.collect();
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    files
}

/// Lines of files, those of the hottest functions first.
fn wanted(recording: &Recording) -> Vec<(&str, u32)> {
    let heat = heat(recording);
    let mut spans: HashMap<(&str, Option<u32>, &str), Span> = HashMap::new();
    for (frame, heat) in recording.frames.iter().zip(heat) {
        if let (Some(file), Some(line)) = (python_source(frame), frame.line) {
            let span = spans.entry((file, frame.first_line, &frame.name)).or_default();
            span.lines.push(line);
            span.heat = span.heat.saturating_add(heat);
        }
    }
    let mut spans: Vec<_> = spans.into_iter().collect();
    spans.sort_unstable_by(|(a, of_a), (b, of_b)| of_b.heat.cmp(&of_a.heat).then(a.cmp(b)));
    let lines = spans.into_iter().flat_map(|((file, first_line, _), span)| {
        let lines = lines_of(first_line, span.lines);
        lines.into_iter().map(move |line| (file, line))
    });
    lines.take(MOST_LINES).collect()
}

/// The path, if it is that of Python source.
fn python_source(frame: &Frame) -> Option<&str> {
    let file = frame.file.as_deref()?;
    let is_source = Path::new(file)
        .extension()
        .is_some_and(|extension| extension == "py");
    (frame.kind == FrameKind::Python && is_source).then_some(file)
}

/// The lines of a function that ran on these lines.
fn lines_of(first_line: Option<u32>, mut ran: Vec<u32>) -> Vec<u32> {
    ran.sort_unstable();
    let around = |line: u32| line.saturating_sub(AROUND).max(1)..=line.saturating_add(AROUND);
    let (Some(least), Some(most)) = (ran.first().copied(), ran.last().copied()) else {
        return Vec::new();
    };
    let first = first_line
        .filter(|first| *first <= least)
        .unwrap_or(*around(least).start());
    let all = first.max(1)..=*around(most).end();
    if all.end().saturating_sub(*all.start()) <= LONGEST_FUNCTION {
        return all.collect();
    }
    let mut lines: Vec<u32> = ran.into_iter().flat_map(around).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// How often each frame was on a stack.
fn heat(recording: &Recording) -> Vec<u64> {
    let mut heat = vec![0u64; recording.frames.len()];
    for count in recording.profiles.iter().flat_map(|profile| &profile.counts) {
        for frame in recording.stack(count.stack) {
            if let Some(heat) = heat.get_mut(frame.0 as usize) {
                *heat = heat.saturating_add(count.samples.max(1));
            }
        }
    }
    heat
}

#[cfg(test)]
mod tests {
    use super::{lines_of, python_source};
    use crate::profile::{Frame, FrameKind};

    #[test]
    fn a_function_is_shown_from_its_beginning_to_a_little_after_the_last_line_that_ran() {
        assert_eq!(lines_of(Some(10), vec![14, 12]), (10..=17).collect::<Vec<_>>());
        assert_eq!(lines_of(None, vec![2]), (1..=5).collect::<Vec<_>>());
        assert_eq!(
            lines_of(Some(1), vec![2, 9_000]),
            [1, 2, 3, 4, 5, 8_997, 8_998, 8_999, 9_000, 9_001, 9_002, 9_003]
        );
        assert!(lines_of(Some(1), vec![]).is_empty());
    }

    #[test]
    fn only_what_is_called_like_python_source_is_read() {
        for (file, expected) in [
            ("/srv/app.py", true),
            ("/home/me/.ssh/id_ed25519", false),
            ("/etc/shadow", false),
            ("/srv/app.py/../../etc/shadow", false),
        ] {
            let frame = Frame {
                kind: FrameKind::Python,
                file: Some(file.to_owned()),
                ..Frame::marker("f")
            };
            assert_eq!(python_source(&frame).is_some(), expected, "{file}");
        }
    }
}
