//! What a Python process was told to run, from its arguments: the part of `python -X dev -m http.server` that people
//! mean. By CPython's own rules for its command line (`Python/getopt.c`, `Doc/using/cmdline.rst`, 2.7 to 3.15).

use std::fmt;

use crate::path::base_name;

/// Options that take the next argument when nothing follows in their own: `-W error`, `-Werror`.
const WITH_VALUE: &[char] = &['W', 'X', 'Q'];

/// What an interpreter runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// `python FILE`, as given.
    File(String),
    /// `python -m MODULE`.
    Module(String),
    /// `python -c ...`.
    Code,
    /// Standard input: a terminal or a pipe.
    Input,
    /// Another program that holds an interpreter, or one that changed its own arguments: the first of them.
    Program(String),
}

impl Script {
    /// From the arguments of a process, its own name included; `None` when there are none.
    #[must_use]
    pub fn of_arguments(arguments: &[String]) -> Option<Self> {
        let (program, rest) = arguments.split_first()?;
        if !is_python(program) {
            return Some(Self::Program(program.clone()));
        }
        Some(of_python(rest.iter().map(String::as_str)))
    }
}

/// `app.py`, `-m http.server`, `-c`, `-`.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(text) | Self::Program(text) => f.write_str(text),
            Self::Module(name) => write!(f, "-m {name}"),
            Self::Code => f.write_str("-c"),
            Self::Input => f.write_str("-"),
        }
    }
}

/// `python`, `python3`, `python3.13`, `python3.13t`, with or without a directory.
fn is_python(program: &str) -> bool {
    let name = base_name(program);
    let name = name.strip_prefix('-').unwrap_or(name);
    name.strip_prefix("python").is_some_and(|version| {
        version
            .trim_end_matches(['t', 'd', 'm', 'u'])
            .chars()
            .all(|c| c.is_ascii_digit() || c == '.')
    })
}

fn of_python<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Script {
    while let Some(argument) = arguments.next() {
        if argument == "-" {
            return Script::Input;
        }
        if let Some(long) = argument.strip_prefix("--") {
            if long == "check-hash-based-pycs" {
                arguments.next();
            }
            continue;
        }
        let Some(letters) = argument.strip_prefix('-') else {
            return Script::File(argument.to_owned());
        };
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            match letter {
                'c' => return Script::Code,
                'm' => {
                    let rest = letters.as_str();
                    let name = if rest.is_empty() {
                        arguments.next()
                    } else {
                        Some(rest)
                    };
                    return Script::Module(name.unwrap_or_default().to_owned());
                }
                _ if WITH_VALUE.contains(&letter) => {
                    if letters.as_str().is_empty() {
                        arguments.next();
                    }
                    break;
                }
                _ => {}
            }
        }
    }
    Script::Input
}

#[cfg(test)]
mod tests {
    use super::Script;

    fn shown(arguments: &[&str]) -> Option<String> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        Script::of_arguments(&arguments).map(|script| script.to_string())
    }

    #[test]
    fn the_script_or_module_is_what_the_interpreter_takes_it_for() {
        for (arguments, expected) in [
            (&["/usr/bin/python3.13t", "-u", "app.py", "-m", "x"][..], "app.py"),
            (
                &["python", "-X", "dev", "-m", "http.server", "80"],
                "-m http.server",
            ),
            (&["python3", "-Wignore", "-Im", "venv", "x"], "-m venv"),
            (&["python3", "-mtimeit"], "-m timeit"),
            (&["python2.7", "-Q", "new", "-W", "error", "x.py"], "x.py"),
            (&["python3", "--check-hash-based-pycs", "always", "x.py"], "x.py"),
            (&["python3", "-c", "print(1)", "x.py"], "-c"),
            (&["python3", "-"], "-"),
            (&["-python3"], "-"),
            (&["uwsgi", "--ini", "x"], "uwsgi"),
            (&["gunicorn: master [app]"], "gunicorn: master [app]"),
            (&["python-argcomplete", "x.py"], "python-argcomplete"),
            (&["python3", "-m"], "-m "),
        ] {
            assert_eq!(shown(arguments).as_deref(), Some(expected), "{arguments:?}");
        }
        assert_eq!(shown(&[]), None);
    }
}
