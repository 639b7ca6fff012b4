//! The command line of `pyebpf top`.

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, RangedU64ValueParser, TypedValueParser as _};
use profiler_common::contract::sources::{Source, Unit};

use super::super::announcement::DEFAULT_RATE_HZ;
use super::super::filters::FilterArgs;
use super::super::mode::Mode;
use crate::processes::tracker::Target;
use crate::session::NativeFrames;
use crate::sources;

/// Time between two refreshes, at least: the numbers of less would be chance.
const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(60);
/// Page faults for each sample, where they are counted beside time: each one would cost more than it is worth.
const FAULTS_PERIOD: u64 = 64;

/// Show live which functions take the time
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "pyebpf top [OPTIONS] <--all|--pid PID|FILTER|[--] COMMAND...>",
    after_help = "Examples:\n  \
        sudo pyebpf top --all                    every Python process of this host\n  \
        sudo pyebpf top -p 1234                  one process\n  \
        sudo pyebpf top python3 app.py           a command, until it ends\n  \
        sudo pyebpf top --mode wall -p 1234      where it waits, too\n  \
        sudo pyebpf top --container web -n       native and kernel functions too\n  \
        sudo pyebpf top --memory --all           and how many page faults they cause\n\n\
        Keys: q or Ctrl-C quits, ? explains all others. Tab shows containers, processes and threads; Enter shows a\n\
        function's callers, callees and source. What a command writes is shown after the end, and it has no standard\n\
        input. Exit status: 0, or that of the command; 1 what was asked for could not be done; 2 wrong command line;\n\
        126 and 127 the command could not be started; 130 stopped before the start."
)]
pub(in crate::cli) struct Args {
    /// Show every Python process, including those that start later
    #[arg(short, long)]
    pub(super) all: bool,
    /// Show this process (decimal or 0x hexadecimal); several are separated by commas, or given one by one
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = super::super::pid::parse)]
    pub(super) pid: Vec<u32>,
    /// With --pid or a command: show child processes too
    #[arg(short, long)]
    pub(super) subprocesses: bool,
    /// Samples of CPU time per second on each CPU [default: 99]
    #[arg(short, long, value_name = "HZ", allow_negative_numbers = true, value_parser = RangedU64ValueParser::<u32>::new().range(1..=20_000))]
    rate: Option<u32>,
    /// Seconds between two refreshes
    #[arg(long, value_name = "SECONDS", default_value = "1", value_parser = parse_delay, allow_negative_numbers = true)]
    pub(super) delay: Duration,
    /// What time is shown: on the CPU (`cpu`), off it (`off-cpu`: waiting for something, or for a CPU), or both (`wall`)
    #[arg(long, value_enum, conflicts_with = "event")]
    mode: Option<Mode>,
    /// Show threads that wait, too: the same as --mode wall
    #[arg(short, long, conflicts_with_all = ["event", "mode"])]
    idle: bool,
    /// What is shown: CPU time, or events of the functions that cause them
    #[arg(long, value_name = "EVENT", default_value = sources::ALL[0].source.name(), value_parser = event())]
    event: Source,
    /// Events for each sample; not for CPU time [default: 1, with --memory 64]
    #[arg(long, value_name = "EVENTS", value_parser = RangedU64ValueParser::<u64>::new().range(1..))]
    pub(super) period: Option<u64>,
    /// Count page faults beside time: which functions touch memory first
    #[arg(long, conflicts_with = "event")]
    memory: bool,
    /// Only samples of threads that hold the GIL
    #[arg(short, long)]
    pub(super) gil: bool,
    /// Show native and kernel functions too: C, C++, Rust extensions, libraries, system calls
    #[arg(short, long)]
    native: bool,
    /// Like --native, but show the interpreter's own functions too
    #[arg(long)]
    native_all: bool,
    /// Show whole paths instead of only the part from the package on
    #[arg(long)]
    pub(super) full_filenames: bool,
    /// Accepted for py-spy's sake: pyebpf never stops a program
    #[arg(long, hide = true)]
    pub(super) nonblocking: bool,
    #[command(flatten, next_help_heading = "Filters")]
    pub(super) filters: FilterArgs,
    /// With a command: let it go on running when `top` ends
    #[arg(long, requires = "command")]
    pub(super) keep: bool,
    /// Command to run and show; what follows it is for the command. After `--` it may begin with a dash
    #[arg(trailing_var_arg = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

impl Args {
    /// Whether every process is looked at: asked for, or nothing but a filter given.
    pub(super) fn everyone(&self) -> bool {
        self.all || (self.pid.is_empty() && self.command.is_empty())
    }

    pub(super) fn target(&self) -> Target {
        if self.everyone() {
            return Target::All;
        }
        Target::Processes {
            pids: self.pid.clone(),
            follow_children: self.subprocesses,
        }
    }

    /// What is sampled; the first is what is shown.
    pub(super) fn sources(&self) -> Vec<Source> {
        let mode = self.mode.or(self.idle.then_some(Mode::Wall));
        let mut sources = mode.map_or_else(|| vec![self.event], Mode::sources);
        if self.memory {
            sources.push(Source::PageFaults);
        }
        sources
    }

    pub(super) fn period(&self) -> u64 {
        self.period.unwrap_or(if self.memory { FAULTS_PERIOD } else { 1 })
    }

    pub(super) fn rate_hz(&self) -> u32 {
        self.rate.unwrap_or(DEFAULT_RATE_HZ)
    }

    pub(super) fn native(&self) -> Option<NativeFrames> {
        match (self.native_all, self.native) {
            (true, _) => Some(NativeFrames::All),
            (_, true) => Some(NativeFrames::Relevant),
            _ => None,
        }
    }

    /// Whether `-r` has no effect.
    pub(super) fn has_useless_rate(&self) -> bool {
        self.rate.is_some() && !self.sources().contains(&Source::OnCpu)
    }

    /// What the header says is shown.
    pub(super) fn subject(&self) -> String {
        if let Some(program) = self.command.first() {
            return program.to_string_lossy().into_owned();
        }
        match (self.pid.as_slice(), self.filters.subject()) {
            ([], Some(name)) => name.to_owned(),
            ([], None) => "all Python processes".to_owned(),
            ([pid], _) => pid.to_string(),
            (pids, _) => format!("{} processes", pids.len()),
        }
    }

    /// What files are named after.
    pub(super) fn name(&self) -> String {
        if let Some(program) = self.command.first() {
            let path = std::path::Path::new(program);
            return path.file_name().unwrap_or(program).to_string_lossy().into_owned();
        }
        match self.pid.as_slice() {
            [] => self.filters.subject().unwrap_or("all").to_owned(),
            [pid, ..] => pid.to_string(),
        }
    }
}

fn parse_delay(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok();
    let delay = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    delay
        .filter(|delay| (SHORTEST..=LONGEST).contains(delay))
        .ok_or_else(|| "a number of seconds from 0.2 to 60".to_owned())
}

/// Values of `--event`.
fn event() -> impl clap::builder::TypedValueParser<Value = Source> {
    let values = sources::ALL
        .iter()
        .map(|row| PossibleValue::new(row.source.name()).help(row.about));
    PossibleValuesParser::new(values).try_map(|name| Source::from_name(&name).ok_or("unknown event"))
}

/// Whether a source counts.
pub(super) fn is_counted(source: Source) -> bool {
    source.unit() != Unit::Nanoseconds
}
