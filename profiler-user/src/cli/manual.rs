//! `pyebpf manual`: a page for `man`, on stdout. Made of the same texts as `--help`.

use anyhow::Context as _;

use super::data;
use super::failure::Failure;

/// Print a page for `man`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    pyebpf manual record | man -l -\n  \
    pyebpf manual > /usr/local/share/man/man1/pyebpf.1")]
pub(super) struct Args {
    /// The verb that it is about; without one, pyebpf as a whole
    verb: Option<String>,
}

pub(super) fn run(args: &Args, mut command: clap::Command) -> Result<u8, Failure> {
    // Gives verbs their whole names.
    command.build();
    let about = match &args.verb {
        None => command,
        Some(verb) => command
            .find_subcommand(verb)
            .cloned()
            .ok_or_else(|| Failure::usage(format_args!("there is no verb {verb}")).hint("pyebpf --help"))?,
    };
    let title = about.get_display_name().unwrap_or("pyebpf").to_owned();
    let mut page = Vec::new();
    clap_mangen::Man::new(about)
        .title(title)
        .render(&mut page)
        .context("writing the page")?;
    data::print(&String::from_utf8_lossy(&page))?;
    Ok(0)
}
