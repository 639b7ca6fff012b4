//! CRI-O: `crio-ID.scope` (systemd's cgroup driver) or `crio-ID` (cgroupfs), in the cgroup of a pod.

use super::cgroup::{Component, id_after};
use super::kubernetes;
use super::runtime::{Labels, Runtime};
use super::state::{OciConfig, StateFiles};

/// The runtime.
pub(super) struct Crio;

impl Runtime for Crio {
    fn name(&self) -> &'static str {
        "cri-o"
    }

    fn container_id<'p>(&self, component: Component<'p>, _state: &StateFiles) -> Option<&'p str> {
        id_after(component.name, "crio")
    }

    fn labels(&self, id: &str, state: &StateFiles) -> Labels {
        let path = format!("run/containers/storage/overlay-containers/{id}/userdata/config.json");
        let config: OciConfig = state.json(&path).unwrap_or_default();
        Labels {
            name: config.annotation(kubernetes::CONTAINER_NAME),
            pod: config.annotation(kubernetes::POD_NAME),
            namespace: config.annotation(kubernetes::POD_NAMESPACE),
        }
    }
}
