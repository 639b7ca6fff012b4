//! What is to be recorded: everybody, some processes, or a command. Where a call says two of these, or a command that cannot
//! be one, this says what was probably meant.

use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::failure::{Failure, exit_code};
use super::invocation;
use super::words::{with_processes, without_flag};

/// Extensions of what is for Python to run.
const SCRIPTS: &[&str] = &["py", "pyw", "pyz", "pex"];
/// Rates that `-r` takes.
const RATES: std::ops::RangeInclusive<u32> = 1..=20_000;

/// What a call of `record` says of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Subject<'a> {
    /// `--all`.
    pub(super) all: bool,
    /// `--pid`.
    pub(super) pids: &'a [u32],
    /// Whether there is a filter.
    pub(super) is_filtered: bool,
    /// The words of the command.
    pub(super) command: &'a [OsString],
}

/// Fails unless it is one of them. `words` are all arguments of the call, which end with the command.
pub(super) fn check(subject: &Subject<'_>, words: &[OsString]) -> Result<(), Failure> {
    let Subject {
        all, pids, command, ..
    } = *subject;
    let Some((first, rest)) = command.split_first() else {
        return if all && !pids.is_empty() {
            let without_all = without_flag(words, 'a', "--all");
            Err(wrong(
                "--all is every process, and -p only some: one or the other",
                without_all,
            ))
        } else {
            Ok(())
        };
    };
    let options = words
        .get(..words.len().saturating_sub(command.len()))
        .unwrap_or_default();
    let options = match options {
        [options @ .., dashes] if dashes == "--" => options,
        options => options,
    };
    // A file can have any name.
    let is_file = Path::new(first).exists();
    if let (Some(rate), false) = (rate_of_perf(options, first), is_file) {
        let words = [
            options_without_function(options),
            vec!["-r".into(), rate.to_string().into()],
            rest.to_vec(),
        ];
        return Err(wrong(
            &format!("-F takes no value: it counts by function. The rate is -r {rate}"),
            words.concat(),
        ));
    }
    if !is_file && let Some(failure) = numbers(options, command) {
        return Err(failure);
    }
    let has_subject = all || !pids.is_empty();
    if (has_subject || subject.is_filtered)
        && let Some(time) = time_of_sleep(command)
    {
        return Err(wrong(
            &format!("`sleep` would be the command that is recorded. How long is -d {time}"),
            [options, &["-d".into(), time.into()]].concat(),
        ));
    }
    if has_subject {
        let (what, option) = if all {
            ("every process", "-a")
        } else {
            ("a process that runs already", "-p")
        };
        let name = first.to_string_lossy();
        let hint = invocation::with_words(options);
        return Err(Failure::usage(format_args!(
            "{option} records {what}, and '{name}' is a command to start: one or the other"
        ))
        .hint(format_args!(
            "{hint}   # or leave {option} out, to record the command"
        )));
    }
    if is_program(first) {
        return Ok(());
    }
    if let ([], false) = (rest, is_file)
        && let Some(split) = quoted(first)
    {
        return Err(wrong(
            &format!(
                "there is no command '{}': the quotes make one word of it",
                first.to_string_lossy()
            ),
            [options, &split].concat(),
        )
        .with_code(exit_code::NOT_FOUND));
    }
    if is_file && is_script(first) {
        return Err(script(options, first, rest));
    }
    Ok(())
}

fn wrong(what: &str, words: Vec<OsString>) -> Failure {
    Failure::usage(what).hint(invocation::with_words(words))
}

/// Numbers in the place of a command are processes.
fn numbers(options: &[OsString], command: &[OsString]) -> Option<Failure> {
    let is_list = |word: &&OsString| {
        let text = word.to_string_lossy();
        text.split(',').all(|pid| super::pid::parse(pid).is_ok())
    };
    let count = command.iter().take_while(is_list).count();
    let (pids, rest) = command.split_at(count);
    let first = pids.first()?.to_string_lossy();
    if rest
        .first()
        .is_some_and(|word| !word.as_encoded_bytes().starts_with(b"-"))
    {
        return None;
    }
    let lists: Vec<String> = pids
        .iter()
        .map(|pids| pids.to_string_lossy().into_owned())
        .collect();
    let options = without_flag(options, 'a', "--all");
    let words = [with_processes(&options, &lists.join(",")), rest.to_vec()].concat();
    Some(wrong(
        &format!("there is no command '{first}'; processes are given by -p"),
        words,
    ))
}

/// `-F 99`: perf's rate.
fn rate_of_perf(options: &[OsString], first: &OsStr) -> Option<u32> {
    let last = options.last()?.to_str()?;
    let is_function = last.starts_with('-') && !last.starts_with("--") && last.ends_with('F');
    let rate = first.to_str()?.parse().ok()?;
    (is_function && RATES.contains(&rate)).then_some(rate)
}

fn options_without_function(options: &[OsString]) -> Vec<OsString> {
    without_flag(options, 'F', "--function")
}

/// `sleep 5`, by which perf is told how long.
fn time_of_sleep(command: &[OsString]) -> Option<String> {
    match command {
        [sleep, time] if Path::new(sleep).file_name() == Some(OsStr::new("sleep")) => {
            Some(time.to_str()?.to_owned())
        }
        _ => None,
    }
}

/// Several words in one.
fn quoted(word: &OsStr) -> Option<Vec<OsString>> {
    let words = shlex::split(word.to_str()?)?;
    (words.len() > 1).then(|| words.into_iter().map(OsString::from).collect())
}

