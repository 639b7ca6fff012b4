//! `--output`: the recording in another format.

use super::super::failure::Failure;
use super::super::finishing::Gate;
use super::super::input::{self, Wanted};
use super::super::outputs::{self, Planned, Prepared};
use super::super::{result, terminal};
use super::args::Args;
use super::page_source;
use crate::output::{Format, Group, Measure, RenderOptions};
use crate::profile::Recording;
use crate::recordings::{Converted, Values};

/// Writes all files that were asked for.
pub(super) fn write(args: &Args, formats: &[Format]) -> Result<u8, Failure> {
    let planned = outputs::plan(&args.output, formats, "report")?;
    let needs_times = |planned: &Planned| {
        let format = planned.encoding.format;
        format.needs_timeline() || (args.timestamps && format == Format::Pprof)
    };
    let with_times = planned
        .iter()
        .any(|planned| needs_times(planned) || planned.encoding.format.wants_timeline());
    let (converted, shown) = input::recording(Wanted {
        files: &args.files,
        with_times,
        sample_type: args.sample_type.as_deref(),
        labels: &args.label,
        title: &title(args),
    })?;
    for planned in &planned {
        check(
            planned.encoding.format,
            &converted,
            &shown,
            needs_times(planned),
            args,
        )?;
    }
    let Converted {
        mut recording,
        values,
    } = converted;
    let mut options = options(args, values, &recording);
    if args.source {
        if !planned
            .iter()
            .any(|planned| planned.encoding.format == Format::Html)
        {
            return Err(Failure::usage("--source is for pages").hint("-o FILE.html --source"));
        }
        options.sources = page_source::of(&recording);
    }
    let mut files = Vec::new();
    for one in planned {
        files.push(outputs::open(one)?);
    }
    for Prepared { file, encoding } in files {
        let is_stdout = file.is_stdout();
        let name = result::write_or_rescue(encoding, &options, (file, &Gate::default()), &mut recording)?;
        if !is_stdout {
            terminal::status(&format!("Wrote {} to {name}.", encoding.format.noun()));
        }
    }
    Ok(0)
}

/// This command line, for the titles of pictures.
fn title(args: &Args) -> String {
    format!("pyebpf report {}", args.file_names().join(" "))
}

/// Fails when the file does not have what the format shows.
fn check(
    format: Format,
    converted: &Converted,
    shown: &str,
    needs_times: bool,
    args: &Args,
) -> Result<(), Failure> {
    let counts = [Format::Flamegraph, Format::Html, Format::Raw].contains(&format);
    match converted.values {
        Values::Both => {}
        Values::Samples if counts && args.unit == Measure::Samples => {}
        Values::Samples => {
            return Err(Failure::new(format_args!(
                "{format} shows time, and the file says only how often each stack was seen"
            ))
            .hint("-f flamegraph, -f html or -f raw, without --unit time"));
        }
        Values::Time if counts => {}
        Values::Other if format == Format::Raw => {}
        Values::Time | Values::Other => {
            return Err(Failure::new(format_args!(
                "{format} has no place for values of this kind: {shown}"
            ))
            .hint(if converted.values == Values::Time {
                "-f flamegraph, -f html or -f raw"
            } else {
                "-f raw   (or a view: pyebpf report FILE --tree)"
            }));
        }
    }
    if needs_times && converted.recording.timeline.is_none() {
        let what = if format.needs_timeline() {
            format!("{format} shows when each sample was taken, and the file does not say it")
        } else {
            "the file does not say when each sample was taken".to_owned()
        };
        return Err(Failure::new(what).hint(
            "record with --timestamps, or write a format that adds up: flamegraph, html, raw, pprof, callgrind, pstats, json",
        ));
    }
    Ok(())
}

fn options(args: &Args, values: Values, recording: &Recording) -> RenderOptions {
    let mut roots = match (args.group_by.as_slice(), recording.processes.len()) {
        ([], 2..) => vec![Group::Process],
        (groups, _) => groups.to_vec(),
    };
    if args.threads && !roots.contains(&Group::Thread) {
        roots.push(Group::Thread);
    }
    RenderOptions {
        lines: args.line_style(),
        full_filenames: args.full_filenames,
        roots,
        measure: if values == Values::Time {
            Measure::Time
        } else {
            args.unit
        },
        timestamps: args.timestamps,
        sources: Vec::new(),
    }
}
