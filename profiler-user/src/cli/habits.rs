//! What somebody meant whose command line clap refuses: what the fingers know from py-spy and perf, and plain slips.

use std::ffi::OsString;

use clap::Command;
use clap::error::{ContextKind, ContextValue, Error, ErrorKind};

use super::failure::Failure;
use super::invocation;
use super::words::with_instead;

/// What other tools call a format.
const FORMATS: &[(&str, &str)] = &[
    ("png", "flamegraph"),
    ("flame", "flamegraph"),
    ("text", "raw"),
    ("perfetto", "chrometrace"),
    ("trace", "chrometrace"),
    ("cprofile", "pstats"),
    ("cachegrind", "callgrind"),
    ("kcachegrind", "callgrind"),
    ("pb.gz", "pprof"),
];

/// Options of py-spy's `dump` that this one does not have.
const NOT_IN_DUMP: &[(&[&str], &str)] = &[
    (&["-n", "--native"], "native frames; `record -n` does"),
    (&["-c", "--core"], "core files, only processes that run"),
];

/// The failure that a wrong command line is: what clap says of it, or what is known better, and the command that was
/// probably meant. `words` are its arguments, `cli` is all that there is.
pub(super) fn explain(error: &Error, cli: &Command, words: &[OsString]) -> Failure {
    let meant = match error.kind() {
        ErrorKind::InvalidSubcommand => verb(error, words),
        ErrorKind::UnknownArgument => argument(error, cli, words),
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => value(error, words),
        _ => None,
    };
    meant.unwrap_or_else(|| Failure::usage_lines(message(error)).hint(help_command(cli, words)))
}

/// A verb that does not exist.
fn verb(error: &Error, words: &[OsString]) -> Option<Failure> {
    let (name, rest) = words.split_first()?;
    let name = name.to_str()?;
    if let Some(meant) = text(error, ContextKind::SuggestedSubcommand) {
        let words = [meant.into()].into_iter().chain(rest.iter().cloned());
        return Some(Failure::usage_lines(message(error)).hint(invocation::with_words(words)));
    }
    let is_process = super::pid::parse(name).is_ok();
    let option = is_process.then(|| OsString::from("-p"));
    let is_command = super::subject::is_program(name.as_ref()) || super::subject::is_script(name.as_ref());
    (is_process || is_command).then(|| {
        let words = ["record".into()]
            .into_iter()
            .chain(option)
            .chain(words.iter().cloned());
        Failure::usage(format_args!("there is no verb '{name}'; to record it, say so"))
            .hint(invocation::with_words(words))
    })
}

/// An option that does not exist, or a word in a place where none is expected.
fn argument(error: &Error, cli: &Command, words: &[OsString]) -> Option<Failure> {
    let name = text(error, ContextKind::InvalidArg)?;
    let verb = words.first()?.to_str()?;
    let found = cli
        .get_subcommands()
        .find(|known| known.get_name().starts_with(verb));
    let Some(verb) = found else {
        // `pyebpf -p 1234`
        let record = cli.find_subcommand("record")?;
        let is_of_record = |argument: &clap::Arg| {
            let long = argument.get_long().map(|long| format!("--{long}"));
            let short = argument.get_short().map(|short| format!("-{short}"));
            long.as_ref() == Some(&name) || short.as_ref() == Some(&name)
        };
        let words = ["record".into()].into_iter().chain(words.iter().cloned());
        return record.get_arguments().any(is_of_record).then(|| {
            Failure::usage(format_args!("a verb is missing before '{name}'"))
                .hint(invocation::with_words(words))
        });
    };
    if verb.get_name() == "dump"
        && let Some((_, what)) = NOT_IN_DUMP
            .iter()
            .find(|(options, _)| options.contains(&name.as_str()))
    {
        return Some(
            Failure::usage(format_args!("dump does not show {what}")).hint(help_command(cli, words)),
        );
    }
    let mended = |message: String, words: Vec<OsString>| {
        Some(Failure::usage_lines(message).hint(invocation::with_words(words)))
    };
    let is_digit = name
        .trim_start_matches('-')
        .starts_with(|c: char| c.is_ascii_digit());
    let mut rates = words.iter().filter_map(|word| rate_of_perf(word.to_str()?));
    if let (true, Some((word, rate))) = (is_digit, rates.next()) {
        let message = format!("-F takes no value: it counts by function. The rate is -r {rate}");
        return mended(message, with_instead(words, word, &format!("-r{rate}")));
    }
    if let Some(meant) = text(error, ContextKind::SuggestedArg).filter(|meant| is_alike(&name, meant)) {
        return mended(message(error), with_instead(words, &name, &meant));
    }
    if super::pid::parse(&name).is_ok()
        && verb
            .get_arguments()
            .any(|argument| argument.get_short() == Some('p'))
    {
        let message = format!("'{name}' is a number; a process is given by -p");
        return mended(message, with_instead(words, &name, &format!("-p{name}")));
    }
    None
}

