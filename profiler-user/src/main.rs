//! The `pyebpf` command.

use std::process::ExitCode;

use pyebpf::cli::Cli;
use pyebpf::native::symbol;

fn main() -> ExitCode {
    // Started by pyebpf itself, to read files that it does not trust.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == symbol::WORKER_VERB)
    {
        return match symbol::serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match Cli::from_command_line().and_then(Cli::run) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}
