//! What becomes of a recording that has ended: it is written, rescued if there is no room for it, and accounted for.

use std::time::Duration;

use super::failure::Failure;
use super::outputs::Prepared;
use super::parts::{self, Parts};
use super::{accounts, blocking, preflight, terminal};
use crate::escape;
use crate::output::{Encoding, FileError, OutputFile, RenderOptions};
use crate::processes::filter::Filter;
use crate::profile::Recording;
use crate::session::{Ended, StopReason, StopSignal, Summary};
use crate::sources::EventSource;

/// Where a recording goes.
pub(super) struct Destination<'a> {
    /// What was asked for, for messages.
    pub(super) filter: &'a Filter,
    pub(super) options: RenderOptions,
    pub(super) outputs: Vec<Prepared>,
    pub(super) parts: Parts,
    /// Whether the end is one more numbered file (`--every`).
    pub(super) in_parts: bool,
    /// Whether a command was recorded. Then it is not a failure that it used no CPU in Python.
    pub(super) of_command: bool,
}

/// How long a pipe that nobody reads is written to after SIGTERM or SIGHUP. A second Ctrl-C ends it at once.
const PIPE_PATIENCE: Duration = Duration::from_secs(10);

/// Writes what there is, and says what became of it.
pub(super) async fn write(destination: Destination<'_>, ended: Ended) -> Result<(), Failure> {
    let Destination {
        filter,
        options,
        outputs,
        parts,
        in_parts,
        of_command,
    } = destination;
    let Ended {
        mut last,
        summary,
        reason,
    } = ended;
    match &reason {
        StopReason::Signal(signal) => {
            terminal::status(&format!("Stopped sampling because {}", cause(*signal)));
        }
        StopReason::ProcessExited => terminal::status("Stopped sampling because process exited"),
        StopReason::Duration => {}
        StopReason::Failed(error) => terminal::status(&format!("Stopped sampling: {error}")),
    }
    let patience = match &reason {
        StopReason::Signal(StopSignal::Terminate | StopSignal::HangUp) => Some(PIPE_PATIENCE),
        _ => None,
    };
    let had_parts = parts.any();
    if !had_parts && !in_parts {
        last.accounts = accounts::lines(&summary);
    }
    let written = if in_parts {
        write_last_part(last, parts).await
    } else if last.is_empty() && had_parts {
        finish_parts(parts).await
    } else if last.is_empty() {
        let nothing = no_samples(filter, &summary);
        match reason {
            StopReason::Failed(error) => {
                accounts::print(&summary);
                return Err(preflight::explain(error));
            }
            _ if of_command => {
                // What the command did is its own affair.
                nothing.mention();
                Ok(())
            }
            _ => {
                accounts::print(&summary);
                return Err(nothing);
            }
        }
    } else {
        let written = write_files(options, outputs, last, (&summary, patience)).await;
        finish_parts(parts).await.and(written)
    };
    accounts::print(&summary);
    written?;
    match reason {
        StopReason::Failed(error) => Err(preflight::explain(error)),
        _ => Ok(()),
    }
}

async fn write_last_part(last: Recording, mut parts: Parts) -> Result<(), Failure> {
    parts.write(last);
    finish_parts(parts).await
}

/// Waits for the files of earlier intervals.
async fn finish_parts(parts: Parts) -> Result<(), Failure> {
    let written = interruptible(None, move || parts.finish()).await?;
    let [(path, reason), others @ ..] = written.lost.as_slice() else {
        return Ok(());
    };
    let failure = Failure::new(format_args!(
        "'{}' is missing: {reason}{}",
        path.display(),
        match others.len() {
            0 => String::new(),
            1 => "; so is another file".to_owned(),
            count => format!("; so are {count} other files"),
        }
    ));
    let rescued: Vec<_> = written
        .rescued
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    Err(match rescued.as_slice() {
        [] => failure,
        rescued if rescued.len() == written.lost.len() => failure.hint(format_args!(
            "they were written elsewhere: {}",
            rescued.join(", ")
        )),
        rescued => failure.hint(format_args!(
            "some were written elsewhere: {}",
            rescued.join(", ")
        )),
    })
}

