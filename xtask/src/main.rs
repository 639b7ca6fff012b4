//! `cargo xtask VERB`: everything a developer does with this repository, from the first build to the kernel matrix.
//!
//! One file per verb. It never needs the profiler to compile, so it is what a fresh machine runs first.

mod build;
mod command;
mod debian;
mod floors;
mod fuzz;
mod hint;
mod hostile;
mod lint;
mod plan;
mod programs;
mod pythons;
mod run;
mod setup;
mod support_table;
mod test;
mod tidy;
mod times;
mod toolchain;
mod vm;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Builds, runs and tests pyebpf.
#[derive(Parser)]
#[command(
    bin_name = "cargo xtask",
    disable_help_subcommand = true,
    after_help = "Examples:
  cargo xtask run            install what is missing, build, show a flame graph of this host
  cargo xtask test --quick   install what is missing, build, run tests for up to 3 minutes
  cargo xtask VERB --help    what a verb does, with examples"
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Setup(setup::Args),
    Build(build::BuildArgs),
    Run(run::Args),
    Pythons(pythons::Args),
    Test(test::Args),
    TestVm(vm::Args),
    Accuracy(programs::AccuracyArgs),
    Fuzz(fuzz::Args),
    Bench(programs::BenchArgs),
    Hostile(hostile::Args),
    Snapshot(programs::SnapshotArgs),
    Layouts(programs::LayoutsArgs),
    Fmt(lint::FmtArgs),
    Clippy(lint::ClippyArgs),
    Deny(lint::DenyArgs),
    Tidy(tidy::Args),
    Times(times::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::Setup(args) => setup::run(&args),
        Verb::Build(args) => build::build(&args),
        Verb::Run(args) => run::run(&args),
        Verb::Pythons(args) => pythons::run(&args),
        Verb::Test(args) => test::run(&args),
        Verb::TestVm(args) => vm::run(&args),
        Verb::Accuracy(args) => programs::accuracy(&args),
        Verb::Fuzz(args) => fuzz::run(&args),
        Verb::Bench(args) => programs::bench(&args),
        Verb::Hostile(args) => hostile::run(&args),
        Verb::Snapshot(args) => programs::snapshot(&args),
        Verb::Layouts(args) => programs::layouts(&args),
        Verb::Fmt(args) => lint::fmt(&args),
        Verb::Clippy(args) => lint::clippy(&args),
        Verb::Deny(args) => lint::deny(&args),
        Verb::Tidy(args) => tidy::run(&args),
        Verb::Times(args) => times::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            hint::report(&error);
            ExitCode::FAILURE
        }
    }
}
