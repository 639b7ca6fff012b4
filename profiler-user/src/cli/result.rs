//! What becomes of a recording that has ended: it is written, rescued if there is no room for it, and accounted for.

use std::path::PathBuf;
use std::time::Duration;

use super::failure::Failure;
use super::finishing::{Gate, finish};
use super::measures::Waits;
use super::outputs::Prepared;
use super::parts::{self, Parts};
use super::{accounts, no_samples, preflight, terminal};
use crate::output::{Encoding, FileError, OutputFile, RenderOptions, quoted};
use crate::processes::filter::Filter;
use crate::profile::Recording;
use crate::session::{Ended, StopReason, StopSignal, Summary};

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
    /// Samples a second that were asked for.
    pub(super) rate_hz: u32,
    /// Which times off the CPU were wanted.
    pub(super) waits: Waits,
}

/// How long a pipe that nobody reads is written to after SIGTERM or SIGHUP. A second Ctrl-C ends it at once.
const PIPE_PATIENCE: Duration = Duration::from_secs(10);

/// What is said of a file that a signal has cost.
const STOPPED: &str = "stopped while writing: the output is not complete";

/// Writes what there is, and says what became of it.
pub(super) async fn write(destination: Destination<'_>, ended: Ended) -> Result<(), Failure> {
    let Destination {
        filter,
        options,
        outputs,
        parts,
        in_parts,
        of_command,
        rate_hz,
        waits,
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
        let nothing = no_samples::explain(filter, &summary, rate_hz, waits);
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
    let written = finish(&Gate::default(), move || parts.finish(), given_up(None)).await?;
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
        let is_file = file.is_file();
        let patience = patience.filter(|_| !is_file);
        let options = options.clone();
        let gate = Gate::default();
        let for_work = gate.clone();
        let work = move || {
            let written = write_or_rescue(encoding, &options, (file, &for_work), &mut recording);
            (written, recording)
        };
        let written = match finish(&gate, work, given_up(patience)).await {
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
            Ok(name) => {
                terminal::status(&format!(
                    "Wrote {} to {name}. Samples: {samples} Errors: {errors}{unit}",
                    format.noun()
                ));
                if let Some(text) = format.opens_with(&name).filter(|_| is_file) {
                    terminal::status(&text);
                }
            }
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

/// When to wait no longer: at Ctrl-C, or after `patience`.
async fn given_up(patience: Option<Duration>) -> &'static str {
    let time_is_up = async {
        match patience {
            Some(patience) => tokio::time::sleep(patience).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = crate::session::stop_signal() => STOPPED,
        () = time_is_up => "nobody reads the output: it is not complete",
    }
}

/// Writes one file, or puts the recording elsewhere; how messages call the file.
pub(super) fn write_or_rescue(
    encoding: Encoding,
    options: &RenderOptions,
    (mut output, gate): (OutputFile, &Gate),
    recording: &mut Recording,
) -> Result<String, Failure> {
    let (path, is_file, name) = (output.path().to_owned(), output.is_file(), output.display_name());
    let written = encoding.write(recording, options, &mut output);
    let error = match written.map_err(|error| error.to_string()) {
        Ok(()) => match commit(output, gate, |number| encoding.numbered(&path, number))? {
            Ok(at) if is_file => return Ok(quoted(&at)),
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

/// Makes a file appear, unless that was given up just now.
fn commit(
    output: OutputFile,
    gate: &Gate,
    numbered: impl Fn(u32) -> PathBuf,
) -> Result<Result<PathBuf, FileError>, Failure> {
    if !output.is_file() {
        return Ok(output.commit(numbered));
    }
    let committed = gate.pass(|| output.commit(numbered));
    committed.ok_or_else(|| Failure::new(STOPPED))
}

/// What a signal was, for people.
fn cause(signal: StopSignal) -> &'static str {
    match signal {
        StopSignal::Interrupt => "Control-C pressed",
        StopSignal::Terminate => "it was told to end (SIGTERM)",
        StopSignal::HangUp => "its terminal was closed (SIGHUP)",
    }
}
