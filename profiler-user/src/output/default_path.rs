//! The file that `record` writes to when it is not told: py-spy's name, but always in the current directory.

use std::path::{Path, PathBuf};

use jiff::Zoned;

use crate::escape;

/// `{subject}-{local time}.{extension}`; of a path as subject only the last component.
pub(super) fn now(subject: &str, extension: &str) -> PathBuf {
    at(&Zoned::now(), subject, extension)
}

fn at(time: &Zoned, subject: &str, extension: &str) -> PathBuf {
    let name = Path::new(subject)
        .file_name()
        .map_or("command".into(), |name| name.to_string_lossy());
    let name = escape::printable(&name);
    PathBuf::from(format!(
        "{name}-{}.{extension}",
        time.strftime("%Y-%m-%dT%H-%M-%S%z")
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use jiff::tz::{TimeZone, offset};
    use jiff::{Timestamp, Zoned};

    use super::at;

    fn time(zone: TimeZone) -> Zoned {
        let time: Timestamp = "2026-11-21T04:47:25Z".parse().expect("a time");
        time.to_zoned(zone)
    }

    fn path(subject: &str, zone: TimeZone) -> PathBuf {
        at(&time(zone), subject, "svg")
    }

    #[test]
    fn the_name_says_what_and_when_as_py_spy_does() {
        let utc = |subject| path(subject, TimeZone::UTC);
        assert_eq!(
            utc("/usr/bin/python"),
            PathBuf::from("python-2026-11-21T04-47-25+0000.svg")
        );
        assert_eq!(utc("all"), PathBuf::from("all-2026-11-21T04-47-25+0000.svg"));
        assert_eq!(utc("42"), PathBuf::from("42-2026-11-21T04-47-25+0000.svg"));
    }

    #[test]
    fn the_time_is_local_and_the_offset_belongs_to_it() {
        let kathmandu = TimeZone::posix("<+0545>-5:45").expect("a POSIX time zone");
        assert_eq!(
            path("all", kathmandu),
            PathBuf::from("all-2026-11-21T10-32-25+0545.svg")
        );
        let west = TimeZone::fixed(offset(-3));
        assert_eq!(
            path("all", west),
            PathBuf::from("all-2026-11-21T01-47-25-0300.svg")
        );
    }

    #[test]
    fn the_file_is_always_in_the_current_directory() {
        for program in ["..", "/", "../../x\n/y", "a/b/", "./run", ""] {
            let path = path(program, TimeZone::UTC);
            assert_eq!(path.components().count(), 1, "{program:?}: {path:?}");
            assert!(!path.to_string_lossy().contains('\n'));
        }
    }
}
