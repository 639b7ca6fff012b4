//! What a container runtime is, to those who only see its cgroups and files.

use super::cgroup::Component;
use super::state::StateFiles;

/// How one container runtime names cgroups, and where it keeps names.
pub(super) trait Runtime: Sync {
    /// As people call it.
    fn name(&self) -> &'static str;

    /// The id of the container whose cgroup has this name.
    fn container_id<'p>(&self, component: Component<'p>, state: &StateFiles) -> Option<&'p str>;

    /// What people call that container, as far as this runtime's files tell.
    fn labels(&self, id: &str, state: &StateFiles) -> Labels {
        let _ = (id, state);
        Labels::default()
    }
}

/// Names of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) name: Option<String>,
    pub(super) pod: Option<String>,
    pub(super) namespace: Option<String>,
}
