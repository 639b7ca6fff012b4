//! The command line: one file per verb. Arguments are parsed here and nowhere else; text for people is written here.

mod accounts;
mod announcement;
mod blocking;
mod completions;
mod data;
mod diff;
mod doctor;
mod dump;
mod failure;
mod filters;
mod finishing;
mod gil_shares;
mod habits;
mod input;
mod invocation;
mod launch;
mod left_behind;
mod manual;
mod measures;
mod mode;
mod no_samples;
mod outputs;
mod parts;
mod permission;
mod pid;
mod preflight;
mod ps;
mod record;
mod report;
mod result;
mod sheet;
mod subject;
mod terminal;
mod top;
mod unanswered;
mod view;
mod words;

pub use failure::{Failure, exit_code};
pub use launch::{RUNNER_VERB, run_command};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

use crate::limits::FileLimit;
use crate::{host, workers};

/// Shows where every Python program on this Linux host spends its CPU time, without touching any of them.
#[derive(Debug, Parser)]
#[command(
    name = "pyebpf",
    version,
    about,
    propagate_version = true,
    infer_subcommands = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        sudo pyebpf record --all -d 30          every Python process, for 30 seconds, as a flame graph\n  \
        sudo pyebpf record -p 1234 -o out.json  one process until Ctrl-C, for speedscope\n  \
        sudo pyebpf top --all                   which functions take the time, live\n  \
        sudo pyebpf dump -p 1234                what every thread of a process is doing now\n  \
        pyebpf report cpu.pb.gz --tree          what is in a recording, as a tree of calls\n  \
        pyebpf diff before.pb.gz after.pb.gz    what takes more or less time than before\n  \
        pyebpf view cpu.pb.gz                   a recording in the browser\n  \
        sudo pyebpf ps                          every Python process: user, container, version, script\n  \
        sudo pyebpf doctor                      what this host has and lacks"
)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Record where CPU time goes and write it to a file
    Record(record::Args),
    /// Show live which functions take the time
    Top(top::Args),
    /// Show what every thread is doing now, without stopping any
    Dump(dump::Args),
    /// Show what is in a recording, or write it in another format
    Report(report::Args),
    /// Compare two recordings: which functions take more or less than before
    Diff(diff::Args),
    /// Look at a recording in the browser
    View(view::Args),
    /// List every Python interpreter on this host
    Ps(ps::Args),
    /// Say what this host has and lacks, and which interpreters run on it
    Doctor(doctor::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print a page for `man`
    Manual(manual::Args),
}

impl Cli {
    /// Parses this process's arguments; prints help or the version and ends, where that is asked for.
    ///
    /// # Errors
    /// One [`Failure`] with exit status 2 when the arguments are wrong.
    pub fn from_command_line() -> Result<Self, Failure> {
        Self::try_parse().map_err(|error| {
            if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
                error.exit();
            }
            habits::explain(&error, &Cli::command(), &invocation::arguments())
        })
    }

    /// Does what was asked for; the exit status of pyebpf on success (that of the launched command, if any).
    ///
    /// # Errors
    /// One [`Failure`], for `main` to print.
    pub fn run(self) -> Result<u8, Failure> {
        match self.verb {
            // They look at files only, and those are opened as whoever called sudo.
            Verb::Report(args) => input::as_caller(|_| report::run(&args)),
            Verb::Diff(args) => input::as_caller(|_| diff::run(&args)),
            Verb::View(args) => input::as_caller(|caller| view::run(&args, caller)),
            Verb::Record(args) => record::run(&args, start_workers()),
            Verb::Top(args) => top::run(&args, start_workers()),
            Verb::Dump(args) => {
                start_workers();
                dump::run(&args)
            }
            Verb::Ps(args) => {
                start_workers();
                ps::run(&args)
            }
            Verb::Doctor(args) => {
                start_workers();
                doctor::run(&args)
            }
            Verb::Completions(args) => completions::run(&args, Cli::command()),
            Verb::Manual(args) => manual::run(&args, Cli::command()),
        }
    }
}

/// What comes before anybody looks at processes.
fn start_workers() -> FileLimit {
    // Before the workers are started, which look at cgroups as well.
    let seen = host::root::see_whole_cgroup_paths();
    // While there is one thread.
    workers::start_forker();
    if let Err(error) = seen {
        terminal::status(&format!(
            "the container that pyebpf runs in hides where other cgroups are ({error}): containers may be missing, and \
             --cgroup may not fit (hint: --privileged or --cgroupns=host)"
        ));
    }
    FileLimit::raise()
}
