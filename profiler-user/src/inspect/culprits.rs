//! Who is answerable for a process that made a worker hang.

use crate::container::Containers;
use crate::proc;
use crate::workers::Culprit;

/// Says who that is.
pub(super) fn culprits() -> Box<dyn FnMut(u32) -> Culprit> {
    let mut containers = Containers::default();
    Box::new(move |pid| Culprit {
        user: proc::user(pid).ok(),
        container: proc::cgroup(pid)
            .ok()
            .and_then(|text| Some(containers.locate(&text).container.as_ref()?.id.clone())),
    })
}