/// Writes all files of a recording. One that fails does not keep the others from being written.
async fn write_files(
    options: RenderOptions,
    mut outputs: Vec<Prepared>,
    mut recording: Recording,
    (summary, patience): (&Summary, Option<Duration>),
) -> Result<(), Failure> {
    let samples = recording.samples();
    let errors = summary.errors() + summary.dropped();
    let unit = options.unit_of(&recording);
    // What may wait for a reader comes last.
    outputs.sort_by_key(|output| !output.file.is_file());
    let mut failures = Vec::new();
    for Prepared { file, encoding } in outputs {
        let patience = patience.filter(|_| !file.is_file());
        let options = options.clone();
        let work = move || {
            let written = write_or_rescue(encoding, &options, file, &mut recording);
            (written, recording)
        };
        let written = match interruptible(patience, work).await {
            Ok((written, back)) => {
                recording = back;
                written
            }
            Err(failure) => {
                failures.push(failure);
                break;
            }
        };
        let format = encoding.format;
        match written {
            Ok(name) => terminal::status(&format!(
                "Wrote {format} data to '{name}'. Samples: {samples} Errors: {errors}{unit}"
            )),
            Err(failure) => failures.push(failure),
        }
    }
    first_of(failures)
}

/// The first failure, with the others in the same message.
fn first_of(failures: Vec<Failure>) -> Result<(), Failure> {
    let mut failures = failures.into_iter();
    let Some(mut first) = failures.next() else {
        return Ok(());
    };
    for other in failures {
        first.message = format!("{}; {}", first.message, other.message);
        first.hint = match (first.hint, other.hint) {
            (Some(hint), Some(other)) => Some(format!("{hint}; {other}")),
            (hint, other) => hint.or(other),
        };
    }
    Err(first)
}

/// Runs what may wait for a disk or a pipe, and gives up at Ctrl-C, or after `patience`.
async fn interruptible<T: Send + 'static>(
    patience: Option<Duration>,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let given_up = async {
        match patience {
            Some(patience) => tokio::time::sleep(patience).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        done = blocking::run(work) => done,
        () = crate::session::stop_signal() => Err(Failure::new("stopped while writing: the output is not complete")),
        () = given_up => Err(Failure::new("nobody reads the output: it is not complete")),
    }
}

/// Writes one file, or puts the recording elsewhere; how messages call the file.
pub(super) fn write_or_rescue(
    encoding: Encoding,
    options: &RenderOptions,
    mut output: OutputFile,
    recording: &mut Recording,
) -> Result<String, Failure> {
    let (path, is_file, name) = (output.path().to_owned(), output.is_file(), output.display_name());
    let written = encoding.write(recording, options, &mut output);
    let error = match written.map_err(|error| error.to_string()) {
        Ok(()) => match output.commit(|number| encoding.numbered(&path, number)) {
            Ok(at) if is_file => return Ok(escape::printable(&at.display().to_string())),
            Ok(_) => return Ok(name),
            Err(error @ FileError::NotRenamed { .. }) => {
                return Err(Failure::new(format_args!("writing {name}: {error}")).hint(error.hint()));
            }
            Err(error) => error.to_string(),
        },
        Err(error) => error,
    };
    let failure = Failure::new(format_args!("writing {name}: {error}"));
    let rescued = is_file.then(|| parts::rescue(&path, encoding, options, recording));
    Err(match rescued.flatten() {
        Some(path) => failure.hint(format_args!("the recording is in {}", path.display())),
        None => failure,
    })
}

/// What a signal was, for people.
fn cause(signal: StopSignal) -> &'static str {
    match signal {
        StopSignal::Interrupt => "Control-C pressed",
        StopSignal::Terminate => "it was told to end (SIGTERM)",
        StopSignal::HangUp => "its terminal was closed (SIGHUP)",
    }
}

fn no_samples(filter: &Filter, summary: &Summary) -> Failure {
    let source = summary.sources.first();
    let row = source.and_then(|source| EventSource::of(source.source));
    let nothing = row.map_or("was sampled", |row| row.missed);
    if summary.unrecorded_children > 0 {
        return Failure::new(format_args!(
            "no samples: no process that is recorded {nothing} meanwhile, but {}",
            accounts::children(summary.unrecorded_children)
        ))
        .hint(preflight::with_subprocesses());
    }
    if !filter.is_empty() {
        return Failure::new(format_args!(
            "no samples: no Python process that fits {filter} {nothing} meanwhile"
        ))
        .hint(format_args!(
            "sudo pyebpf ps {filter}   (lists what it fits now; without it, everything)"
        ));
    }
    Failure::new(format_args!(
        "no samples: no Python process that is recorded {nothing} meanwhile"
    ))
    .hint("sudo pyebpf doctor   (lists the interpreters that run here, and which are supported)")
}
