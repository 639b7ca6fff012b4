//! `pyebpf dump`: one stack of every thread, on stdout.

mod json;
mod stack;
mod text;

use std::time::Duration;

use profiler_common::contract::sources::Source;

use super::failure::{Failure, exit_code};
use super::filters::FilterArgs;
use super::preflight::{self, Lacking};
use super::{accounts, data, invocation, terminal};
use crate::language::python::locals;
use crate::processes::filter::Filter;
use crate::processes::tracker::Target;
use crate::profile::Recording;
use crate::session::{Dump, Listener, Patience, Progress, Session, Settings, Signals};

/// How long threads are waited for that run all the time, or never, while the others are read. One that gets a CPU is sampled within a millisecond.
const AT_MOST: Duration = Duration::from_secs(1);
/// Interrupts per second and CPU meanwhile.
const RATE_HZ: u32 = 1_999;

/// Show what every thread is doing now, without stopping any
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    sudo pyebpf dump -p 1234                 every thread of a process\n  \
    sudo pyebpf dump -p 1234 -s              and of its children\n  \
    sudo pyebpf dump -p 1234 -l              with arguments and local variables\n  \
    sudo pyebpf dump --container web         every Python process of a container\n  \
    sudo pyebpf dump --all --json | jq '.[] | select(.owns_gil)'\n\n\
    Nothing is stopped. A stack is shown once it is known to be of one moment: the thread did not\n\
    run while it was read, or was interrupted by its CPU's clock. One that never let that happen is\n\
    marked. Values of variables are read from outside, too: the program runs no code for it. They may\n\
    hold secrets. Each filter may be given several times. A process is shown if it fits one value of each\n\
    option that is given, and none that excludes.")]
pub(super) struct Args {
    /// Show every Python process
    #[arg(short, long, conflicts_with = "pid")]
    all: bool,
    /// Show this process; several are separated by commas, or given one by one
    #[arg(short, long, value_name = "PID", value_delimiter = ',', value_parser = super::pid::parse)]
    pid: Vec<u32>,
    /// With --pid: show child processes too
    #[arg(short, long, requires = "pid")]
    subprocesses: bool,
    /// Show the arguments and local variables of each frame; -ll shows twice as much of each
    ///
    /// They may hold passwords and other secrets of the program.
    #[arg(short, long, action = clap::ArgAction::Count)]
    locals: u8,
    /// Write JSON: py-spy's fields, and more
    #[arg(short, long)]
    json: bool,
    /// Show whole paths instead of only the part from the package on
    #[arg(long)]
    full_filenames: bool,
    /// Accepted for py-spy's sake: pyebpf never stops a program
    #[arg(long, hide = true)]
    nonblocking: bool,
    #[command(flatten, next_help_heading = "Filters")]
    filters: FilterArgs,
}

impl Args {
    /// Characters of a value; `None` where none is to be shown.
    fn room(&self) -> Option<u16> {
        let room = u16::from(self.locals).saturating_mul(locals::ROOM);
        (room > 0).then(|| room.min(locals::MAX_ROOM))
    }

    fn target(&self) -> Target {
        if self.pid.is_empty() {
            return Target::All;
        }
        Target::Processes {
            pids: self.pid.clone(),
            follow_children: self.subprocesses,
        }
    }
}

pub(super) fn run(args: &Args) -> Result<u8, Failure> {
    let filter = args.filters.filter()?;
    if !args.all && args.pid.is_empty() && filter.is_empty() {
        return Err(
            Failure::usage("nothing to show: give --pid, --all or a filter").hint(format_args!(
                "{}   # lists every Python process",
                invocation::with_rights("ps")
            )),
        );
    }
    preflight::check_files()?;
    preflight::check_processes(&args.pid)?;
    let lacking = preflight::check_host(false)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| preflight::failure_of("starting the event loop", &error))?;
    let dump = runtime.block_on(take(args, filter.clone(), &lacking))?;
    for refusal in &dump.refusals {
        terminal::status(&format!(
            "not shown: {} ({})",
            refusal.text,
            accounts::processes(refusal)
        ));
    }
    if dump.left_out > 0 {
        let threads = terminal::counted(dump.left_out, "thread", "threads");
        terminal::status(&format!("not shown: {threads}, because there are too many"));
    }
    if dump.without_locals > 0 {
        let threads = terminal::counted(dump.without_locals, "thread", "threads");
        terminal::status(&format!(
            "not shown: variables of {threads}, because there are too many"
        ));
    }
    let stopped = dump.stopped_without.map(stopped);
    if dump.threads.is_empty()
        && let Some(stopped) = stopped
    {
        return Err(stopped);
    }
    if dump.processes.is_empty() {
        return Err(nothing(&filter));
    }
    let text = if args.json {
        json::of(&dump)?
    } else {
        text::of(&dump, args.full_filenames)
    };
    data::print(&text)?;
    stopped.map_or(Ok(0), Err)
}

/// `missing` threads have no stack.
fn stopped(missing: usize) -> Failure {
    let threads = terminal::counted(missing, "thread", "threads");
    Failure::new(format!(
        "stopped before every thread was read: {threads} not shown"
    ))
    .with_code(exit_code::INTERRUPTED)
}

async fn take(args: &Args, filter: Filter, lacking: &Lacking) -> Result<Dump, Failure> {
    let mut signals = Signals::listen()?;
    let is_filtered = !filter.is_empty();
    let settings = Settings {
        target: args.target(),
        filter,
        // Of the second one only that threads are known.
        sources: vec![Source::OnCpu, Source::OffCpu],
        rate_hz: RATE_HZ,
        period: 1,
        duration: None,
        every: None,
        patience: Patience::default(),
        gil_only: false,
        gil_waits: false,
        threshold: None,
        timeline: false,
        native: None,
        thread_names: true,
        max_interpreters: Settings::INTERPRETERS,
        title: String::new(),
    };
    let session = Session::prepare(settings).map_err(preflight::explain)?;
    if !args.pid.is_empty() && !args.subprocesses && !is_filtered {
        preflight::check_interpreters(&args.pid, &session, lacking)?;
    }
    let dump = session.dump(&mut signals, &mut Quiet, AT_MOST, args.room()).await;
    dump.map_err(preflight::explain)
}

/// It takes no time that is worth a display.
struct Quiet;

impl Listener for Quiet {
    fn progress(&mut self, _: Progress) {}

    fn part(&mut self, _: Recording) {}
}

fn nothing(filter: &Filter) -> Failure {
    let what = if filter.is_empty() {
        "no Python interpreter found, so none runs that this process can see".to_owned()
    } else {
        format!("no Python interpreter fits {filter}")
    };
    Failure::new(what).hint(format_args!(
        "{}   # lists all, with users and containers",
        invocation::with_rights("ps")
    ))
}