/// Whether two long options begin alike: clap also suggests what is hardly similar.
fn is_alike(a: &str, b: &str) -> bool {
    let alike = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    alike >= "--".len() + 2
}

/// `-F99`, as perf takes it.
fn rate_of_perf(word: &str) -> Option<(&str, u32)> {
    Some((word, word.strip_prefix("-F")?.parse().ok()?))
}

/// A value that an option does not take.
fn value(error: &Error, words: &[OsString]) -> Option<Failure> {
    let value = text(error, ContextKind::InvalidValue)?;
    let option = text(error, ContextKind::InvalidArg)?;
    let format = || {
        let mut formats = FORMATS.iter();
        let meant = formats.find(|(name, _)| value.eq_ignore_ascii_case(name))?;
        option.starts_with("--format").then(|| meant.1.to_owned())
    };
    let meant = text(error, ContextKind::SuggestedValue).or_else(format)?;
    let words = with_instead(words, &value, &meant);
    Some(Failure::usage_lines(message(error)).hint(invocation::with_words(words)))
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => texts.first().cloned(),
        _ => None,
    }
}

/// What clap says is wrong, with its tip and the usage; its own last line is the hint's.
fn message(error: &Error) -> String {
    let text = error.render().to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let text = text.split("\n\nFor more information").next().unwrap_or(text);
    // What has been mistyped is hardly ever meant to be a command.
    let lines = text.lines().filter(|line| !line.contains("tip: to pass '"));
    let mut lines: Vec<&str> = lines.collect();
    lines.dedup_by(|line, before| line.is_empty() && before.is_empty());
    lines.join("\n").trim_end().to_owned()
}

/// The command that explains the verb that was meant.
fn help_command(cli: &Command, words: &[OsString]) -> String {
    let verb = words.first().and_then(|verb| cli.find_subcommand(verb));
    match verb {
        Some(verb) => invocation::plain(&format!("{} --help", verb.get_name())),
        None => invocation::plain("--help"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use clap::{CommandFactory as _, Parser as _};

    use super::explain;
    use crate::cli::Cli;

    /// The hint for a wrong command line, without the program.
    fn meant(line: &str) -> String {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        let all = ["pyebpf".into()].into_iter().chain(words.iter().cloned());
        let error = Cli::try_parse_from(all).expect_err("it is wrong");
        let failure = explain(&error, &Cli::command(), &words);
        assert_eq!(failure.code, 2, "{line}");
        let hint = failure.hint.expect("a next command");
        let mut words = hint.split(' ').skip_while(|word| *word == "sudo");
        words.next();
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_wrong_command_line_is_answered_with_the_one_that_was_meant() {
        for (line, expected) in [
            ("record -F99 -a", "record -r99 -a"),
            ("record -a --ouput x.svg", "record -a --output x.svg"),
            ("record -a -f perfetto", "record -a -f chrometrace"),
            ("recrod -a", "record -a"),
            ("-p 7", "record -p 7"),
            ("7", "record -p 7"),
            ("ps 7", "ps -p7"),
        ] {
            assert_eq!(meant(line), expected, "{line}");
        }
    }

    #[test]
    fn what_nobody_can_have_meant_is_answered_with_the_help() {
        for (line, expected) in [
            ("record -a --frob", "record --help"),
            ("record -a -f jpeg", "record --help"),
            ("record -r 0 -a", "record --help"),
            ("dump -n -p 7", "dump --help"),
            ("frobnicate", "--help"),
            ("--frobnicate", "--help"),
        ] {
            assert_eq!(meant(line), expected, "{line}");
        }
    }
}
