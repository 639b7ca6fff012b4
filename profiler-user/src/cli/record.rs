//! `pyebpf record`: from arguments to a file.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser as _};
use profiler_common::contract::sources::Source;

use super::failure::Failure;
use super::filters::FilterArgs;
use super::launch::Launched;
use super::parts::Parts;
use super::preflight;
use super::result::{self, Destination};
use super::terminal::{self, ProgressBar};
use crate::limits::{self, FileLimit};
use crate::output::{FileError, Format, Group, LineStyle, Measure, OutputFile, RenderOptions};
use crate::processes::filter::Filter;
use crate::processes::tracker::Target;
use crate::profile::Recording;
use crate::session::{Listener, NativeFrames, Progress, Session, SessionError, Settings, StopReason};
use crate::sources;

/// Record where CPU time goes and write it to a file
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "pyebpf record [OPTIONS] <--all|--pid PID|FILTER|-- COMMAND...>",
    after_help = "Examples:\n  \
        sudo pyebpf record --all -d 30                 every Python process for 30 s, flame graph\n  \
        sudo pyebpf record -p 1234 -p 1240 -o web.svg  two processes, until Ctrl-C\n  \
        sudo pyebpf record -o prof.json -- python3 app.py --fast\n  \
        sudo pyebpf record -n -p 1234 -d 30            native and kernel frames too\n  \
        sudo pyebpf record --container web -d 30       one container, also when it starts later\n  \
        sudo pyebpf record --all --group-by container,script -d 30\n  \
        sudo pyebpf record --user www-data --exclude-comm 'celery*' -d 30\n  \
        sudo pyebpf record --all -d 5 -f raw -o - | sort -k2 -n\n  \
        sudo pyebpf record --event page-faults -p 1234 -d 30   which lines touch memory first\n  \
        sudo pyebpf record --all --every 60s -o web.svg        web-1.svg, web-2.svg, ... until Ctrl-C\n\n\
        SIGUSR1 writes what there is since the last file, under a number, and goes on.\n\
        Opens with: .svg any browser, .json https://www.speedscope.app, .txt flamegraph.pl and friends."
)]
pub(super) struct Args {
    /// Record every Python process, those that start later included
    #[arg(short, long, conflicts_with_all = ["pid", "command"])]
    all: bool,
    /// Record this process (decimal or 0x hexadecimal); may be given several times
    #[arg(short, long, value_name = "PID", value_parser = super::parse_pid, conflicts_with = "command")]
    pid: Vec<u32>,
    /// With --pid or a command: record child processes too
    #[arg(short, long)]
    subprocesses: bool,
    /// Stop after this many seconds (or 90s, 5m, 1h), or `unlimited`
    #[arg(short, long, value_name = "TIME", default_value = "unlimited", value_parser = parse_duration)]
    duration: Length,
    /// Write a numbered file so often: seconds, or 90s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    every: Option<Duration>,
    /// Samples per second on each CPU
    #[arg(short, long, value_name = "HZ", default_value_t = 99, value_parser = RangedU64ValueParser::<u32>::new().range(1..=20_000))]
    rate: u32,
    /// What is sampled: CPU time, or events of which each one (see --period) is a sample of the line that caused it
    #[arg(long, value_name = "EVENT", default_value = sources::ALL[0].source.name(), value_parser = event())]
    event: Source,
    /// Events per sample, for events that are counted
    #[arg(long, value_name = "EVENTS", default_value_t = 1, value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    period: u64,
    /// What numbers in the output are, for CPU time
    #[arg(long, value_enum, default_value_t = Measure::Samples)]
    unit: Measure,
    /// File to write; `-` is stdout. By default a name made of what is recorded and the time
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// File format; by default what the extension of --output says, else a flame graph
    #[arg(short, long, value_enum)]
    format: Option<Format>,
    /// Show threads: a root frame for each
    #[arg(short, long)]
    threads: bool,
    /// Root frames, outermost first, separated by commas; by default `process` unless there is only one
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    group_by: Vec<Group>,
    /// Only samples of threads that hold the GIL
    #[arg(short, long)]
    gil: bool,
    /// Show native and kernel frames too: C, C++, Rust extensions, libraries, system calls
    #[arg(short, long)]
    native: bool,
    /// Show kernel frames only, in addition to those of Python; they are part of --native
    #[arg(long)]
    kernel: bool,
    /// As --native, with the interpreter's own functions as well
    #[arg(long)]
    native_all: bool,
    /// Count by function instead of by line
    #[arg(short = 'F', long, conflicts_with = "nolineno")]
    function: bool,
    /// Leave line numbers out
    #[arg(long)]
    nolineno: bool,
    /// Show whole file names instead of the part from the package on
    #[arg(long)]
    full_filenames: bool,
    /// Accepted for py-spy's sake: pyebpf never stops a program
    #[arg(long, hide = true)]
    nonblocking: bool,
    /// Processes that can be recorded at the same time: what tests make small
    #[arg(long, hide = true, default_value_t = 16_384, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    max_interpreters: u32,
    #[command(flatten)]
    filters: FilterArgs,
    /// Command to run and record, after `--`
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

impl Args {
    /// Whether every process is looked at: asked for, or nothing but a filter given.
    fn everyone(&self) -> bool {
        self.all || (self.pid.is_empty() && self.command.is_empty())
    }

