//! Which container, pod or unit a process belongs to: from its cgroup path, and from the files in which container
//! runtimes keep names. No runtime is asked over a socket, nothing is needed inside the container.
//!
//! Used by the tracker (identity of samples, filters) and by `ps`. A runtime is one file of this folder and one line in
//! [`RUNTIMES`].

pub mod cgroup;
mod containerd;
mod crio;
mod docker;
pub mod freezer;
pub mod hierarchy;
mod kubernetes;
mod placement;
mod podman;
mod runc;
mod runtime;
mod state;
mod systemd;

use std::collections::HashMap;
use std::sync::Arc;

pub use self::placement::{Container, Placement, Pod};

use self::cgroup::{Cgroups, Component};
use self::runtime::Runtime;
use self::state::StateFiles;

/// Every runtime, the specific ones first: the first that claims a path component names the container.
const RUNTIMES: &[&dyn Runtime] = &[
    &docker::Docker,
    &podman::Podman,
    &crio::Crio,
    &containerd::Containerd,
    &runc::Runc,
];

/// The runtime of this name, as [`Container::runtime`] has it; `None` for one that is not known.
#[must_use]
pub fn known_runtime(name: &str) -> Option<&'static str> {
    let names = RUNTIMES.iter().map(|runtime| runtime.name());
    names.chain([systemd::NAME]).find(|known| *known == name)
}

/// Bytes of cgroup texts remembered; a host has a few hundred containers with a few hundred bytes each, and a container can
/// make cgroups of its own with names as long as it likes.
const MAX_KNOWN_BYTES: usize = 4 << 20;

/// Finds containers; remembers them.
#[derive(Debug)]
pub struct Containers {
    state: StateFiles,
    known: HashMap<Vec<u8>, Arc<Placement>>,
    known_bytes: usize,
}

impl Default for Containers {
    fn default() -> Self {
        Self {
            state: StateFiles::of_host(),
            known: HashMap::new(),
            known_bytes: 0,
        }
    }
}

impl Containers {
    /// Where a process with this text in `/proc/PID/cgroup` is.
    pub fn locate(&mut self, text: &[u8]) -> Arc<Placement> {
        if let Some(known) = self.known.get(text) {
            return Arc::clone(known);
        }
        let placement = Arc::new(self.look_up(text));
        // A runtime's files may appear a moment later than the cgroup: what is not a container yet is looked at again.
        if placement.container.is_some() {
            if self.known_bytes + text.len() > MAX_KNOWN_BYTES {
                self.known.clear();
                self.known_bytes = 0;
            }
            self.known_bytes += text.len();
            self.known.insert(text.to_vec(), Arc::clone(&placement));
        }
        placement
    }

    /// The cgroup path of the outermost container around a process with this text in `/proc/PID/cgroup`.
    #[must_use]
    pub fn outermost(&self, text: &[u8]) -> Option<String> {
        let cgroups = Cgroups::parse(text);
        cgroups.paths().find_map(|path| outermost(path, &self.state))
    }

    fn look_up(&self, text: &[u8]) -> Placement {
        let cgroups = Cgroups::parse(text);
        let container = innermost(&cgroups, &self.state).or_else(|| cgroups.paths().find_map(systemd::unit));
        Placement { cgroups, container }
    }
}

/// The innermost container of all paths. A runtime that runs in a container makes cgroups for its own ones only in the
/// hierarchies that it sees there: the path with the most containers knows the innermost.
fn innermost(cgroups: &Cgroups, state: &StateFiles) -> Option<Container> {
    let found = cgroups.paths().filter_map(|path| container(path, state));
    let (_, container) = found.reduce(|best, next| if next.0 > best.0 { next } else { best })?;
    Some(container)
}

/// The innermost container of one path, and how many there are in it.
fn container(path: &str, state: &StateFiles) -> Option<(usize, Container)> {
    let components: Vec<Component<'_>> = cgroup::components(path).collect();
    let claims: Vec<_> = components
        .iter()
        .filter_map(|component| claimed(*component, state))
        .collect();
    let (runtime, id) = claims.last()?;
    let labels = runtime.labels(id, state);
    let pod = components
        .iter()
        .rev()
        .find_map(|component| kubernetes::pod_uid(component.name));
    let container = Container {
        id: (*id).to_owned(),
        runtime: runtime.name(),
        name: labels.name,
        pod: pod.map(|uid| Pod {
            uid,
            name: labels.pod,
            namespace: labels.namespace,
        }),
    };
    Some((claims.len(), container))
}

/// The part of one path that leads to its outermost container.
fn outermost(path: &str, state: &StateFiles) -> Option<String> {
    let mut end = String::new();
    for component in cgroup::components(path) {
        end.push('/');
        end.push_str(component.name);
        if claimed(component, state).is_some() {
            return Some(end);
        }
    }
    None
}

fn claimed<'p>(component: Component<'p>, state: &StateFiles) -> Option<(&'static dyn Runtime, &'p str)> {
    RUNTIMES
        .iter()
        .find_map(|runtime| Some((*runtime, runtime.container_id(component, state)?)))
}

#[cfg(test)]
mod tests;
