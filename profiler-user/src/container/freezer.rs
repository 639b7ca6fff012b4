//! Cgroups whose processes do not run because somebody froze them (`docker pause`, `systemctl freeze`).

use std::path::{Path, PathBuf};

use super::hierarchy;
use crate::host::root::path_on_host;

/// Bytes read of a file of a cgroup.
const MAX_BYTES: usize = 4096;

/// A frozen cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Its path from the hierarchy's root: that of the process, or one above it.
    pub cgroup: String,
    /// The file by which it is thawed, as it is called on the host.
    pub file: PathBuf,
    /// What is written to it for that.
    pub thaw: &'static str,
}

/// How a version of cgroups says that a cgroup is frozen.
struct Version {
    /// The file that says so of the processes in it, whichever cgroup above was frozen, and the line in it.
    state: (&'static str, &'static str),
    /// The file that says so of the very cgroup that was frozen, and the line in it.
    asked: (&'static str, &'static str),
    /// The file by which it is thawed, and what is written to it.
    thaw: (&'static str, &'static str),
}

const V1: Version = Version {
    state: ("freezer.state", "FROZEN"),
    asked: ("freezer.self_freezing", "1"),
    thaw: ("freezer.state", "THAWED"),
};

const V2: Version = Version {
    state: ("cgroup.events", "frozen 1"),
    asked: ("cgroup.freeze", "1"),
    thaw: ("cgroup.freeze", "0"),
};

/// The frozen cgroup that a process is in; `cgroups` is the text of its `/proc/PID/cgroup`.
#[must_use]
pub fn frozen(cgroups: &[u8]) -> Option<Frozen> {
    let text = std::str::from_utf8(cgroups).ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        if Path::new(path).components().any(|part| part.as_os_str() == "..") {
            return None;
        }
        match controllers {
            "" => in_hierarchy(&hierarchy::unified(), path, &V2),
            "freezer" => in_hierarchy(&hierarchy::mount().join("freezer"), path, &V1),
            _ => None,
        }
    })
}

fn in_hierarchy(mount: &Path, path: &str, version: &Version) -> Option<Frozen> {
    let has_line = |cgroup: &str, (file, line): (&str, &str)| {
        let text = std::fs::read(mount.join(cgroup.trim_start_matches('/')).join(file)).unwrap_or_default();
        let text =
            String::from_utf8_lossy(text.get(..MAX_BYTES.min(text.len())).unwrap_or_default()).into_owned();
        text.lines().any(|found| found == line)
    };
    if !has_line(path, version.state) {
        return None;
    }
    let mut above = Path::new(path).ancestors().filter_map(Path::to_str);
    let cgroup = above
        .find(|cgroup| has_line(cgroup, version.asked))
        .unwrap_or(path);
    let (file, thaw) = version.thaw;
    Some(Frozen {
        cgroup: cgroup.to_owned(),
        file: path_on_host(&mount.join(cgroup.trim_start_matches('/')).join(file)),
        thaw,
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{V1, V2, Version, in_hierarchy};

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a writable temporary folder");
        for (file, text) in files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("room");
            std::fs::write(path, text).expect("room");
        }
        folder
    }

    fn thawed_by(mount: &Path, version: &Version) -> Option<(String, String)> {
        let frozen = in_hierarchy(mount, "/shop/web", version)?;
        let file = frozen
            .file
            .strip_prefix(mount)
            .expect("below it")
            .display()
            .to_string();
        Some((frozen.cgroup, format!("{} > {file}", frozen.thaw)))
    }

    #[test]
    fn the_cgroup_that_was_frozen_may_be_one_above() {
        let mount = folder(&[
            ("shop/web/cgroup.events", "populated 1\nfrozen 1\n"),
            ("shop/web/cgroup.freeze", "0\n"),
            ("shop/cgroup.freeze", "1\n"),
        ]);
        let expected = ("/shop".to_owned(), "0 > shop/cgroup.freeze".to_owned());
        assert_eq!(thawed_by(mount.path(), &V2), Some(expected));
        let mount = folder(&[
            ("shop/web/freezer.state", "FROZEN\n"),
            ("shop/web/freezer.self_freezing", "1\n"),
        ]);
        let expected = (
            "/shop/web".to_owned(),
            "THAWED > shop/web/freezer.state".to_owned(),
        );
        assert_eq!(thawed_by(mount.path(), &V1), Some(expected));
    }

    #[test]
    fn what_runs_is_not_frozen() {
        let mount = folder(&[("shop/web/cgroup.events", "populated 1\nfrozen 0\n")]);
        assert_eq!(thawed_by(mount.path(), &V2), None);
        assert_eq!(thawed_by(mount.path(), &V1), None);
    }
}
