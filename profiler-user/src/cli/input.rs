//! What verbs read that look at recordings: files, with the rights of whoever called it, and what is chosen of them. Used by
//! `report`, `diff` and `view`.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::failure::Failure;
use super::launch::Caller;
use crate::recordings::{Converted, Loaded, ReadError, Reader, convert};
use crate::views::{GroupsError, LabelFilter, Selection};

/// Does what needs none of root's rights as the user who called sudo: files that others made must not be read with them. To be
/// called while there is one thread.
pub(super) fn as_caller(work: impl FnOnce(Option<&Caller>) -> Result<u8, Failure>) -> Result<u8, Failure> {
    let caller = Caller::of_sudo();
    if let Some(caller) = &caller {
        caller.ids().apply().map_err(|error: Errno| {
            Failure::new(format_args!("cannot become the user who called sudo: {error}"))
                .hint("call it without sudo: it needs no rights")
        })?;
    }
    work(caller.as_ref())
}

/// Reads all files into one, with the time of each sample if that is wanted.
pub(super) fn load(files: &[PathBuf], with_times: bool) -> Result<Loaded, Failure> {
    let mut reader = if with_times {
        Reader::with_times().map_err(|error| {
            Failure::new(format_args!("cannot use the folder for temporary files: {error}"))
        })?
    } else {
        Reader::new()
    };
    for path in files {
        reader.add_file(path).map_err(|error| explain(path, &error))?;
    }
    reader
        .finish()
        .ok_or_else(|| Failure::usage("no file").hint("pyebpf report cpu.pb.gz"))
}

fn explain(path: &Path, error: &ReadError) -> Failure {
    let failure = Failure::new(format_args!("cannot read '{}': {error}", path.display()));
    match error {
        ReadError::OtherTypes { .. } => {
            failure.hint("report each of them alone, or record them with the same --event")
        }
        ReadError::OtherFormat { .. } | ReadError::NotAStack { .. } | ReadError::Empty => {
            failure.hint("sudo pyebpf record --all -d 10 -o cpu.pb.gz   (makes a file that report reads)")
        }
        _ => failure,
    }
}

/// What of a recording a verb asks for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted<'a> {
    /// The files, which become one.
    pub(super) files: &'a [PathBuf],
    /// Whether the time of each sample is wanted, if it is there.
    pub(super) with_times: bool,
    /// Which value, if not the one that the file itself shows.
    pub(super) sample_type: Option<&'a str>,
    /// Whose samples.
    pub(super) labels: &'a [LabelFilter],
    /// What pictures of it are called.
    pub(super) title: &'a str,
}

/// Reads files as a recording that formats can be written of; with the kind of value that was chosen, for people.
pub(super) fn recording(wanted: Wanted<'_>) -> Result<(Converted, String), Failure> {
    let loaded = load(wanted.files, wanted.with_times)?;
    let value_type = value_type(&loaded, wanted.sample_type)?;
    check_labels(&loaded, wanted.labels)?;
    let selection = Selection::new(&loaded, value_type, wanted.labels);
    check_not_empty(&selection, !wanted.labels.is_empty())?;
    let shown = selection.value_type().to_string();
    let whose = selection.wanted().to_vec();
    let converted = convert(loaded, &whose, value_type, wanted.title).map_err(|error| {
        Failure::new(format_args!(
            "cannot write this recording in another format: {error}"
        ))
    })?;
    Ok((converted, shown))
}

/// Which value of the file is meant.
pub(super) fn value_type(loaded: &Loaded, name: Option<&str>) -> Result<usize, Failure> {
    let Some(name) = name else {
        return Ok(loaded.default_type);
    };
    let names: Vec<&str> = loaded.types.iter().map(|of| of.name.as_str()).collect();
    names.iter().position(|of| *of == name).ok_or_else(|| {
        Failure::usage(format_args!("the file has no values called {name}")).hint(format_args!(
            "--sample-type {}",
            names.join(", or --sample-type ")
        ))
    })
}

/// Fails when a filter looks at a label that no sample has.
pub(super) fn check_labels(loaded: &Loaded, filters: &[LabelFilter]) -> Result<(), Failure> {
    for filter in filters {
        let keys = filter.keys();
        let is_known = loaded.has_label(&filter.key) || keys.iter().any(|key| loaded.has_label(key));
        if !is_known {
            let failure = Failure::new(format_args!("no sample has a label {}", filter.key));
            return Err(match loaded.label_keys().as_slice() {
                [] => failure.hint("the file has no labels at all"),
                labels => failure.hint(format_args!("the labels of the file are {}", labels.join(", "))),
            });
        }
    }
    Ok(())
}

/// Fails when there is nothing to show.
pub(super) fn check_not_empty(selection: &Selection<'_>, is_filtered: bool) -> Result<(), Failure> {
    if selection.samples().next().is_some() {
        return Ok(());
    }
    let failure = match (is_filtered, selection.value_type()) {
        (true, _) => Failure::new("no samples: none has these labels"),
        (false, of) => Failure::new(format_args!("no samples of {of}")),
    };
    Err(match is_filtered {
        true => failure.hint("pyebpf report FILE --by process   (or another label: lists what there is)"),
        false => failure.hint("pyebpf report FILE --sample-type NAME   (another value of the file)"),
    })
}

/// A share: `5` or `5%`.
pub(super) fn parse_percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').trim_end().parse::<f64>().ok();
    percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "a percentage from 0 to 100".to_owned())
}

/// Says what there is to group by.
pub(super) fn explain_groups(error: &GroupsError) -> Failure {
    let GroupsError::NoLabel { labels, .. } = error;
    let failure = Failure::new(error);
    match labels.as_slice() {
        [] => failure.hint("the file has no labels at all; --by module and --by owner need none"),
        labels => failure.hint(format_args!(
            "the labels of the file are {}; --by module and --by owner need none",
            labels.join(", ")
        )),
    }
}
