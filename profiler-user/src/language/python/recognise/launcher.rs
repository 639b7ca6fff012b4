//! Whether a program is CPython's own: the one that starts an interpreter, runs a program in it and ends.
//!
//! A program that embeds an interpreter may end it and start another at the same place (a web server that reloads). The
//! walker's short way relies on that it does not (`profiler_common::walker::python`), so it is for CPython's own program
//! only, which is told by its name. A wrong guess costs the other ones speed, and a program that borrows the name deceives
//! about itself alone.

use std::path::Path;

/// Whether this is what the kernel calls CPython's own program: `python`, `python3`, `python3.14`, `python3.14t`,
/// `python3.15d`.
#[must_use]
pub(super) fn is_launcher(program: &Path) -> bool {
    let name = program
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let name = name.strip_suffix(" (deleted)").unwrap_or(name);
    let Some(version) = name.strip_prefix("python") else {
        return false;
    };
    let numbers = version.trim_end_matches(['t', 'd']);
    version.len() - numbers.len() <= 2
        && numbers
            .split('.')
            .all(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_launcher;

    #[test]
    fn cpythons_own_program_is_told_by_its_name() {
        for name in [
            "python",
            "/usr/bin/python3",
            "/usr/bin/python3.14",
            "/opt/bin/python3.14t",
            "/usr/bin/python3.15d (deleted)",
            "python3.15td",
        ] {
            assert!(is_launcher(Path::new(name)), "{name}");
        }
        for name in [
            "/usr/bin/uwsgi",
            "/usr/sbin/apache2",
            "/app/main",
            "pythonista",
            "python3-config",
            "/usr/bin/python3.14/other",
            "",
        ] {
            assert!(!is_launcher(Path::new(name)), "{name}");
        }
    }
}
