//! Docker: `docker-ID.scope` (systemd's cgroup driver) or `/docker/ID` (cgroupfs).

use std::collections::HashMap;

use serde::Deserialize;

use super::cgroup::{Component, id_after, is_hexadecimal_id};
use super::kubernetes;
use super::runtime::{Labels, Runtime};
use super::state::{StateFiles, name};

const CONTAINERS: &str = "var/lib/docker/containers";

/// The runtime.
pub(super) struct Docker;

/// `config.v2.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Record {
    name: Option<String>,
    config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    labels: Option<HashMap<String, String>>,
}

impl Runtime for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn container_id<'p>(&self, component: Component<'p>, state: &StateFiles) -> Option<&'p str> {
        let bare = || {
            let own =
                component.parent == Some("docker") || state.has(&format!("{CONTAINERS}/{}", component.name));
            (is_hexadecimal_id(component.name) && own).then_some(component.name)
        };
        id_after(component.name, "docker").or_else(bare)
    }

    fn labels(&self, id: &str, state: &StateFiles) -> Labels {
        let record: Option<Record> = state.json(&format!("{CONTAINERS}/{id}/config.v2.json"));
        let Some(record) = record else {
            return Labels::default();
        };
        let labels = record.config.and_then(|config| config.labels).unwrap_or_default();
        let label = |key| labels.get(key).and_then(|text| name(text));
        let own = record.name.as_deref().map(|name| name.trim_start_matches('/'));
        Labels {
            name: label(kubernetes::CONTAINER_NAME).or_else(|| name(own?)),
            pod: label(kubernetes::POD_NAME),
            namespace: label(kubernetes::POD_NAMESPACE),
        }
    }
}
