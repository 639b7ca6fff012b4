//! `pyebpf record`: from arguments to a file.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::RangedU64ValueParser;

use super::failure::Failure;
use super::filters::FilterArgs;
use super::launch::Launched;
use super::terminal::{self, ProgressBar};
use super::{preflight, report};
use crate::output::{Format, Group, LineStyle, OutputFile, RenderOptions};
use crate::processes::filter::Filter;
use crate::processes::tracker::Target;
use crate::profile::Profile;
use crate::session::{NativeFrames, Progress, RecordError, Recorder, Settings, StopReason, Summary};

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
        sudo pyebpf record --all -d 5 -f raw -o - | sort -k2 -n\n\n\
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
    /// Stop after this many seconds, or `unlimited`
    #[arg(short, long, value_name = "SECONDS", default_value = "unlimited", value_parser = parse_duration)]
    duration: Length,
    /// Samples per second on each CPU
    #[arg(short, long, value_name = "HZ", default_value_t = 99, value_parser = RangedU64ValueParser::<u32>::new().range(1..=20_000))]
    rate: u32,
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
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e9 => Ok(Length(Some(Duration::from_secs_f64(seconds)))),
        _ => Err("a number of seconds above 0, or `unlimited`".to_owned()),
    }
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
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
    preflight::check_processes(&args.pid)?;
    preflight::check_host()?;
    let output = prepare_output(args, format)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(format_args!("starting the event loop: {error}")))?;
    runtime.block_on(record(args, filter, format, output))
}

async fn record(args: &Args, filter: Filter, format: Format, output: OutputFile) -> Result<u8, Failure> {
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
        rate_hz: args.rate,
        duration: args.duration.0,
        gil_only: args.gil,
        timeline: format.wants_timeline(),
        native: match args {
            Args { native_all: true, .. } => Some(NativeFrames::All),
            Args { native: true, .. } => Some(NativeFrames::Relevant),
            Args { kernel: true, .. } => Some(NativeFrames::Kernel),
            _ => None,
        },
        thread_names: format.names_threads() || args.roots().contains(&Group::Thread),
        title: title(),
    };
    let mut recorder = Recorder::prepare(settings).map_err(preflight::explain)?;
    let mut launched = None;
    if args.command.is_empty() {
        announce(args, &filter, &recorder)?;
    } else {
        // Last, so that its first samples are not missed while the kernel half is being loaded.
        let child = Launched::start(&args.command)?;
        recorder.add(child.pid())?;
        launched = Some(child);
    }

    let bar = ProgressBar::new(args.duration.0);
    let recorded = recorder
        .run(|now| match now {
            Progress::Recording {
                elapsed,
                samples,
                processes,
            } => bar.show(elapsed, samples, processes),
            Progress::Naming { addresses } => bar.show_naming(addresses),
        })
        .await;
    bar.clear();
    let status = match launched {
        Some(child) => child.finish().await?,
        None => 0,
    };
    let (profile, summary, reason) = recorded.map_err(preflight::explain)?;
    write(args, &filter, format, output, profile, &summary, reason)?;
    Ok(if reason == StopReason::ProcessExited {
        status
    } else {
        0
    })
}

/// Says what is being recorded; fails when nothing of it can be.
fn announce(args: &Args, filter: &Filter, recorder: &Recorder) -> Result<(), Failure> {
    let now = recorder.processes();
    let what = match (args.everyone(), args.pid.len()) {
        _ if !filter.is_empty() && now == 0 => {
            format!("nothing yet, waiting for a Python process that fits {filter},")
        }
        _ if !filter.is_empty() => format!("Python processes that fit {filter} ({now} now)"),
        (true, _) if now == 0 => "no Python process yet, waiting for some,".to_owned(),
        (true, _) => format!("all Python processes ({now} now)"),
        (false, count) => {
            preflight::check_interpreters(&args.pid, recorder)?;
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
    terminal::status(&format!("Sampling {what} {} times a second.{end}", args.rate));
    Ok(())
}

fn write(
    args: &Args,
    filter: &Filter,
    format: Format,
    mut output: OutputFile,
    mut profile: Profile,
    summary: &Summary,
    reason: StopReason,
) -> Result<(), Failure> {
    match reason {
        StopReason::Signal => terminal::status("Stopped sampling because Control-C pressed"),
        StopReason::ProcessExited => terminal::status("Stopped sampling because process exited"),
        StopReason::Duration => {}
    }
    if profile.counts.is_empty() {
        report::print(summary);
        if !filter.is_empty() {
            return Err(Failure::new(format_args!(
                "no samples: no Python process that fits {filter} used the CPU meanwhile"
            ))
            .hint(format_args!(
                "sudo pyebpf ps {filter}   (lists what it fits now; without it, everything)"
            )));
        }
        return Err(
            Failure::new("no samples: no Python process that is recorded used the CPU meanwhile")
                .hint("sudo pyebpf doctor   (lists the interpreters that run here, and which are supported)"),
        );
    }
    let options = RenderOptions {
        lines: match (args.function, args.nolineno) {
            (true, _) => LineStyle::Function,
            (_, true) => LineStyle::None,
            _ => LineStyle::Current,
        },
        full_filenames: args.full_filenames,
        roots: args.roots(),
    };
    let name = output.display_name();
    format
        .write(&mut profile, &options, &mut output)
        .map_err(|error| Failure::new(format_args!("writing {name}: {error}")))?;
    output
        .commit()
        .map_err(|error| Failure::new(format_args!("writing {name}: {error}")))?;
    terminal::status(&format!(
        "Wrote {} data to '{name}'. Samples: {} Errors: {}",
        format.name(),
        summary.samples,
        summary.errors() + summary.dropped()
    ));
    report::print(summary);
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
    OutputFile::prepare(&path).map_err(|error| {
        Failure::new(format_args!("cannot write '{}': {error}", path.display())).hint(error.hint())
    })
}

/// What the default file name starts with.
fn subject(args: &Args) -> String {
    if let Some(program) = args.command.first() {
        let path = std::path::Path::new(program);
        return path.file_name().unwrap_or(program).to_string_lossy().into_owned();
    }
    match args.pid.as_slice() {
        [] => "all".to_owned(),
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

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        preflight::explain(error)
    }
}
