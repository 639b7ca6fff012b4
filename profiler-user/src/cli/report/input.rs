//! What `report` reads: files, with the rights of whoever called it, and what is chosen of them.

use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::super::failure::Failure;
use super::super::launch::Caller;
use crate::recordings::{Loaded, ReadError, Reader};
use crate::views::{LabelFilter, Selection};

/// Becomes the user who called sudo: nothing here needs root's rights, and files that others made must not be read with them.
pub(super) fn give_up_rights() -> Result<(), Failure> {
    let Some(caller) = Caller::of_sudo() else {
        return Ok(());
    };
    caller.ids().apply().map_err(|error: Errno| {
        Failure::new(format_args!("cannot become the user who called sudo: {error}"))
            .hint("call it without sudo: it needs no rights")
    })
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