/// A file that Python runs, not the system.
fn script(options: &[OsString], file: &OsStr, rest: &[OsString]) -> Failure {
    let name = file.to_string_lossy();
    let is_path = name.contains('/');
    let start: Vec<OsString> = if is_executable(Path::new(file)) {
        // The system looks for names without a folder elsewhere.
        vec![format!("./{name}").into()]
    } else {
        vec!["python3".into(), file.to_owned()]
    };
    let code = if is_path {
        exit_code::NOT_EXECUTABLE
    } else {
        exit_code::NOT_FOUND
    };
    wrong(
        &format!("'{name}' is a file, but not a command that can be started like this"),
        [options, &start, rest].concat(),
    )
    .with_code(code)
}

/// Whether it is called as what Python runs.
pub(super) fn is_script(word: &OsStr) -> bool {
    let extension = Path::new(word).extension().and_then(OsStr::to_str);
    extension.is_some_and(|extension| SCRIPTS.contains(&extension))
}

/// Whether the system would start something by this name.
pub(super) fn is_program(word: &OsStr) -> bool {
    if word.as_encoded_bytes().contains(&b'/') {
        return is_executable(Path::new(word));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| is_executable(&folder.join(word)))
}

fn is_executable(path: &Path) -> bool {
    let metadata = path.metadata();
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{Subject, check};

    fn words(texts: &[&str]) -> Vec<OsString> {
        texts.iter().map(OsString::from).collect()
    }

    /// Status, message and hint of `record OPTIONS COMMAND`, without the program in the hint.
    fn refused(
        (all, pids): (bool, &[u32]),
        options: &[&str],
        command: &[&str],
    ) -> Option<(u8, String, String)> {
        let words = words(&[&["record"], options, command].concat());
        let command = &words[words.len() - command.len()..];
        let subject = Subject {
            all,
            pids,
            is_filtered: false,
            command,
        };
        let failure = check(&subject, &words).err()?;
        let hint = failure.hint.expect("a next command");
        let (_, hint) = hint.split_once(" record").expect("another recording");
        Some((failure.code, failure.message, hint.trim().to_owned()))
    }

    fn hint(subject: (bool, &[u32]), options: &[&str], command: &[&str]) -> Option<String> {
        refused(subject, options, command).map(|(_, _, hint)| hint)
    }

    const NONE: (bool, &[u32]) = (false, &[]);

    #[test]
    fn the_rate_of_perf_is_understood() {
        let (code, message, mended) = refused(NONE, &["-F"], &["99", "-a"]).expect("refused");
        assert_eq!((code, &*mended), (2, "-r 99 -a"));
        assert!(message.starts_with("-F takes no value"), "{message}");
        assert_eq!(hint((true, &[]), &["-aF"], &["99"]).as_deref(), Some("-a -r 99"));
    }

    #[test]
    fn numbers_are_processes() {
        for (subject, options, command, expected) in [
            (NONE, &[][..], &["7178"][..], "-p 7178"),
            (
                NONE,
                &["-d", "5", "-o", "x.svg"],
                &["7178"],
                "-d 5 -o x.svg -p 7178",
            ),
            ((false, &[1][..]), &["-p", "1"], &["2", "-d", "5"], "-p 1,2 -d 5"),
            ((false, &[1]), &["-p", "1"], &["2", "3"], "-p 1,2,3"),
            ((true, &[]), &["-a"], &["7178"], "-p 7178"),
        ] {
            let (code, message, hint) = refused(subject, options, command).expect("refused");
            assert_eq!((code, &*hint), (2, expected));
            assert!(message.starts_with("there is no command"), "{message}");
        }
    }

    #[test]
    fn sleep_says_how_long_where_something_else_is_recorded() {
        assert_eq!(
            hint((false, &[7]), &["-p", "7", "--"], &["sleep", "5"]).as_deref(),
            Some("-p 7 -d 5")
        );
        assert_eq!(
            hint((true, &[]), &["-a", "--"], &["sleep", "5"]).as_deref(),
            Some("-a -d 5")
        );
        assert_eq!(hint(NONE, &["--"], &["sleep", "5"]), None);
    }

    #[test]
    fn one_thing_is_recorded_at_a_time() {
        assert_eq!(
            hint((false, &[7]), &["-p", "7", "--"], &["sh", "x.sh"]).as_deref(),
            Some("-p 7   # or leave -p out, to record the command")
        );
        assert_eq!(hint((true, &[7]), &["-ap", "7"], &[]).as_deref(), Some("-p 7"));
    }

    #[test]
    fn quotes_around_a_command_are_seen() {
        let (code, message, hint) = refused(NONE, &["-s"], &["python3 'my svc.py'"]).expect("refused");
        assert_eq!((code, &*hint), (127, "-s python3 'my svc.py'"));
        assert!(message.contains("one word"), "{message}");
    }

    #[test]
    fn a_script_is_for_python_to_run() {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        let file = folder.path().join("svc.py");
        std::fs::write(&file, "pass").expect("room");
        let path = file.to_str().expect("plain");
        let (code, _, hint) = refused(NONE, &["-d", "5", "--"], &[path, "--port", "80"]).expect("refused");
        assert_eq!(code, 126);
        assert_eq!(hint, format!("-d 5 python3 {path} --port 80"));
        // The launch says what is wrong with it.
        assert_eq!(refused(NONE, &[], &["/no/such/svc.py"]), None);
    }

    #[test]
    fn commands_are_let_through() {
        for command in [&["sh"][..], &["/bin/sh", "-c", "true"], &["no-such-program"]] {
            assert_eq!(refused(NONE, &["-s"], command), None, "{command:?}");
        }
    }
}