    /// How the recording is drawn.
    fn options(&self) -> RenderOptions {
        RenderOptions {
            lines: match (self.function, self.nolineno) {
                (true, _) => LineStyle::Function,
                (_, true) => LineStyle::None,
                _ => LineStyle::Current,
            },
            full_filenames: self.full_filenames,
            roots: self.roots(),
            measure: self.unit,
        }
    }

    /// Root frames, outermost first.
    fn roots(&self) -> Vec<Group> {
        let several = self.everyone() || self.subprocesses || self.pid.len() > 1;
        let mut roots = match (self.group_by.as_slice(), several) {
            ([], true) => vec![Group::Process],
            (groups, _) => groups.to_vec(),
        };
        if self.threads && !roots.contains(&Group::Thread) {
            roots.push(Group::Thread);
        }
        roots
    }
}

/// Value of `--duration`.
#[derive(Clone, Copy, Debug)]
struct Length(Option<Duration>);

fn parse_duration(text: &str) -> Result<Length, String> {
    if text == "unlimited" {
        return Ok(Length(None));
    }
    match parse_time(text) {
        Ok(time) => Ok(Length(Some(time))),
        Err(error) => Err(format!("{error}, or `unlimited`")),
    }
}

/// Seconds, or a number with a unit.
fn parse_time(text: &str) -> Result<Duration, String> {
    let time = match text.parse::<f64>() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|time| Duration::try_from(time).ok()),
    };
    let sensible = Duration::from_nanos(1)..=Duration::from_secs(1_000_000_000);
    time.filter(|time| sensible.contains(time))
        .ok_or_else(|| "a time above 0: seconds, or 90s, 5m, 1h".to_owned())
}

/// Values of `--event`.
fn event() -> impl clap::builder::TypedValueParser<Value = Source> {
    let values = sources::ALL
        .iter()
        .map(|row| PossibleValue::new(row.source.name()).help(row.about));
    PossibleValuesParser::new(values).try_map(|name| Source::from_name(&name).ok_or("unknown event"))
}

pub(super) fn run(args: &Args, files: FileLimit) -> Result<u8, Failure> {
    let filter = args.filters.filter()?;
    if !args.all && args.pid.is_empty() && args.command.is_empty() && filter.is_empty() {
        return Err(
            Failure::usage("nothing to record: give --all, --pid, a filter or a command")
                .hint("sudo pyebpf record --all -d 10"),
        );
    }
    if args.nonblocking {
        terminal::status("--nonblocking has no effect: pyebpf never stops the programs it records.");
    }
    let format = format(args)?;
    preflight::check_files()?;
    preflight::check_processes(&args.pid)?;
    preflight::check_host()?;
    let output = prepare_output(args, format)?;
    if args.every.is_some() && !output.is_file() {
        return Err(Failure::usage(format_args!(
            "--every writes files, not to {}",
            output.display_name()
        ))
        .hint("name a file: -o profile.svg"));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| preflight::failure_of("starting the event loop", &error))?;
    let result = runtime.block_on(record(args, filter, format, output, files));
    // A file that is still being written after a second Ctrl-C is not waited for.
    runtime.shutdown_background();
    result
}

async fn record(
    args: &Args,
    filter: Filter,
    format: Format,
    output: OutputFile,
    files: FileLimit,
) -> Result<u8, Failure> {
    let target = if args.everyone() {
        Target::All
    } else {
        Target::Processes {
            pids: args.pid.clone(),
            follow_children: args.subprocesses,
        }
    };
    let settings = Settings {
        target,
        filter: filter.clone(),
        sources: vec![args.event],
        rate_hz: args.rate,
        period: args.period,
        duration: args.duration.0,
        every: args.every,
        gil_only: args.gil,
        timeline: format.wants_timeline(),
        native: match args {
            Args { native_all: true, .. } => Some(NativeFrames::All),
            Args { native: true, .. } => Some(NativeFrames::Relevant),
            Args { kernel: true, .. } => Some(NativeFrames::Kernel),
            _ => None,
        },
        thread_names: format.names_threads() || args.roots().contains(&Group::Thread),
        max_interpreters: args.max_interpreters,
        title: title(),
    };
    let mut session = Session::prepare(settings).map_err(preflight::explain)?;
    let mut launched = None;
    if args.command.is_empty() {
        announce(args, &filter, &session)?;
    } else {
        // Last, so that its first samples are not missed while the kernel half is being loaded.
        let child = files.with_old(|| Launched::start(&args.command))?;
        session.add(child.pid());
        launched = Some(child);
    }

    let mut sink = Sink {
        bar: ProgressBar::new(args.duration.0),
        parts: Parts::new(&parts_path(args, format, &output), format, args.options())?,
    };
    let recorded = session.run(&mut sink).await;
    sink.bar.clear();
    let status = match launched {
        Some(child) => child.finish().await?,
        None => 0,
    };
    let ended = recorded.map_err(preflight::explain)?;
    // One that pyebpf ended says nothing about itself.
    let has_exited = matches!(ended.reason, StopReason::ProcessExited);
    let destination = Destination {
        filter: &filter,
        format,
        options: args.options(),
        output,
        parts: sink.parts,
        in_parts: args.every.is_some(),
    };
    result::write(destination, ended).await?;
    Ok(if has_exited { status } else { 0 })
}

