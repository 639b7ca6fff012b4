//! runc on its own: `runc-ID.scope` (systemd's cgroup driver), or a cgroup called like a container that runc knows. The
//! ids are chosen by people, so they are the names.

use super::cgroup::Component;
use super::runtime::Runtime;
use super::state::StateFiles;

/// The runtime.
pub(super) struct Runc;

impl Runtime for Runc {
    fn name(&self) -> &'static str {
        "runc"
    }

    fn container_id<'p>(&self, component: Component<'p>, state: &StateFiles) -> Option<&'p str> {
        let name = component.name;
        let scope = name
            .strip_prefix("runc-")
            .and_then(|name| name.strip_suffix(".scope"))
            .filter(|id| !id.is_empty());
        scope.or_else(|| state.has(&format!("run/runc/{name}/state.json")).then_some(name))
    }
}
