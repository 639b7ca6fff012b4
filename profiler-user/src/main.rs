//! The `pyebpf` command.

use std::io::Write as _;
use std::process::ExitCode;

use pyebpf::cli::{self, Cli};
use pyebpf::escape::printable_lines;
use pyebpf::roles;

fn main() -> ExitCode {
    // Started by pyebpf itself, to run a command.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == cli::RUNNER_VERB)
    {
        return cli::run_command();
    }
    // Started by pyebpf itself, to do what may go wrong.
    if let Some(code) = roles::serve_if_asked() {
        return code;
    }
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn"))
        .format(|out, record| {
            // Later lines are set off, so that no foreign text can forge one.
            let text = printable_lines(&record.args().to_string()).replace('\n', "\n    ");
            let (time, level) = (out.timestamp(), record.level());
            writeln!(out, "[{time} {level} {}] {text}", record.target())
        })
        .init();
    match Cli::from_command_line().and_then(Cli::run) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print();
            ExitCode::from(failure.code)
        }
    }
}
