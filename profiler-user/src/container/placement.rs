//! Where a process is: its cgroups, and the container, pod or unit that they mean.

use serde::Serialize;

use super::cgroup::{self, Cgroups};

/// A container, or the service that systemd runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Container {
    /// The runtime's id; the unit's name for a service.
    pub id: String,
    /// `docker`, `containerd`, `cri-o`, `podman`, `runc` or `systemd`.
    pub runtime: &'static str,
    /// What people call it, where the runtime's files tell.
    pub name: Option<String>,
    /// Kubernetes.
    pub pod: Option<Pod>,
}

/// A Kubernetes pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Pod {
    /// As the API server knows it.
    pub uid: String,
    /// Where the runtime's files tell.
    pub name: Option<String>,
    /// As above.
    pub namespace: Option<String>,
}

impl Container {
    /// Its name, else the twelve characters of the id that runtimes show.
    #[must_use]
    pub fn short_name(&self) -> &str {
        match &self.name {
            Some(name) => name,
            None if cgroup::is_hexadecimal_id(&self.id) => self.id.get(..12).unwrap_or(&self.id),
            None => &self.id,
        }
    }
}

/// Where a process is.
#[derive(Clone, Debug, Default)]
pub struct Placement {
    /// Its cgroups.
    pub cgroups: Cgroups,
    /// The innermost container, else the systemd unit.
    pub container: Option<Container>,
}
