//! Podman: `libpod-ID.scope` (systemd's cgroup driver), `/libpod_parent/libpod-ID` (cgroupfs), or `libpod-payload-ID` in
//! the cgroup of a service (`--cgroups=split`, as Quadlet runs them). Names of root's containers; those of other users are
//! in their home directories, which are not read.

use serde::Deserialize;

use super::cgroup::{Component, id_after};
use super::runtime::{Labels, Runtime};
use super::state::{StateFiles, name};

/// For each storage driver a file of all containers, and one of those that go when they end (`--rm`, from 4.4 on).
const STORAGE: &[&str] = &[
    "var/lib/containers/storage/overlay-containers/containers.json",
    "var/lib/containers/storage/overlay-containers/volatile-containers.json",
    "var/lib/containers/storage/vfs-containers/containers.json",
    "var/lib/containers/storage/vfs-containers/volatile-containers.json",
    "var/lib/containers/storage/btrfs-containers/containers.json",
    "var/lib/containers/storage/btrfs-containers/volatile-containers.json",
];

/// The runtime.
pub(super) struct Podman;

/// One container.
#[derive(Deserialize)]
struct Record {
    id: String,
    #[serde(default)]
    names: Vec<String>,
}

impl Runtime for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn container_id<'p>(&self, component: Component<'p>, _state: &StateFiles) -> Option<&'p str> {
        id_after(component.name, "libpod").or_else(|| id_after(component.name, "libpod-payload"))
    }

    fn labels(&self, id: &str, state: &StateFiles) -> Labels {
        let records = STORAGE
            .iter()
            .filter_map(|path| state.json::<Vec<Record>>(path))
            .flatten();
        let own = records.into_iter().find(|record| record.id == id);
        Labels {
            name: own.and_then(|record| name(record.names.first()?)),
            ..Labels::default()
        }
    }
}
