//! Processes and threads out of labels: the way back from what `output/pprof` writes.

use crate::container::{Container, Pod, known_runtime};
use crate::proc::script::Script;
use crate::profile::Process;
use crate::recordings::loaded::LabelSet;

/// Its process, as far as the labels say.
pub(super) fn process_of(labels: &LabelSet) -> Process {
    let text = |key: &str| labels.text(key).unwrap_or_default().into_owned();
    Process {
        pid: labels.id("pid").unwrap_or(0),
        command_line: text("command"),
        user: text("user"),
        script: labels.text("script").map(|script| Script::of_text(&script)),
        container: container_of(labels),
    }
}

/// The number and the name of its thread.
pub(super) fn thread_of(labels: &LabelSet) -> (u32, String) {
    let name = labels.text("thread").unwrap_or_default();
    (labels.id("tid").unwrap_or(0), name.into_owned())
}

fn container_of(labels: &LabelSet) -> Option<Container> {
    let text = |key: &str| labels.text(key).map(std::borrow::Cow::into_owned);
    let name = text("container_name");
    let id = text("container").or_else(|| name.clone())?;
    let runtime = text("container_runtime").unwrap_or_default();
    Some(Container {
        id,
        runtime: known_runtime(&runtime).unwrap_or("other"),
        name,
        pod: text("pod_uid").or_else(|| text("pod")).map(|uid| Pod {
            uid,
            name: text("pod"),
            namespace: text("namespace"),
        }),
    })
}
