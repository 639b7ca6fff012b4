//! The `pyebpf` command.

use std::process::ExitCode;

use pyebpf::cli::Cli;
use pyebpf::roles;

fn main() -> ExitCode {
    // Started by pyebpf itself, to do what may go wrong.
    if let Some(code) = roles::serve_if_asked() {
        return code;
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
