//! `pyebpf completions`: a script for a shell, on stdout.

use clap_complete::Shell;

use super::failure::Failure;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  pyebpf completions bash > /etc/bash_completion.d/pyebpf\n  \
    pyebpf completions zsh > ~/.zfunc/_pyebpf"
)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

#[expect(clippy::unnecessary_wraps, reason = "all verbs have one signature")]
pub(super) fn run(args: &Args, mut command: clap::Command) -> Result<u8, Failure> {
    clap_complete::generate(args.shell, &mut command, "pyebpf", &mut std::io::stdout());
    Ok(0)
}
