//! Lines of source files, as they are on this host now. Their paths are foreign: only regular files are read, and no large
//! ones.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::SystemTime;

use rustix::fs::OFlags;

/// Bytes of a file that are read.
const MOST_BYTES: u64 = 8 << 20;
/// Characters of a line that are kept.
const MOST_CHARACTERS: usize = 200;

/// What was found of one file.
#[derive(Debug)]
pub(super) enum Source {
    /// Its lines, as far as they were wanted.
    Lines {
        /// By number.
        lines: BTreeMap<u32, String>,
        /// When it was changed last.
        changed: Option<SystemTime>,
    },
    /// Why there is nothing.
    Missing(String),
}

/// Reads the wanted lines of all files.
pub(super) fn read<'f>(wanted: impl IntoIterator<Item = (&'f str, u32)>) -> HashMap<&'f str, Source> {
    let mut by_file: HashMap<&str, Vec<u32>> = HashMap::new();
    for (file, line) in wanted {
        by_file.entry(file).or_default().push(line);
    }
    let read = by_file.into_iter().map(|(file, lines)| {
        let source = read_file(file, &lines).unwrap_or_else(Source::Missing);
        (file, source)
    });
    read.collect()
}

fn read_file(file: &str, wanted: &[u32]) -> Result<Source, String> {
    if file.starts_with('<') {
        return Err("code without a file".to_owned());
    }
    let path = Path::new(file);
    if !path.is_absolute() {
        return Err("not a whole path".to_owned());
    }
    // A pipe must not keep us waiting.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(|error| error.to_string())?;
    let about = opened.metadata().map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("not a regular file".to_owned());
    }
    if about.len() > MOST_BYTES {
        return Err("too large to be source".to_owned());
    }
    let mut input = BufReader::new(opened.take(MOST_BYTES));
    let mut lines = BTreeMap::new();
    let wanted: BTreeSet<u32> = wanted.iter().copied().collect();
    let last = wanted.last().copied().unwrap_or(0);
    let mut bytes = Vec::new();
    for number in 1..=last {
        bytes.clear();
        let read = input.read_until(b'\n', &mut bytes);
        if read.map_err(|error| error.to_string())? == 0 {
            break;
        }
        if wanted.contains(&number) {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end().chars().take(MOST_CHARACTERS).collect();
            lines.insert(number, text);
        }
    }
    Ok(Source::Lines {
        lines,
        changed: about.modified().ok(),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{Source, read};

    #[test]
    fn lines_are_read_of_regular_files_only_and_the_rest_says_why_not() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary folder");
        write!(file, "def f():\n    return 1\n").expect("written");
        let path = file.path().to_str().expect("a plain name");
        let found = read([
            (path, 2),
            (path, 9),
            ("app.py", 1),
            ("<string>", 1),
            ("/dev/zero", 1),
            ("/proc", 1),
        ]);
        let Some(Source::Lines { lines, changed }) = found.get(path) else {
            unreachable!("{found:?}");
        };
        assert_eq!(lines.get(&2).map(String::as_str), Some("    return 1"));
        assert_eq!((lines.len(), changed.is_some()), (1, true));
        for other in ["app.py", "<string>", "/dev/zero", "/proc"] {
            assert!(matches!(found.get(other), Some(Source::Missing(_))), "{other}");
        }
    }
}
