//! `pyebpf top`: what takes the time, live. The session runs as for `record --every`; each interval becomes a picture.

mod amounts;
mod app;
mod args;
mod columns;
mod display;
mod feed;
mod groups;
mod kept_output;
mod keys;
mod model;
mod rows;
mod save;
mod screen;
mod source;
#[cfg(test)]
mod test_part;
mod watching;

use std::io::{IsTerminal as _, stdin, stdout};

use self::amounts::Measured;
use self::app::App;
pub(super) use self::args::Args;
use self::args::is_counted;
use self::display::Display;
use self::kept_output::KeptOutput;
use self::model::Model;
use self::watching::{End, Watching};
use super::failure::{Failure, exit_code};
use super::launch::{EndedBy, Launched, Streams};
use super::preflight::{self, Lacking};
use super::subject::{self, Subject};
use super::terminal::{self, takes_colours};
use super::{data, invocation, left_behind, measures};
use crate::limits::FileLimit;
use crate::output::remove_unfinished;
use crate::processes::filter::Filter;
use crate::session::{Patience, Session, Settings, Signals, StopReason};

/// Rows that stay on the terminal when what was shown has ended.
const ROWS_LEFT: u16 = 20;
const HEADER_LEFT: u16 = 5;
const LINES_BELOW: u16 = 4;

pub(super) fn run(args: &Args, files: FileLimit) -> Result<u8, Failure> {
    let filter = args.filters.filter()?;
    let subject = Subject {
        all: args.all,
        pids: &args.pid,
        is_filtered: !filter.is_empty(),
        command: &args.command,
    };
    subject::check(&subject, &invocation::arguments())?;
    let sources = args.sources();
    let counted: Vec<_> = sources
        .iter()
        .copied()
        .filter(|source| is_counted(*source))
        .collect();
    measures::check(
        if counted.is_empty() { &sources } else { &counted },
        args.period,
        None,
    )?;
    if !args.all && args.pid.is_empty() && args.command.is_empty() && filter.is_empty() {
        return Err(
            Failure::usage("nothing to show: give --all, --pid, a filter or a command")
                .hint(invocation::with_rights("top --all")),
        );
    }
    check_terminal(args)?;
    if args.nonblocking {
        terminal::status("--nonblocking has no effect: pyebpf never stops the programs it shows.");
    }
    if args.has_useless_rate() {
        terminal::status("-r has no effect: CPU time is not shown.");
    }
    preflight::check_files()?;
    preflight::check_processes(&args.pid)?;
    let lacking = preflight::check_host(args.native().is_some())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| preflight::failure_of("starting the event loop", &error))?;
    let result = runtime.block_on(show(args, filter, files, lacking));
    runtime.shutdown_background();
    remove_unfinished();
    result
}

/// Fails unless there is a screen to draw on and a keyboard.
fn check_terminal(args: &Args) -> Result<(), Failure> {
    let what = match (stdout().is_terminal(), stdin().is_terminal()) {
        (true, true) => return Ok(()),
        (false, _) => "standard output is not one",
        (_, false) => "standard input is not one",
    };
    let mut words: Vec<std::ffi::OsString> = ["record", "-d", "10"].map(Into::into).to_vec();
    match (args.command.as_slice(), args.pid.as_slice()) {
        ([], []) => words.push("-a".into()),
        ([], pids) => {
            let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
            words.extend(["-p".into(), pids.join(",").into()]);
        }
        (command, _) => {
            words.push("--".into());
            words.extend(command.iter().cloned());
        }
    }
    Err(Failure::new(format_args!(
        "top draws on a terminal, and {what}; record writes a file, dump prints the stacks of this moment"
    ))
    .hint(invocation::with_words(words)))
}

async fn show(args: &Args, filter: Filter, files: FileLimit, lacking: Lacking) -> Result<u8, Failure> {
    // First of all: from here on no signal ends pyebpf without putting the terminal back.
    let mut signals = Signals::listen()?;
    let is_filtered = !filter.is_empty();
    let settings = Settings {
        target: args.target(),
        filter,
        sources: args.sources(),
        rate_hz: args.rate_hz(),
        period: args.period(),
        duration: None,
        every: Some(args.delay),
        patience: Patience::of_display(),
        gil_only: args.gil,
        gil_waits: false,
        threshold: None,
        timeline: false,
        native: args.native(),
        thread_names: true,
        max_interpreters: 16_384,
        title: format!("pyebpf top: {}", args.subject()),
    };
    let mut session = Session::prepare(settings).map_err(preflight::explain)?;
    if signals.stopped().await.is_some() {
        return Err(Failure::new("stopped before the first sample").with_code(exit_code::INTERRUPTED));
    }
    let may_wait = args.everyone() || is_filtered || !args.command.is_empty();
    let has_children_only = session.processes() == 0 && args.subprocesses;
    if !may_wait && !has_children_only {
        preflight::check_interpreters(&args.pid, &session, &lacking)?;
    }
    let mut app = App::new(
        Model::new(Measured::new(&args.sources())),
        args.subject(),
        args.rate_hz(),
    );
    app.with_native = args.native().is_some();
    app.names.are_whole = args.full_filenames;
    app.health.processes = session.processes();
    app.message = preflight::halted(&args.pid).into_iter().next();
    if let [pid] = args.pid.as_slice()
        && let Some(command_line) = session.command_line(*pid)
    {
        app.subject = format!("{pid} {command_line}");
    }
    let no_terminal = |error: std::io::Error| Failure::new(format_args!("drawing on the terminal: {error}"));
    let display = Display::open(takes_colours(true)).map_err(no_terminal)?;
    let mut output = None;
    let mut launched = None;
    if !args.command.is_empty() {
        // It would write into the picture, and read the keys.
        let kept = KeptOutput::new().map_err(no_terminal)?;
        let streams = Streams::kept(&kept.file().map_err(no_terminal)?).map_err(no_terminal)?;
        let child = Launched::start_with(&args.command, files, &mut signals, streams).await?;
        session.add(child.pid());
        app.subject = format!("{} {}", child.pid(), app.subject);
        launched = Some(child);
        output = Some(kept);
    }
    let inspectors = session.inspectors();
    let watching = Watching::new(app, display, inspectors, args.name(), output);
    let (end, mut watching) = watching.run(session, &mut signals).await;
    let (width, height) = watching.display.size();
    // The prompt and what is said of the end have room below.
    let height = height.saturating_sub(LINES_BELOW).min(ROWS_LEFT + HEADER_LEFT);
    watching.app.show_end();
    let left = screen::text(&mut watching.app, width, height);
    let (app, output) = watching.finish().await;
    signals.unshare();
    if let Some(mut output) = output {
        data::print(&String::from_utf8_lossy(&output.end()))?;
    }
    let by = end.by();
    if by == EndedBy::Command {
        data::print(&left)?;
        let (what, has) = match (args.pid.len(), args.command.is_empty()) {
            (2.., true) => ("", "have"),
            _ => ("Process ", "has"),
        };
        terminal::status(&format!("{what}{} {has} ended", app.subject));
    }
    let status = match launched {
        Some(child) => child.finish(by, args.keep, &mut signals).await,
        None => 0,
    };
    for refusal in &app.health.refusals {
        terminal::status(&format!("not shown: {refusal}"));
    }
    left_behind::mention();
    match end {
        End::Failed(failure) => Err(failure),
        End::Session(ended) => match ended.map(|ended| ended.reason) {
            Err(error) | Ok(StopReason::Failed(error)) => Err(preflight::explain(error)),
            Ok(_) => Ok(status),
        },
        End::Quit => Ok(status),
    }
}
