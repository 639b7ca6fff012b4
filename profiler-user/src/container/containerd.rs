//! containerd: `cri-containerd-ID.scope` or `nerdctl-ID.scope` (systemd's cgroup driver), `/NAMESPACE/ID` or, in the
//! cgroup of a pod, `ID` (cgroupfs).

use super::cgroup::{Component, id_after, is_hexadecimal_id};
use super::kubernetes;
use super::runtime::{Labels, Runtime};
use super::state::{OciConfig, StateFiles};

/// One directory for each containerd namespace (`k8s.io`, `default`, `moby`), in it one for each container.
const TASKS: &str = "run/containerd/io.containerd.runtime.v2.task";

/// The runtime.
pub(super) struct Containerd;

impl Runtime for Containerd {
    fn name(&self) -> &'static str {
        "containerd"
    }

    fn container_id<'p>(&self, component: Component<'p>, state: &StateFiles) -> Option<&'p str> {
        let Component { parent, name } = component;
        let bare = || {
            let parent = parent?;
            // Docker's and CRI-O's containers were recognised before.
            let in_pod = is_hexadecimal_id(name) && kubernetes::pod_uid(parent).is_some();
            (in_pod || state.has(&format!("{TASKS}/{parent}/{name}"))).then_some(name)
        };
        id_after(name, "cri-containerd")
            .or_else(|| id_after(name, "nerdctl"))
            .or_else(bare)
    }

    fn labels(&self, id: &str, state: &StateFiles) -> Labels {
        let path = state
            .entries(TASKS)
            .into_iter()
            .map(|namespace| format!("{TASKS}/{namespace}/{id}/config.json"))
            .find(|path| state.has(path));
        let config: OciConfig = path.and_then(|path| state.json(&path)).unwrap_or_default();
        Labels {
            name: config
                .annotation("io.kubernetes.cri.container-name")
                .or_else(|| config.annotation("nerdctl/name")),
            pod: config.annotation("io.kubernetes.cri.sandbox-name"),
            namespace: config.annotation("io.kubernetes.cri.sandbox-namespace"),
        }
    }
}
