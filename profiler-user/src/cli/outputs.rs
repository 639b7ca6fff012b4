//! Where a recording goes: the files of `--output` and what is in each, settled and opened before the first sample.

use std::path::{Path, PathBuf};

use clap::ValueEnum as _;

use super::failure::Failure;
use super::parts::PartOutput;
use super::{blocking, preflight};
use crate::limits;
use crate::output::{Encoding, FileError, Format, OutputFile, UnknownExtension, quoted};
use crate::session::Signals;

/// A number of as many digits as those of parts have: one each second for a month.
const LAST_PART: u32 = 2_592_000;

/// A file to write and what will be in it.
#[derive(Debug)]
pub(super) struct Planned {
    path: PathBuf,
    pub(super) encoding: Encoding,
    /// Nobody chose its name.
    is_default: bool,
}

/// What `--output` and `--format` ask for, `subject` being what default names start with.
pub(super) fn plan(paths: &[PathBuf], formats: &[Format], subject: &str) -> Result<Vec<Planned>, Failure> {
    let by_default = |format: &Format| {
        let (path, encoding) = Encoding::by_default(*format, subject);
        Planned {
            path,
            encoding,
            is_default: true,
        }
    };
    let planned = match (paths, formats) {
        ([], []) => vec![by_default(&Format::default())],
        ([], formats) => formats.iter().map(by_default).collect(),
        (paths, []) => paths
            .iter()
            .map(|path| named(path, None))
            .collect::<Result<_, _>>()?,
        (paths, formats) if paths.len() == formats.len() => {
            let pairs = paths.iter().zip(formats);
            pairs
                .map(|(path, format)| named(path, Some(*format)))
                .collect::<Result<_, _>>()?
        }
        (paths, formats) => {
            return Err(Failure::usage(format_args!(
                "-f is given {} and -o {}: which file is of which format?",
                times(formats.len()),
                times(paths.len())
            ))
            .hint("-o cpu.svg -o cpu.pb.gz   # without -f; or one -f for each -o: -f raw -o - -f flamegraph -o cpu.svg"));
        }
    };
    let places: Vec<PathBuf> = planned.iter().map(|planned| place(&planned.path)).collect();
    for (index, Planned { path, .. }) in planned.iter().enumerate() {
        if places[..index].contains(&places[index]) {
            return Err(twice(&quoted(path)));
        }
    }
    Ok(planned)
}

/// Fails when a name has no room for the number of a part.
pub(super) fn check_parts(planned: &[Planned]) -> Result<(), Failure> {
    let longest = |planned: &Planned| planned.encoding.numbered(&planned.path, LAST_PART);
    planned
        .iter()
        .try_for_each(|planned| preflight::check_output(&longest(planned)))
}

