//! `pyebpf record`: from arguments to a file.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser as _};
use profiler_common::contract::sources::{Source, Unit};

use super::announcement::{self, DEFAULT_RATE_HZ, HowOften, Who, events};
use super::failure::{Failure, exit_code};
use super::filters::FilterArgs;
use super::launch::{EndedBy, Launched};
use super::measures::Waits;
use super::mode::RecordMode;
use super::outputs::{self, Planned};
use super::parts::Parts;
use super::preflight::{self, Lacking};
use super::result::{self, Destination};
use super::subject::{self, Subject};
use super::terminal::{self, ProgressBar};
use super::{invocation, measures};
use crate::limits::FileLimit;
use crate::output::{Format, Group, LineStyle, Measure, RenderOptions, remove_unfinished};
use crate::processes::filter::Filter;
use crate::processes::tracker::Target;
use crate::profile::Recording;
use crate::session::{
    Listener, NativeFrames, Patience, Progress, Session, SessionError, Settings, Signals, StopReason,
};
use crate::sources;

/// Record where CPU time goes and write it to a file
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "pyebpf record [OPTIONS] <--all|--pid PID|FILTER|[--] COMMAND...>",
    after_help = "Examples:\n  \
        sudo pyebpf record --all -d 30                 every Python process for 30 s, flame graph\n  \
        sudo pyebpf record -p 1234,1240 -o web.svg     two processes, until Ctrl-C\n  \
        sudo pyebpf record -o prof.json python3 app.py --fast  a command, until it ends\n  \
        sudo pyebpf record -n -p 1234 -d 30            native and kernel frames too\n  \
        sudo pyebpf record --container web -d 30       one container, even if it starts later\n  \
        sudo pyebpf record --all --group-by container,script -d 30\n  \
        sudo pyebpf record --user www-data --exclude-comm 'celery*' -d 30\n  \
        sudo pyebpf record --all -d 5 -f raw -o - | sort -k2 -n\n  \
        sudo pyebpf record --all -d 30 -o cpu.svg -o cpu.json.gz  two files, one compressed\n  \
        sudo pyebpf record --all -d 30 -o cpu.pb.gz && go tool pprof -http : cpu.pb.gz\n  \
        sudo pyebpf record --mode wall -p 1234 -d 30           where it waits, too\n  \
        sudo pyebpf record --mode gil -p 1234 -d 30            which lines wait for the GIL, and which hold it\n  \
        sudo pyebpf record --mode off-cpu --threshold 50ms -p 1234 -o slow.firefox.json  each long wait\n  \
        sudo pyebpf record --event page-faults -p 1234 -d 30   which lines touch memory first\n  \
        sudo pyebpf record --mode wall --all -d 30 -o web.html  a page with filters, tables and a time line\n  \
        sudo pyebpf record --all --every 60s -o web.svg        web-1.svg, web-2.svg, ... until Ctrl-C\n\n\
        Each filter may be given several times. A process is recorded, even if it starts later, if it fits one value\n\
        of each option that is given, and none that excludes.\n\
        SIGUSR1 writes a numbered file of everything since the last one, and goes on.\n\
        A command is recorded until it ends. Ctrl-C goes to the command; a second Ctrl-C, a signal to pyebpf\n\
        alone, or the end of -d ends it (SIGTERM, and SIGKILL after 2 s), unless --keep is given.\n\
        Exit status: 0, or that of the command; 1 what was asked for could not be done; 2 wrong command line;\n\
        126 and 127 the command could not be started; 130 stopped before the first sample.\n\
        Opens with: .svg and .html any browser, .json https://www.speedscope.app, .txt flamegraph.pl and friends,\n\
        .pb.gz go tool pprof, .chrometrace.json https://ui.perfetto.dev, .firefox.json https://profiler.firefox.com,\n\
        .callgrind KCachegrind, .pstats snakeviz, .pyebpf.json your own programs.\n\
        With .gz or .zst at the end, any of them is compressed.\n\
        Several -o make several files of one recording: then leave -f out, or give one for each -o, in the same order."
)]
pub(super) struct Args {
    /// Record every Python process, including those that start later
    #[arg(short, long)]
    all: bool,
    /// Record this process (decimal or 0x hexadecimal); several are separated by commas, or given one by one
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = super::pid::parse)]
    pid: Vec<u32>,
    /// With --pid or a command: record child processes too
    #[arg(short, long)]
    subprocesses: bool,
    /// Stop after this many seconds (or 90s, 5m, 1h), or `unlimited`
    #[arg(short, long, value_name = "TIME", default_value = "unlimited", value_parser = parse_duration, allow_negative_numbers = true)]
    duration: Length,
    /// Write a numbered file at this interval: seconds, or 90s, 5m, 1h
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    every: Option<Duration>,
    /// Samples of CPU time per second on each CPU [default: 99]
    #[arg(short, long, value_name = "HZ", allow_negative_numbers = true, value_parser = RangedU64ValueParser::<u32>::new().range(1..=20_000))]
    rate: Option<u32>,
    /// What time is recorded: on the CPU (`cpu`), off it (`off-cpu`: waiting for something, or for a CPU), both (`wall`), or
    /// waiting for the GIL (`gil`: lines that wait for it, and lines that hold it meanwhile)
    #[arg(long, value_enum, conflicts_with = "event")]
    mode: Option<RecordMode>,
    /// Of time off the CPU (--mode off-cpu or wall) keep only what lasts at least this long, one by one: 50ms, 1s
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    threshold: Option<Duration>,
    /// Record threads that wait, too: the same as --mode wall
    #[arg(short, long, conflicts_with_all = ["event", "mode"])]
    idle: bool,
    /// What to sample: CPU time, or events, each of which (see --period) is a sample of the line that caused it
    #[arg(long, value_name = "EVENT", default_value = sources::ALL[0].source.name(), value_parser = event())]
    event: Source,
    /// Events for each sample; not for CPU time [default: 1]
    #[arg(long, value_name = "EVENTS", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    period: Option<u64>,
    /// What the numbers in flame graphs and folded stacks are; for CPU time only [default: samples]
    #[arg(long, value_enum)]
    unit: Option<Measure>,
    /// File to write; `-` is stdout; compressed if the name ends in .gz or .zst; may be given several times. By default the
    /// name says what is recorded and when
    #[arg(short, long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    output: Vec<PathBuf>,
    /// File format; by default what the extension of --output says, or else a flame graph. With several files, give it for
    /// none of them or for each, in the order of --output
    #[arg(short, long, value_enum, ignore_case = true)]
    format: Vec<Format>,
    /// Keep the time of each sample in pprof files too; formats that show time have it anyway
    #[arg(long)]
    timestamps: bool,
    /// Show threads: add a root frame for each
    #[arg(short, long)]
    threads: bool,
    /// Root frames, outermost first, separated by commas; by default `process`, unless only one is recorded
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    group_by: Vec<Group>,
    /// Keep only samples of threads that hold the GIL (those that wait for it: --mode gil)
    #[arg(short, long)]
    gil: bool,
    /// Show native and kernel frames too: C, C++, Rust extensions, libraries, system calls
    #[arg(short, long)]
    native: bool,
    /// Show kernel frames in addition to those of Python; --native includes them
    #[arg(long)]
    kernel: bool,
    /// Like --native, but show the interpreter's own functions too
    #[arg(long)]
    native_all: bool,
    /// Count by function instead of by line
    #[arg(short = 'F', long, conflicts_with = "nolineno")]
    function: bool,
    /// Leave line numbers out
    #[arg(long)]
    nolineno: bool,
    /// Show whole paths instead of only the part from the package on
    #[arg(long)]
    full_filenames: bool,
    /// Accepted for py-spy's sake: pyebpf never stops a program
    #[arg(long, hide = true)]
    nonblocking: bool,
    /// Show no progress on a terminal either (py-spy's spelling)
    #[arg(long, hide = true)]
    hideprogress: bool,
    /// Processes that can be recorded at the same time; tests lower it
    #[arg(long, hide = true, default_value_t = Settings::INTERPRETERS, value_parser = RangedU64ValueParser::<u32>::new().range(1..))]
    max_interpreters: u32,
    #[command(flatten, next_help_heading = "Filters")]
    filters: FilterArgs,
    /// With a command: let it go on running if the recording ends first
    #[arg(long, requires = "command")]
    keep: bool,
    /// Command to run and record; what follows it is for the command. After `--` it may begin with a dash
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    command: Vec<std::ffi::OsString>,
}

