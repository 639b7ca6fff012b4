//! Services and scopes of systemd: what a process belongs to that is in no container.

use super::cgroup;
use super::placement::Container;

/// As [`Container::runtime`] has it.
pub(super) const NAME: &str = "systemd";

/// The innermost unit of a cgroup path.
pub(super) fn unit(path: &str) -> Option<Container> {
    let components: Vec<_> = cgroup::components(path).collect();
    let unit = components
        .iter()
        .rev()
        .map(|component| component.name)
        .find(|name| name.ends_with(".service") || name.ends_with(".scope"))?;
    Some(Container {
        id: unit.to_owned(),
        runtime: NAME,
        name: None,
        pod: None,
    })
}
