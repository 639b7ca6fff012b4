//! `--output`: both recordings in one file.

use std::collections::HashSet;

use profiler_common::contract::sources::Source;

use super::super::failure::Failure;
use super::super::outputs::{self, Prepared};
use super::super::terminal;
use super::args::Args;
use super::pair::Pair;
use crate::output::{Difference, Format, Measure, RenderOptions, quoted};
use crate::profile::Recording;
use crate::recordings::{Converted, Loaded, Values, convert};
use crate::views::{Function, Scale, Selection};

/// Writes all files that were asked for.
pub(super) fn write(args: &Args, formats: &[Format], pair: Pair) -> Result<(), Failure> {
    let planned = outputs::plan(&args.output, formats, "diff")?;
    if let Some(other) = planned
        .iter()
        .find(|planned| !Difference::has_format(planned.encoding.format))
    {
        return Err(Failure::usage(format_args!(
            "{} has no place for a difference",
            other.encoding.format
        ))
        .hint("-o diff.svg, -o diff.html or -o diff.folded"));
    }
    let value = pair.value().clone();
    let changed = changed(args, &pair)?;
    let frames_before = pair.loaded[0].frames.len();
    let options = RenderOptions {
        lines: args.line_style(),
        full_filenames: args.full_filenames,
        measure: match value.unit.as_str() {
            "nanoseconds" => Measure::Time,
            _ => Measure::Samples,
        },
        ..RenderOptions::default()
    };
    let Pair { loaded, types } = pair;
    let mut recordings = Vec::new();
    for (loaded, value_type) in loaded.into_iter().zip(types) {
        recordings.push(recording(
            args,
            loaded,
            value_type,
            &value.name,
            formats_are_raw(&planned),
        )?);
    }
    let (Some(after), Some(before)) = (recordings.pop(), recordings.pop()) else {
        return Ok(());
    };
    let [first, second] = changed;
    let is_changed = |at: usize| match at.checked_sub(frames_before) {
        None => first.get(at).copied().unwrap_or(false),
        Some(at) => second.get(at).copied().unwrap_or(false),
    };
    let is_scaled = args.scale() == Scale::Shares;
    let mut difference = Difference::of([before, after], args.file_names(), is_scaled, is_changed);
    let mut files = Vec::new();
    for one in planned {
        files.push(outputs::open(one)?);
    }
    for Prepared { mut file, encoding } in files {
        let (is_file, name) = (file.is_file(), file.display_name());
        let path = file.path().to_owned();
        let failed = |error: &dyn std::fmt::Display| Failure::new(format_args!("writing {name}: {error}"));
        difference
            .write(encoding, &options, &mut file)
            .map_err(|error| failed(&error))?;
        let at = file
            .commit(|number| encoding.numbered(&path, number))
            .map_err(|error| failed(&error).hint(error.hint()))?;
        if is_file {
            terminal::status(&format!("Wrote {} to {}.", noun(encoding.format), quoted(&at)));
        }
    }
    Ok(())
}

fn noun(format: Format) -> String {
    match format {
        Format::Flamegraph => "a differential flame graph".to_owned(),
        Format::Raw => "stacks with both numbers".to_owned(),
        format => format.noun(),
    }
}

/// By frame of each recording whether its function took significantly more or less itself.
fn changed(args: &Args, pair: &Pair) -> Result<[Vec<bool>; 2], Failure> {
    let comparison = pair.comparison(args)?;
    let rows = comparison.functions();
    let significant = rows.iter().filter(|row| row.own.is_significant());
    let functions: HashSet<Function<'_>> = significant.map(|row| row.what).collect();
    let changed = |loaded: &Loaded| {
        let frames = loaded.frames.iter();
        frames
            .map(|frame| functions.contains(&Function::of(frame)))
            .collect()
    };
    let [before, after] = &pair.loaded;
    Ok([changed(before), changed(after)])
}

/// What is compared, as a recording.
fn recording(
    args: &Args,
    loaded: Loaded,
    value_type: usize,
    value: &str,
    takes_all: bool,
) -> Result<Recording, Failure> {
    let wanted = Selection::new(&loaded, value_type, &args.label).wanted().to_vec();
    let title = format!("pyebpf diff {}", args.file_names().join(" "));
    let Converted {
        mut recording,
        values,
    } = convert(loaded, &wanted, value_type, &title).map_err(|error| {
        Failure::new(format_args!(
            "cannot write this recording in another format: {error}"
        ))
    })?;
    if values == Values::Other && !takes_all {
        return Err(Failure::new(format_args!(
            "pictures and pages have no place for values of {value}"
        ))
        .hint("-f folded   (or the table)"));
    }
    // Of several sources only the one that was compared.
    if values == Values::Both
        && let Some(source) = source_of(value)
    {
        recording.profiles.retain(|profile| profile.source == source);
    }
    recording.title = title;
    Ok(recording)
}

fn source_of(value: &str) -> Option<Source> {
    match value {
        "samples" => Some(Source::OnCpu),
        value => Source::from_name(value.strip_suffix("-samples").unwrap_or(value)),
    }
}

/// Whether all files have bare numbers.
fn formats_are_raw(planned: &[outputs::Planned]) -> bool {
    planned
        .iter()
        .all(|planned| planned.encoding.format == Format::Raw)
}
