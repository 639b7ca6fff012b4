//! Lines of source files, as a process sees them. Runs in a worker: the file may lie in a file system that never answers.

use std::io::{BufRead as _, BufReader, ErrorKind, Read as _};
use std::path::Path;

use super::messages::{Failure, MAX_SOURCE_LINES, sentence};
use crate::proc::{self, root::Root};

/// Bytes of a file that are read.
const MOST_BYTES: u64 = 8 << 20;
/// Characters of a line that are kept.
const MOST_CHARACTERS: usize = 240;

/// The lines of a file from `first` on; `path` is as the interpreter has it.
pub(super) fn lines(pid: u32, path: &str, first: u32) -> Result<Vec<String>, Failure> {
    let other = |error: &dyn std::fmt::Display| Failure::Other(sentence(&error.to_string()));
    if path.starts_with('<') {
        return Err(other(&"this code has no file"));
    }
    let visible = proc::visible_id(pid);
    let root = Root::of_process(visible).map_err(|_| Failure::Gone)?;
    let path = if path.starts_with('/') {
        Path::new(path).to_owned()
    } else {
        proc::directory(visible).map_err(|_| Failure::Gone)?.join(path)
    };
    let file = root.open_file(&path).map_err(|error| match error.kind() {
        ErrorKind::InvalidInput => other(&"not a regular file"),
        _ => other(&error),
    })?;
    let mut input = BufReader::new(file.take(MOST_BYTES));
    let (mut lines, mut bytes, mut number) = (Vec::new(), Vec::new(), 0u32);
    while lines.len() < MAX_SOURCE_LINES {
        bytes.clear();
        let read = input
            .read_until(b'\n', &mut bytes)
            .map_err(|error| other(&error))?;
        number = number.saturating_add(1);
        if read == 0 {
            break;
        }
        if number >= first {
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end().replace('\t', "    ");
            lines.push(text.chars().take(MOST_CHARACTERS).collect());
        }
    }
    if lines.is_empty() {
        return Err(other(&"the file has no such line"));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::lines;

    #[test]
    fn lines_come_from_regular_files_of_the_process_and_the_rest_says_why_not() {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary folder");
        write!(file, "def f():\n\treturn 1\n\nx = f()\n").expect("written");
        let path = file.path().to_str().expect("a plain name");
        let pid = std::process::id();
        assert_eq!(
            lines(pid, path, 2),
            Ok(vec![
                "    return 1".to_owned(),
                String::new(),
                "x = f()".to_owned()
            ])
        );
        for other in ["<string>", "/dev/zero", "/proc", "/no/such/file.py", "no-such.py"] {
            assert!(lines(pid, other, 1).is_err(), "{other}");
        }
        assert!(lines(pid, path, 5).is_err());
    }
}