impl Args {
    /// Whether every process is looked at: asked for, or nothing but a filter given.
    fn everyone(&self) -> bool {
        self.all || (self.pid.is_empty() && self.command.is_empty())
    }

    /// What is sampled.
    fn sources(&self) -> Vec<Source> {
        let mode = self.mode.or(self.idle.then_some(RecordMode::Wall));
        mode.map_or_else(|| vec![self.event], RecordMode::sources)
    }

    /// Which waits are wanted.
    fn waits(&self) -> Waits {
        Waits {
            only_gil: self.mode == Some(RecordMode::Gil),
            threshold: self.threshold,
        }
    }

    /// How often samples are taken.
    fn how_often(&self) -> HowOften {
        HowOften {
            sources: self.sources(),
            rate_hz: self.rate.unwrap_or(DEFAULT_RATE_HZ),
            period: self.period.unwrap_or(1),
        }
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
            measure: self.unit.unwrap_or_default(),
            timestamps: self.timestamps || self.threshold.is_some(),
            sources: Vec::new(),
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

/// Why a rate says nothing here.
fn without_rate(args: &Args) -> Option<String> {
    match args.sources().as_slice() {
        [event] if event.unit() != Unit::Nanoseconds => Some(format!("{} are counted", events(*event))),
        // Without it, times are shown in periods of the rate.
        [Source::OffCpu] if args.unit == Some(Measure::Time) => {
            Some("time off the CPU is measured, not sampled".to_owned())
        }
        _ => None,
    }
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
    let subject = Subject {
        all: args.all,
        pids: &args.pid,
        is_filtered: !filter.is_empty(),
        command: &args.command,
    };
    subject::check(&subject, &invocation::arguments())?;
    measures::check(&args.sources(), args.period, args.unit)?;
    measures::check_waits(&args.sources(), args.waits(), args.gil)?;
    if !args.all && args.pid.is_empty() && args.command.is_empty() && filter.is_empty() {
        return Err(
            Failure::usage("nothing to record: give --all, --pid, a filter or a command")
                .hint(invocation::with_rights("record --all -d 10")),
        );
    }
    if args.nonblocking {
        terminal::status("--nonblocking has no effect: pyebpf never stops the programs it records.");
    }
    if let Some(why) = args.rate.and_then(|_| without_rate(args)) {
        terminal::status(&format!("-r has no effect: {why}."));
    }
    let planned = outputs::plan(&args.output, &args.format, &name(args))?;
    if args.every.is_some() {
        outputs::check_parts(&planned)?;
    }
    preflight::check_files()?;
    preflight::check_processes(&args.pid)?;
    let lacking = preflight::check_host(args.kernel || args.native || args.native_all)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| preflight::failure_of("starting the event loop", &error))?;
    let result = runtime.block_on(record(args, filter, planned, files, lacking));
    // A file that is still being written after a second Ctrl-C is not waited for, and not left behind.
    runtime.shutdown_background();
    remove_unfinished();
    result
}

async fn record(
    args: &Args,
    filter: Filter,
    planned: Vec<Planned>,
    files: FileLimit,
    lacking: Lacking,
) -> Result<u8, Failure> {
    // First of all: from here on no signal ends pyebpf in the middle of something.
    let mut signals = Signals::listen()?;
    let Some(outputs) = outputs::prepare(planned, &mut signals).await? else {
        return Err(stopped_early());
    };
    let stream = outputs.iter().find(|output| !output.file.is_file());
    if let Some(stream) = stream.filter(|_| args.every.is_some()) {
        return Err(Failure::usage(format_args!(
            "--every writes files, not to {}",
            stream.file.display_name()
        ))
        .hint("name a file: -o profile.svg"));
    }
    let formats: Vec<Format> = outputs.iter().map(|output| output.encoding.format).collect();
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
        sources: args.sources(),
        rate_hz: args.how_often().rate_hz,
        period: args.how_often().period,
        duration: args.duration.0,
        every: args.every,
        patience: Patience::default(),
        gil_only: args.gil,
        gil_waits: args.waits().only_gil,
        threshold: args.threshold,
        timeline: args.options().timestamps || formats.iter().any(|format| format.wants_timeline()),
        native: match args {
            Args { native_all: true, .. } => Some(NativeFrames::All),
            Args { native: true, .. } => Some(NativeFrames::Relevant),
            Args { kernel: true, .. } => Some(NativeFrames::Kernel),
            _ => None,
        },
        thread_names: formats.iter().any(|format| format.names_threads())
            || args.roots().contains(&Group::Thread),
        max_interpreters: args.max_interpreters,
        title: title(),
    };
    let mut session = Session::prepare(settings).map_err(preflight::explain)?;
    if signals.stopped().await.is_some() {
        return Err(stopped_early());
    }
    let name = name(args);
    let parts = outputs.iter().map(|output| output.for_parts(&name)).collect();
    let mut sink = Sink {
        bar: ProgressBar::new(args.duration.0, args.hideprogress),
        parts: Parts::new(parts, args.options())?,
    };
    let mut launched = None;
    if args.command.is_empty() {
        announce(args, &filter, &session, &lacking)?;
    } else {
        // Last, so that its first samples are not missed while the kernel half is being loaded.
        let child = Launched::start(&args.command, files, &mut signals).await?;
        session.add(child.pid());
        announcement::say_of_command(&name, child.pid(), &args.how_often(), args.duration.0);
        launched = Some(child);
    }
    let recorded = session.run(&mut signals, &mut sink).await;
    sink.bar.clear();
    let status = match launched {
        Some(child) => {
            let by = match recorded.as_ref().map(|ended| &ended.reason) {
                Ok(StopReason::ProcessExited) => EndedBy::Command,
                Ok(StopReason::Duration) => EndedBy::Time,
                Ok(StopReason::Signal(_) | StopReason::Failed(_)) | Err(_) => EndedBy::Request,
            };
            Some(child.finish(by, args.keep, &mut signals).await)
        }
        None => None,
    };
    let written = match recorded {
        Ok(ended) => {
            let destination = Destination {
                filter: &filter,
                options: args.options(),
                outputs,
                parts: sink.parts,
                in_parts: args.every.is_some(),
                of_command: status.is_some(),
                rate_hz: args.how_often().rate_hz,
                waits: args.waits(),
            };
            result::write(destination, ended).await
        }
        Err(error) => Err(preflight::explain(error)),
    };
    match (written, status) {
        (Ok(()), status) => Ok(status.unwrap_or(0)),
        // A command's own failure takes precedence over pyebpf's.
        (Err(failure), Some(status)) if status != 0 => Err(failure.with_code(status)),
        (Err(failure), _) => Err(failure),
    }
}

