//! `--lines`: the hottest lines, with their source.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, SystemTime};

use super::super::sheet::{Column, Sheet, Value};
use super::args::Args;
use super::functions::{Shown, sheet, tally_values};
use super::source::{Source, read};
use crate::profile::FrameKind;
use crate::views::{Functions, LineRow, Selection, hot_lines};

const LINES: &[Column] = &[
    Column::both("own_percent", "own %"),
    Column::both("own", "own"),
    Column::both("total_percent", "total %"),
    Column::both("total", "total"),
    Column::both("function", "function"),
    Column::people("file:line"),
    Column::data("file"),
    Column::data("line"),
    Column::data("module"),
    Column::data("owner"),
    Column::both("source", "source"),
];

/// The lines.
pub(super) fn hot(args: &Args, selection: &Selection<'_>) -> Sheet {
    let functions = Functions::of(&selection.loaded().frames);
    let shown = Shown::new(args, selection, &functions);
    let mut sheet = sheet("lines", LINES, selection, selection.total());
    let rows = hot_lines(selection, &functions);
    sheet.left_out = rows.len().saturating_sub(args.top);
    let rows: Vec<LineRow> = rows.into_iter().take(args.top).collect();
    let place = |row: &LineRow| {
        let function = functions.get(row.function);
        let is_python = function.kind == FrameKind::Python;
        Some((function.file.filter(|_| is_python)?, row.line?))
    };
    let sources = read(rows.iter().filter_map(place));
    for row in &rows {
        let numbers = tally_values(row.tally, sheet.total);
        let source = place(row).and_then(|(file, line)| match sources.get(file)? {
            Source::Lines { lines, .. } => lines.get(&line),
            Source::Missing(_) => None,
        });
        let values = numbers
            .into_iter()
            .chain(shown.values(row.function, row.line))
            .chain([Value::text(source.map(|line| line.trim_start()))]);
        sheet.table.rows.push(values.collect());
    }
    sheet.notes = notes(&sources, ended(selection));
    sheet
}

/// When the recording ended, if that is known.
fn ended(selection: &Selection<'_>) -> Option<SystemTime> {
    let about = &selection.loaded().about;
    let ns = u64::try_from(about.started_ns.checked_add(about.duration_ns)?).ok()?;
    SystemTime::UNIX_EPOCH
        .checked_add(Duration::from_nanos(ns))
        .filter(|_| about.started_ns > 0)
}

/// What is to be said of sources that are missing or others.
fn notes(sources: &HashMap<&str, Source>, ended: Option<SystemTime>) -> Vec<String> {
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut notes = Vec::new();
    let sorted: BTreeMap<_, _> = sources.iter().collect();
    for (file, source) in sorted {
        match source {
            Source::Missing(why) => missing.entry(why).or_default().push(file),
            Source::Lines { changed, .. } => {
                if let (Some(changed), Some(ended)) = (changed, ended)
                    && *changed > ended
                {
                    notes.push(format!(
                        "{file} was changed after the recording: its lines may be others"
                    ));
                }
            }
        }
    }
    for (why, files) in missing {
        notes.push(format!("no source, {why}: {}", files.join(", ")));
    }
    notes
}