/// Where a file will be, however its path is spelled.
fn place(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    match (folder.canonicalize(), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

fn twice(name: &str) -> Failure {
    Failure::usage(format_args!("{name} is to be written twice"))
        .hint("give each file a name of its own: -o cpu.svg -o cpu.txt")
}

fn named(path: &Path, format: Option<Format>) -> Result<Planned, Failure> {
    let path = path.to_owned();
    match Encoding::of(&path, format) {
        Ok(encoding) => Ok(Planned {
            path,
            encoding,
            is_default: false,
        }),
        Err(UnknownExtension { extension }) => {
            let known: Vec<String> = Format::value_variants()
                .iter()
                .map(|format| format!("{} (.{})", format.name(), format.extensions().join(", .")))
                .collect();
            Err(Failure::usage(format_args!(
                "no format has the extension .{extension}; there are {}, each also with .gz or .zst",
                known.join(", ")
            ))
            .hint("-o profile.svg   # or name the format: -f raw"))
        }
    }
}

fn times(count: usize) -> String {
    match count {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        count => format!("{count} times"),
    }
}

/// A file that is ready to be written.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) file: OutputFile,
    pub(super) encoding: Encoding,
}

impl Prepared {
    /// What parts of the recording are named after, and what is in them: a pipe takes only the last one.
    pub(super) fn for_parts(&self, subject: &str) -> PartOutput {
        match self.file.folder() {
            Some(folder) => PartOutput {
                path: self.file.path().to_owned(),
                encoding: self.encoding,
                folder: Some(folder.clone()),
            },
            None => PartOutput::new(Encoding::by_default(self.encoding.format, subject)),
        }
    }
}

/// Opens one file; of a named pipe only when somebody reads it.
pub(super) fn open(planned: Planned) -> Result<Prepared, Failure> {
    preflight::check_output(&planned.path)?;
    let opened = OutputFile::prepare(&planned.path);
    opened_as(planned, opened)
}

/// Opens all files. A named pipe may never find a reader, so a signal ends the wait: `Ok(None)`.
pub(super) async fn prepare(
    planned: Vec<Planned>,
    signals: &mut Signals,
) -> Result<Option<Vec<Prepared>>, Failure> {
    let mut prepared = Vec::new();
    for planned in planned {
        preflight::check_output(&planned.path)?;
        let opened = {
            let path = planned.path.clone();
            tokio::select! {
                opened = blocking::run(move || OutputFile::prepare(&path)) => opened?,
                _ = signals.stop() => return Ok(None),
            }
        };
        prepared.push(opened_as(planned, opened)?);
    }
    if prepared.iter().filter(|output| output.file.is_stdout()).count() > 1 {
        return Err(twice("stdout"));
    }
    Ok(Some(prepared))
}

fn opened_as(planned: Planned, opened: Result<OutputFile, FileError>) -> Result<Prepared, Failure> {
    let Planned {
        path,
        encoding,
        is_default,
    } = planned;
    let file = opened.map_err(|error| cannot_write(&path, &error))?;
    let file = if is_default { file.sparing_existing() } else { file };
    Ok(Prepared { file, encoding })
}

fn cannot_write(path: &Path, error: &FileError) -> Failure {
    let what = format!("cannot write {}", quoted(path));
    let failure = match error {
        FileError::NotWritable { error, .. } | FileError::Io { error, .. }
            if limits::is_file_limit(error) =>
        {
            preflight::failure_of(&what, error)
        }
        error => Failure::new(format_args!("{what}: {error}")),
    };
    if failure.hint.is_some() {
        failure
    } else {
        failure.hint(error.hint())
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{Planned, plan};
    use crate::output::Format;

    fn planned(paths: &[&str], formats: &[Format]) -> Result<Vec<(PathBuf, Format)>, (u8, String)> {
        let paths: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
        let planned = plan(&paths, formats, "python").map_err(|failure| (failure.code, failure.message))?;
        let both = |planned: Planned| (planned.path, planned.encoding.format);
        Ok(planned.into_iter().map(both).collect())
    }

    #[test]
    fn each_file_has_the_format_of_its_extension_or_the_one_named_at_its_place() {
        let two = |a, b| Ok(vec![(PathBuf::from("-"), a), (PathBuf::from("a.json"), b)]);
        assert_eq!(
            planned(&["-", "a.json"], &[]),
            two(Format::Flamegraph, Format::Speedscope)
        );
        let formats = [Format::Raw, Format::Flamegraph];
        assert_eq!(planned(&["-", "a.json"], &formats), two(formats[0], formats[1]));
    }

    #[test]
    fn without_a_file_each_format_has_its_default_name() {
        let names = planned(&[], &[Format::Raw, Format::Speedscope]).expect("two files");
        let ends: Vec<_> = names.iter().map(|(path, _)| path.extension()).collect();
        let path = Path::new("a.txt");
        assert_eq!(ends, [path.extension(), Path::new("a.json").extension()]);
        assert_eq!(planned(&[], &[]).expect("one file")[0].1, Format::Flamegraph);
    }

    #[test]
    fn what_is_not_clear_is_refused_with_what_there_is() {
        let (code, message) = planned(&["a.pdf"], &[]).expect_err("unknown");
        assert_eq!(code, 2);
        assert!(
            message.starts_with("no format has the extension .pdf; there are flamegraph (.svg), raw (.txt, ")
        );
        let (code, message) = planned(&["a.svg", "b.svg"], &[Format::Raw]).expect_err("unclear");
        assert_eq!(code, 2);
        assert!(message.starts_with("-f is given once and -o twice"), "{message}");
        for again in ["a.svg", "./a.svg", "src/../a.svg"] {
            let (code, message) = planned(&["a.svg", again], &[]).expect_err("the same file");
            assert_eq!((code, message), (2, format!("'{again}' is to be written twice")));
        }
    }
}
