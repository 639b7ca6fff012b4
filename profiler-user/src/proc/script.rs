//! What a Python process was told to run, from its arguments: the part of `python -X dev -m http.server` that people
//! mean. By CPython's own rules for its command line (`Python/getopt.c`, `Doc/using/cmdline.rst`, 2.7 to 3.15).

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::ops::Bound;
use std::path::{Component, Path, PathBuf};

use crate::path::base_name;

/// Characters that are shown of the text after `-c`, unless it takes more to tell it from another one; and how many more.
const CODE_CHARACTERS: usize = 80;
const MORE_CHARACTERS: usize = 20;

/// Options that take the next argument when nothing follows in their own: `-W error`, `-Werror`.
const WITH_VALUE: &[char] = &['W', 'X', 'Q'];

/// What an interpreter runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Script {
    /// `python FILE`.
    File {
        /// How it is called: as given, or its path where that would not tell it from another one.
        name: String,
        /// Its path, if the working directory was known or not needed.
        path: Option<PathBuf>,
    },
    /// `python -m MODULE`.
    Module(String),
    /// `python -c ...`.
    Code {
        /// What is shown of it: its beginning, as much of it as tells it from others.
        shown: String,
        /// All that is known of it.
        text: String,
    },
    /// Standard input: a terminal or a pipe.
    Input,
    /// A process that `multiprocessing` started, other than by a fork alone.
    Worker {
        /// How.
        method: StartMethod,
        /// What the process runs that it works for, if that was known.
        of: Option<Box<Self>>,
    },
    /// Another program that holds an interpreter, or one that changed its own arguments: the first of them.
    Program(String),
}

/// How `multiprocessing` starts processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StartMethod {
    /// Each from nothing.
    Spawn,
    /// By a process that forks for others, and that process itself.
    ForkServer,
}

impl StartMethod {
    const ALL: [Self; 2] = [Self::Spawn, Self::ForkServer];

    /// What its processes run with `-c` begins with this (`Lib/multiprocessing/spawn.py`, `forkserver.py`, 3.4 to 3.15).
    fn code(self) -> &'static str {
        match self {
            Self::Spawn => "from multiprocessing.spawn import ",
            Self::ForkServer => "from multiprocessing.forkserver import ",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::ForkServer => "forkserver",
        }
    }
}

impl Script {
    /// From the arguments of a process, its own name included, and from its working directory; `None` when there are no
    /// arguments.
    #[must_use]
    pub fn of_arguments(arguments: &[String], directory: &Path) -> Option<Self> {
        let (program, rest) = arguments.split_first()?;
        if !is_python(program) {
            return Some(Self::Program(program.clone()));
        }
        Some(match of_python(rest.iter().map(String::as_str)) {
            Self::File { name, .. } => Self::File {
                path: absolute(directory, &name),
                name,
            },
            other => other,
        })
    }

    /// The way back from its text, as far as that tells: the path of a file is not known then.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut methods = StartMethod::ALL.into_iter();
        if let Some(method) = methods.find(|method| text == format!("{} worker", method.name())) {
            return Self::Worker { method, of: None };
        }
        for method in StartMethod::ALL {
            let words = format!(" ({} worker)", method.name());
            if let Some(of) = text.strip_suffix(&words) {
                // One level: whoever writes more of them has written the file by hand.
                let of = Some(Box::new(Self::plain_of_text(of)));
                return Self::Worker { method, of };
            }
        }
        Self::plain_of_text(text)
    }

    fn plain_of_text(text: &str) -> Self {
        match text.split_once(' ') {
            Some(("-m", module)) => Self::Module(module.to_owned()),
            Some(("-c", code)) => Self::Code {
                shown: code.to_owned(),
                text: code.to_owned(),
            },
            _ if text == "-" => Self::Input,
            _ => Self::File {
                name: text.to_owned(),
                path: None,
            },
        }
    }

    /// Says of a worker what its parent runs.
    pub fn adopt(&mut self, parent: &Self) {
        if let Self::Worker { method, of } = self {
            *of = match parent {
                Self::Worker { method: its, of } if its == method => of.clone(),
                parent => Some(Box::new(parent.clone())),
            };
        }
    }

    /// The file, also that of whom a worker works for.
    fn file(&mut self) -> Option<(&mut String, &Path)> {
        match self {
            Self::File { name, path } => Some((name, path.as_deref()?)),
            Self::Worker { of, .. } => of.as_mut()?.file(),
            Self::Module(_) | Self::Code { .. } | Self::Input | Self::Program(_) => None,
        }
    }

    /// The text after `-c`, also that of whom a worker works for: what is shown, and all of it.
    fn code(&mut self) -> Option<(&mut String, &str)> {
        match self {
            Self::Code { shown, text } => Some((shown, text)),
            Self::Worker { of, .. } => of.as_mut()?.code(),
            Self::File { .. } | Self::Module(_) | Self::Input | Self::Program(_) => None,
        }
    }
}

