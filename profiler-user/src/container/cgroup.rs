//! The text of `/proc/PID/cgroup` (`cgroups(7)`), v1, v2 and hybrid: `hierarchy:controllers:path` per line.
//!
//! Whoever may create cgroups chooses these names: total, bounded, never trusted as paths of files.

/// Lines read; v1 has one for each of some fifteen controllers.
const MAX_LINES: usize = 64;
/// Longest path kept, bytes; the kernel's own limit.
const MAX_PATH: usize = 4096;
/// Components of one path looked at.
const MAX_COMPONENTS: usize = 64;

/// The cgroups of one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroups {
    /// Different paths, the most telling hierarchy first: v2, then systemd's own, then the controllers'.
    paths: Vec<String>,
}

/// One directory of a cgroup path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Component<'p> {
    /// The directory above it.
    pub parent: Option<&'p str>,
    /// Its name; never empty, `.` or `..`, never with a `/`.
    pub name: &'p str,
}

impl Cgroups {
    /// Parses the file; lines in another format are left out.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let mut lines: Vec<(u8, String)> = text
            .split(|byte| *byte == b'\n')
            .take(MAX_LINES)
            .filter_map(parse_line)
            .collect();
        lines.sort_by_key(|(rank, _)| *rank);
        let mut paths: Vec<String> = Vec::new();
        for (_, path) in lines {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
        Self { paths }
    }

    /// Different paths, the most telling hierarchy first.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }

    /// Whether one of them is `ancestor` (a path from the hierarchy's root) or below it.
    #[must_use]
    pub fn is_below(&self, ancestor: &str) -> bool {
        let ancestor = ancestor.trim_matches('/');
        self.paths().any(|path| {
            let path = path.trim_matches('/');
            path.strip_prefix(ancestor)
                .is_some_and(|rest| ancestor.is_empty() || rest.is_empty() || rest.starts_with('/'))
        })
    }
}

fn parse_line(line: &[u8]) -> Option<(u8, String)> {
    let mut fields = line.splitn(3, |byte| *byte == b':');
    let (hierarchy, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    if hierarchy.is_empty() || !hierarchy.iter().all(u8::is_ascii_digit) || path.len() > MAX_PATH {
        return None;
    }
    let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
    if path.first() != Some(&b'/') {
        return None;
    }
    let rank = match (hierarchy, controllers) {
        (b"0", b"") => 0,
        (_, b"name=systemd") => 1,
        _ => 2,
    };
    Some((rank, String::from_utf8_lossy(path).into_owned()))
}

/// The directories of a cgroup path, outermost first.
pub fn components(path: &str) -> impl Iterator<Item = Component<'_>> {
    let mut parent = None;
    path.split('/')
        .filter(|name| !matches!(*name, "" | "." | ".."))
        .take(MAX_COMPONENTS)
        .map(move |name| Component {
            parent: parent.replace(name),
            name,
        })
}

/// Whether this is an id as docker, podman, containerd and cri-o make them: 64 hexadecimal digits.
#[must_use]
pub fn is_hexadecimal_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The id in `PREFIX-ID.scope` (systemd's cgroup driver) or `PREFIX-ID` (cgroupfs).
pub(super) fn id_after<'p>(name: &'p str, prefix: &str) -> Option<&'p str> {
    let name = name.strip_suffix(".scope").unwrap_or(name);
    let id = name.strip_prefix(prefix)?.strip_prefix('-')?;
    is_hexadecimal_id(id).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::{Cgroups, components, id_after};

    fn paths(text: &str) -> Vec<String> {
        Cgroups::parse(text.as_bytes())
            .paths()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn paths_are_ordered_by_how_much_they_tell_and_told_once() {
        let hybrid =
            "12:pids:/docker/a\n3:memory:/docker/a\n1:name=systemd:/system.slice/docker.service\n0::/x:y\n";
        assert_eq!(
            paths(hybrid),
            ["/x:y", "/system.slice/docker.service", "/docker/a"]
        );
        assert_eq!(paths("0::/init.scope (deleted)\n"), ["/init.scope"]);
    }

    #[test]
    fn what_is_no_cgroup_line_is_left_out() {
        assert!(paths("").is_empty());
        assert!(paths("x::/a\n0:/a\n::/a\n0::a\n0::\n\u{0}\n").is_empty());
        assert!(paths(&format!("0::/{}", "a".repeat(5000))).is_empty());
    }

    #[test]
    fn a_cgroup_is_below_itself_and_its_parents_and_not_below_a_name_that_it_continues() {
        let cgroups = Cgroups::parse(b"0::/system.slice/web.service/worker\n");
        for ancestor in [
            "/",
            "",
            "/system.slice",
            "system.slice/web.service/",
            "/system.slice/web.service/worker",
        ] {
            assert!(cgroups.is_below(ancestor), "{ancestor}");
        }
        for other in [
            "/system",
            "/system.slice/web",
            "/web.service",
            "/system.slice/web.service/worker/x",
        ] {
            assert!(!cgroups.is_below(other), "{other}");
        }
    }

    #[test]
    fn a_component_knows_its_parent_and_is_never_a_step_up() {
        let found: Vec<_> = components("/../a//b/./c/").map(|c| (c.parent, c.name)).collect();
        assert_eq!(found, [(None, "a"), (Some("a"), "b"), (Some("b"), "c")]);
    }

    #[test]
    fn an_id_is_64_hexadecimal_digits_with_or_without_a_scope() {
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(
            id_after(&format!("docker-{id}.scope"), "docker"),
            Some(id.as_str())
        );
        assert_eq!(id_after(&format!("crio-{id}"), "crio"), Some(id.as_str()));
        assert_eq!(id_after(&format!("crio-conmon-{id}.scope"), "crio"), None);
        assert_eq!(id_after("docker-123.scope", "docker"), None);
    }
}