/// What parts of the recording are named after: a pipe takes only the last one.
fn parts_path(args: &Args, format: Format, output: &OutputFile) -> PathBuf {
    if output.is_file() {
        output.path().to_owned()
    } else {
        format.default_path(&subject(args))
    }
}

/// Shows progress, and hands on what is complete.
struct Sink {
    bar: ProgressBar,
    parts: Parts,
}

impl Listener for Sink {
    fn progress(&mut self, progress: Progress) {
        match progress {
            Progress::Recording {
                elapsed,
                samples,
                processes,
            } => self.bar.show(elapsed, samples, processes),
            Progress::Naming { addresses } => self.bar.show_naming(addresses),
        }
    }

    fn part(&mut self, part: Recording) {
        self.bar.clear();
        self.parts.write(part);
    }
}

/// Says what is being recorded; fails when nothing of it can be.
fn announce(args: &Args, filter: &Filter, session: &Session) -> Result<(), Failure> {
    let now = session.processes();
    let what = match (args.everyone(), args.pid.len()) {
        _ if !filter.is_empty() && now == 0 => {
            format!("nothing yet, waiting for a Python process that fits {filter},")
        }
        _ if !filter.is_empty() => format!("Python processes that fit {filter} ({now} now)"),
        (true, _) if now == 0 => "no Python process yet, waiting for some,".to_owned(),
        (true, _) => format!("all Python processes ({now} now)"),
        (false, _) if now == 0 && args.subprocesses => {
            "no Python process yet, waiting for a child that runs Python,".to_owned()
        }
        (false, count) => {
            preflight::check_interpreters(&args.pid, session)?;
            if count == 1 {
                "process".to_owned()
            } else {
                format!("{count} processes")
            }
        }
    };
    let end = if args.duration.0.is_some() {
        ""
    } else {
        " Press Control-C to exit."
    };
    let how = match (args.event, args.period) {
        (Source::OnCpu, _) => format!("{} times a second", args.rate),
        (event, 1) => format!("at all of their {}", event.name()),
        (event, period) => format!("at every {period}th of their {}", event.name()),
    };
    terminal::status(&format!("Sampling {what} {how}.{end}"));
    Ok(())
}

fn format(args: &Args) -> Result<Format, Failure> {
    if let Some(format) = args.format {
        return Ok(format);
    }
    Ok(args
        .output
        .as_deref()
        .and_then(Format::from_extension)
        .unwrap_or(Format::Flamegraph))
}

fn prepare_output(args: &Args, format: Format) -> Result<OutputFile, Failure> {
    let path = match &args.output {
        Some(path) => path.clone(),
        None => format.default_path(&subject(args)),
    };
    preflight::check_output(&path)?;
    OutputFile::prepare(&path).map_err(|error| {
        let what = format!("cannot write '{}'", path.display());
        let hint = error.hint();
        let failure = match &error {
            FileError::NotWritable { error, .. } | FileError::Io { error, .. }
                if limits::is_file_limit(error) =>
            {
                preflight::failure_of(&what, error)
            }
            error => Failure::new(format_args!("{what}: {error}")),
        };
        if failure.hint.is_some() {
            failure
        } else {
            failure.hint(hint)
        }
    })
}

/// What the default file name starts with.
fn subject(args: &Args) -> String {
    if let Some(program) = args.command.first() {
        let path = std::path::Path::new(program);
        return path.file_name().unwrap_or(program).to_string_lossy().into_owned();
    }
    match args.pid.as_slice() {
        [] => args.filters.subject().unwrap_or("all").to_owned(),
        [pid] => pid.to_string(),
        [first, ..] => format!("{first}+{}", args.pid.len() - 1),
    }
}

/// pyebpf's command line, without the folder it was started from.
fn title() -> String {
    let arguments = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned());
    let words: Vec<String> = std::iter::once("pyebpf".to_owned()).chain(arguments).collect();
    words.join(" ")
}

impl From<SessionError> for Failure {
    fn from(error: SessionError) -> Self {
        preflight::explain(error)
    }
}