/// Calls different files of the same name by their paths, and shows more of different texts that begin alike.
pub fn tell_apart(scripts: &mut [&mut Script]) {
    tell_files_apart(scripts);
    tell_texts_apart(scripts);
}

fn tell_texts_apart(scripts: &mut [&mut Script]) {
    let mut by_shown: HashMap<String, BTreeSet<String>> = HashMap::new();
    for (shown, text) in scripts.iter_mut().filter_map(|script| script.code()) {
        by_shown.entry(shown.clone()).or_default().insert(text.to_owned());
    }
    for (shown, text) in scripts.iter_mut().filter_map(|script| script.code()) {
        let Some(texts) = by_shown.get(shown.as_str()) else {
            continue;
        };
        // In their order, those that have most in common stand side by side.
        let before = texts
            .range::<str, _>((Bound::Unbounded, Bound::Excluded(text)))
            .next_back();
        let after = texts
            .range::<str, _>((Bound::Excluded(text), Bound::Unbounded))
            .next();
        let alike = [before, after]
            .into_iter()
            .flatten()
            .map(|other| alike(text, other));
        if let Some(alike) = alike.max() {
            *shown = beginning(text, (alike + MORE_CHARACTERS).max(CODE_CHARACTERS));
        }
    }
}

/// How many characters at their beginnings are the same.
fn alike(a: &str, b: &str) -> usize {
    a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count()
}

/// As many characters, and a mark if there are more.
fn beginning(text: &str, characters: usize) -> String {
    match text.char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or(text)),
        None => text.to_owned(),
    }
}

fn tell_files_apart(scripts: &mut [&mut Script]) {
    let mut by_name: HashMap<String, Vec<PathBuf>> = HashMap::new();
    for (name, path) in scripts.iter_mut().filter_map(|script| script.file()) {
        let paths = by_name.entry(name.clone()).or_default();
        if paths.len() < 2 && paths.iter().all(|known| known != path) {
            paths.push(path.to_owned());
        }
    }
    for (name, path) in scripts.iter_mut().filter_map(|script| script.file()) {
        if by_name.get(name.as_str()).is_some_and(|paths| paths.len() > 1) {
            *name = path.to_string_lossy().into_owned();
        }
    }
}

/// The path of a file that is named in a folder, without going through the file system: links are not followed.
fn absolute(directory: &Path, name: &str) -> Option<PathBuf> {
    let mut path = PathBuf::new();
    for component in directory.join(name).components() {
        match component {
            Component::ParentDir => drop(path.pop()),
            Component::CurDir => {}
            other => path.push(other),
        }
    }
    path.is_absolute().then_some(path)
}

