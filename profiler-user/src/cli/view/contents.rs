//! What is served: the page of a recording, or the recording in a form that speedscope reads.

use std::collections::HashMap;

use super::super::failure::Failure;
use super::super::input::{self, Wanted};
use super::super::report::source_for_page;
use super::args::Args;
use crate::output::{Encoding, Format, Group, Measure, RenderOptions, page_policy};
use crate::recordings::{Converted, Values};

/// What the policy of a page does not say where it stands in the page itself.
const NO_FRAMES: &str = "; frame-ancestors 'none'";

/// A thing that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Resource {
    /// Its type, as browsers know it.
    pub(super) kind: &'static str,
    /// What it is.
    pub(super) bytes: Vec<u8>,
}

/// Everything that is served, by what follows the token in the address.
#[derive(Debug)]
pub(super) struct Site {
    /// By name; the page itself has none.
    pub(super) resources: HashMap<String, Resource>,
    /// What the browser is allowed to do (Content-Security-Policy).
    pub(super) policy: String,
    /// What follows the address of the page.
    pub(super) fragment: String,
}

impl Site {
    /// One page.
    pub(super) fn of_page(bytes: Vec<u8>) -> Self {
        let page = Resource {
            kind: "text/html; charset=utf-8",
            bytes,
        };
        Self {
            resources: HashMap::from([(String::new(), page)]),
            policy: page_policy() + NO_FRAMES,
            fragment: String::new(),
        }
    }
}

/// The page, as `report -o FILE.html` writes it.
pub(super) fn page(args: &Args) -> Result<Vec<u8>, Failure> {
    let (converted, shown) = read(args, true)?;
    if converted.values == Values::Other {
        return Err(no_place("a page", &shown));
    }
    written(args, converted, Format::Html)
}

/// The recording with its name: in the order of time if that is known, else as folded stacks.
pub(super) fn for_speedscope(args: &Args) -> Result<(&'static str, Vec<u8>), Failure> {
    let (converted, _) = read(args, true)?;
    let has_times = converted.recording.timeline.is_some() && converted.values == Values::Both;
    if has_times {
        return Ok((
            "recording.speedscope.json",
            written(args, converted, Format::Speedscope)?,
        ));
    }
    Ok((
        "recording.collapsedstack.txt",
        written(args, converted, Format::Raw)?,
    ))
}

fn read(args: &Args, with_times: bool) -> Result<(Converted, String), Failure> {
    let names: Vec<String> = args
        .files
        .iter()
        .map(|path| path.to_string_lossy().into_owned())
        .collect();
    input::recording(Wanted {
        files: &args.files,
        with_times,
        sample_type: args.sample_type.as_deref(),
        labels: &args.label,
        title: &format!("pyebpf view {}", names.join(" ")),
    })
}

fn no_place(what: &str, shown: &str) -> Failure {
    Failure::new(format_args!(
        "{what} has no place for values of this kind: {shown}"
    ))
    .hint("pyebpf report FILE --tree")
}

fn written(args: &Args, converted: Converted, format: Format) -> Result<Vec<u8>, Failure> {
    let Converted {
        mut recording,
        values,
    } = converted;
    let roots = match (args.group_by.as_slice(), recording.processes.len()) {
        ([], 2..) => vec![Group::Process],
        (groups, _) => groups.to_vec(),
    };
    let is_time = values == Values::Time || args.sample_type.as_deref().is_some_and(is_of_time);
    let options = RenderOptions {
        roots,
        full_filenames: args.full_filenames,
        measure: if is_time { Measure::Time } else { Measure::Samples },
        sources: match args.source {
            true => source_for_page(&recording),
            false => Vec::new(),
        },
        ..RenderOptions::default()
    };
    let encoding = Encoding {
        format,
        compression: crate::output::Compression::None,
    };
    let mut bytes = Vec::new();
    let written = encoding.write(&mut recording, &options, &mut bytes);
    written.map_err(|error| Failure::new(format_args!("making the page: {error}")))?;
    Ok(bytes)
}

/// Whether a value of ours is a time.
fn is_of_time(name: &str) -> bool {
    matches!(name, "cpu" | "off-cpu")
}
