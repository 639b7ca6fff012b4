//! The words of a command line, and how they read once a mistake is mended. Pure: for hints.

use std::ffi::OsString;

/// Without an option that takes no value, however it is spelled: `--idle`, `-i`, the `i` of `-ip`.
pub(super) fn without_flag(words: &[OsString], letter: char, long: &str) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut is_option = true;
    for word in words {
        is_option = is_option && word != "--";
        match word.to_str() {
            Some(text) if is_option && text == long => {}
            Some(text) if is_option && is_cluster(text) && text.contains(letter) => {
                let rest = text.replacen(letter, "", 1);
                if rest != "-" {
                    kept.push(rest.into());
                }
            }
            _ => kept.push(word.clone()),
        }
    }
    kept
}

/// Without an option that takes a value, and without the value: `--unit time`, `--unit=time`, `-r 1`, `-r1`.
pub(super) fn without_option(words: &[OsString], option: &str) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if text == "--" {
            kept.push(word.clone());
            kept.extend(words.cloned());
            break;
        }
        let is_joined = |rest: &str| !option.starts_with("--") || rest.starts_with('=');
        match text.strip_prefix(option) {
            Some("") => drop(words.next()),
            Some(rest) if is_joined(rest) => {}
            _ => kept.push(word.clone()),
        }
    }
    kept
}

/// With this value of an option, whatever it was before; after the verb.
pub(super) fn with_option(words: &[OsString], (short, long): (&str, &str), value: &str) -> Vec<OsString> {
    let mut words = without_option(&without_option(words, long), short);
    let after_verb = words.len().min(1);
    words.splice(after_verb..after_verb, [short.into(), value.into()]);
    words
}

/// With an option that takes no value, after the verb.
pub(super) fn with_flag(words: &[OsString], flag: &str) -> Vec<OsString> {
    let mut words = words.to_vec();
    words.insert(words.len().min(1), flag.into());
    words
}

/// With another word in place of one: an option, or the value of one, alone or with the other (`--format=html`, `-fhtml`).
pub(super) fn with_instead(words: &[OsString], word: &str, instead: &str) -> Vec<OsString> {
    let replaced = |found: &OsString| -> Option<OsString> {
        let found = found.to_str()?;
        if found == word {
            return Some(instead.into());
        }
        match found.split_once('=') {
            Some((name, value)) if name == word => Some(format!("{instead}={value}").into()),
            Some((name, value)) if value == word => Some(format!("{name}={instead}").into()),
            _ => {
                let option = found.strip_suffix(word)?;
                let is_short = option.len() == 2 && is_cluster(option);
                is_short.then(|| format!("{option}{instead}").into())
            }
        }
    };
    let word = |found: &OsString| replaced(found).unwrap_or_else(|| found.clone());
    words.iter().map(word).collect()
}

/// With more processes: after those that are given last, or by an option of their own.
pub(super) fn with_processes(words: &[OsString], pids: &str) -> Vec<OsString> {
    let mut words = words.to_vec();
    let is_list = matches!(words.as_slice(), [.., option, _] if option == "-p" || option == "--pid");
    match words.last_mut() {
        Some(list) if is_list => list.push(format!(",{pids}")),
        _ => words.extend(["-p".into(), pids.into()]),
    }
    words
}

/// Whether it is some options of one letter, without values: `-aF`.
fn is_cluster(text: &str) -> bool {
    text.strip_prefix('-')
        .is_some_and(|letters| letters.chars().all(|letter| letter.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{with_instead, with_option, with_processes, without_flag, without_option};
    use crate::shell::line;

    fn words(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn a_flag_is_taken_out_however_it_is_spelled() {
        for (before, after) in [
            ("record --idle -p 1", "record -p 1"),
            ("record -i -p 1", "record -p 1"),
            ("record -ip 1", "record -p 1"),
            ("record -o pi -p 1 -- x -i", "record -o pi -p 1 -- x -i"),
        ] {
            assert_eq!(line(without_flag(&words(before), 'i', "--idle")), after);
        }
    }

    #[test]
    fn an_option_is_taken_out_with_its_value() {
        for before in [
            "record --unit time -a",
            "record --unit=time -a",
            "record -a --unit time",
        ] {
            assert_eq!(line(without_option(&words(before), "--unit")), "record -a");
        }
        assert_eq!(line(without_option(&words("record -r1 -a"), "-r")), "record -a");
        let faster = with_option(&words("record -a --rate 1 -d 2"), ("-r", "--rate"), "99");
        assert_eq!(line(faster), "record -r 99 -a -d 2");
        let command = "record -- x --unit time";
        assert_eq!(line(without_option(&words(command), "--unit")), command);
    }

    #[test]
    fn a_word_is_replaced_with_and_without_a_value() {
        let mended = |before| line(with_instead(&words(before), "--fromat", "--format"));
        assert_eq!(mended("record --fromat raw"), "record --format raw");
        assert_eq!(mended("record --fromat=raw"), "record --format=raw");
        for (before, after) in [
            ("record -f html -a", "record -f flamegraph -a"),
            ("record -fhtml", "record -fflamegraph"),
            ("record --format=html", "record --format=flamegraph"),
            ("record -o x.html", "record -o x.html"),
        ] {
            assert_eq!(line(with_instead(&words(before), "html", "flamegraph")), after);
        }
    }

    #[test]
    fn processes_join_the_list_that_is_there() {
        let with = |before| line(with_processes(&words(before), "7,8"));
        assert_eq!(with("record -d 5 -p 1"), "record -d 5 -p 1,7,8");
        assert_eq!(with("record -p 1 -d 5"), "record -p 1 -d 5 -p 7,8");
        assert_eq!(with("record"), "record -p 7,8");
    }
}