fn stopped_early() -> Failure {
    Failure::new("stopped before the first sample").with_code(exit_code::INTERRUPTED)
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
            Progress::LeftToCommand => {
                self.bar.clear();
                terminal::status(
                    "Control-C is left to the command, which is recorded until it ends; a second one ends it",
                );
            }
            Progress::Naming { addresses } => self.bar.show_naming(addresses),
        }
    }

    fn part(&mut self, part: Recording) {
        self.bar.clear();
        self.parts.write(part);
    }
}

/// Says what is being recorded; fails when nothing of it can be.
fn announce(args: &Args, filter: &Filter, session: &Session, lacking: &Lacking) -> Result<(), Failure> {
    announcement::say_what_is_missing(&args.filters);
    let now = session.processes();
    let may_wait = args.everyone() || !filter.is_empty() || (now == 0 && args.subprocesses);
    if !may_wait {
        preflight::check_interpreters(&args.pid, session, lacking)?;
    }
    preflight::mention_halted(&args.pid);
    let command_line = args.pid.first().and_then(|pid| session.command_line(*pid));
    let who = Who {
        everyone: args.everyone(),
        pids: &args.pid,
        command_line: command_line.as_deref(),
        filter,
        now,
    };
    announcement::say(&who, &args.how_often(), args.duration.0);
    Ok(())
}

/// What the default file name starts with.
fn name(args: &Args) -> String {
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