/// `app.py`, `-m http.server`, `-c import shop; shop.run()`, `-`, `app.py (spawn worker)`.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { name, .. } | Self::Program(name) => f.write_str(name),
            Self::Worker { method, of } => match of {
                Some(of) => write!(f, "{of} ({} worker)", method.name()),
                None => write!(f, "{} worker", method.name()),
            },
            Self::Module(name) => write!(f, "-m {name}"),
            Self::Code { shown, .. } => write!(f, "-c {shown}"),
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
            return Script::File {
                name: argument.to_owned(),
                path: None,
            };
        };
        let mut letters = letters.chars();
        while let Some(letter) = letters.next() {
            match letter {
                'c' | 'm' => {
                    let rest = letters.as_str();
                    let text = if rest.is_empty() {
                        arguments.next()
                    } else {
                        Some(rest)
                    };
                    let text = text.unwrap_or_default();
                    return if letter == 'c' {
                        of_code(text)
                    } else {
                        Script::Module(text.to_owned())
                    };
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

/// What `-c CODE` is.
fn of_code(code: &str) -> Script {
    let method = StartMethod::ALL
        .into_iter()
        .find(|method| code.starts_with(method.code()));
    match method {
        Some(method) => Script::Worker { method, of: None },
        None => Script::Code {
            shown: beginning(code, CODE_CHARACTERS),
            text: code.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Script, tell_apart};

    fn script(arguments: &[&str], directory: &str) -> Option<Script> {
        let arguments: Vec<String> = arguments.iter().map(|text| (*text).to_owned()).collect();
        Script::of_arguments(&arguments, Path::new(directory))
    }

    fn shown(arguments: &[&str]) -> Option<String> {
        script(arguments, "/srv").map(|script| script.to_string())
    }

    const SPAWNED: &[&str] = &[
        "/usr/bin/python3",
        "-c",
        "from multiprocessing.spawn import spawn_main; spawn_main(tracker_fd=6, pipe_handle=8)",
        "--multiprocessing-fork",
    ];
    const FORK_SERVER: &[&str] = &[
        "python3",
        "-cfrom multiprocessing.forkserver import main; main(5, 7, [])",
    ];

    #[test]
    fn different_files_of_the_same_name_are_called_by_their_paths() {
        let mut scripts = [
            (&["python3", "app.py"][..], "/srv/a"),
            (&["python3", "app.py"], "/srv/b"),
            (&["python3", "./../b/app.py"], "/srv/a"),
            (&["python3", "one.py"], "/srv/a"),
            (&["python3", "one.py"], "/srv/a"),
            (&["python3", "x/two.py"], "(unreachable)"),
        ]
        .map(|(arguments, directory)| script(arguments, directory).expect("a script"));
        tell_apart(&mut scripts.iter_mut().collect::<Vec<_>>());
        assert_eq!(
            scripts.map(|script| script.to_string()),
            [
                "/srv/a/app.py",
                "/srv/b/app.py",
                "./../b/app.py",
                "one.py",
                "one.py",
                "x/two.py"
            ]
        );
    }

    #[test]
    fn different_texts_are_shown_as_far_as_it_takes_to_tell_them_apart() {
        let same = "x = 1; ".repeat(20);
        let texts = [
            "import a".to_owned(),
            "import b".to_owned(),
            format!("{same}first()"),
            format!("{same}second(){same}"),
            same.clone(),
        ];
        let mut scripts = texts
            .clone()
            .map(|text| script(&["python3", "-c", &text], "/").expect("a script"));
        assert_eq!(scripts[2].to_string(), scripts[3].to_string());
        tell_apart(&mut scripts.iter_mut().collect::<Vec<_>>());
        let shown = scripts.map(|script| script.to_string());
        assert_eq!(
            shown,
            [
                "-c import a".to_owned(),
                "-c import b".to_owned(),
                format!("-c {same}first()"),
                format!("-c {same}second(){}…", &same[..12]),
                format!("-c {same}"),
            ]
        );
    }

    #[test]
    fn a_worker_is_called_after_whom_it_works_for() {
        let mut spawned = script(SPAWNED, "/").expect("a worker");
        assert_eq!(spawned.to_string(), "spawn worker");
        let app = script(&["python3", "app.py"], "/srv").expect("a script");
        spawned.adopt(&app);
        assert_eq!(spawned.to_string(), "app.py (spawn worker)");
        let mut server = script(FORK_SERVER, "/").expect("a worker");
        server.adopt(&spawned);
        assert_eq!(server.to_string(), "app.py (spawn worker) (forkserver worker)");
        let mut forked = script(FORK_SERVER, "/").expect("a worker");
        forked.adopt(&server);
        assert_eq!(forked, server);
        let mut other = app.clone();
        other.adopt(&spawned);
        assert_eq!(other, app);
    }

    #[test]
    fn a_text_is_read_back_as_what_has_this_text() {
        let app = script(&["python3", "app.py"], "/srv").expect("a script");
        let mut worker = script(SPAWNED, "/").expect("a worker");
        let texts = ["-m http.server", "-c f(); g()", "-", "app.py", "spawn worker"].map(str::to_owned);
        worker.adopt(&app);
        for text in texts.into_iter().chain([worker.to_string()]) {
            assert_eq!(Script::of_text(&text).to_string(), text);
        }
        assert!(matches!(Script::of_text("-m x"), Script::Module(_)));
        assert!(matches!(
            Script::of_text("app.py (spawn worker)"),
            Script::Worker { of: Some(_), .. }
        ));
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
            (&["python3", "-c", "print(1)", "x.py"], "-c print(1)"),
            (&["python3", "-cprint(1)"], "-c print(1)"),
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
