//! Root frames: what a stack belongs to, outermost first. One line of `record --group-by` is one variant here.

use clap::ValueEnum;

use super::identity_text::{process_text, thread_text};
use crate::container::Container;
use crate::proc::script::Script;
use crate::profile::{Process, Recording, Thread};

/// What stacks are grouped by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Group {
    /// The container, or the systemd unit
    Container,
    /// The Kubernetes pod
    Pod,
    /// The process
    Process,
    /// The thread
    Thread,
    /// The user
    User,
    /// The script or module that the interpreter runs
    Script,
    /// Nothing: no root frames
    None,
}

impl Group {
    /// The texts of the root frames of every thread of `recording`, by the thread's index; empty for [`Group::None`].
    pub(super) fn texts(self, recording: &Recording) -> Vec<String> {
        if self == Self::None {
            return Vec::new();
        }
        let text = |thread: &Thread| self.text(recording.process(thread.process), thread);
        recording.threads.iter().map(text).collect()
    }

    fn text(self, process: &Process, thread: &Thread) -> String {
        match self {
            Self::Container => container_text(process.container.as_ref()),
            Self::Pod => pod_text(process.container.as_ref()),
            Self::Process => process_text(process),
            Self::Thread => thread_text(thread),
            Self::User => format!("user {}", process.user),
            Self::Script => script_text(process.script.as_ref()),
            Self::None => String::new(),
        }
    }
}

fn container_text(container: Option<&Container>) -> String {
    match container {
        Some(unit) if unit.runtime == "systemd" => format!("unit {}", unit.id),
        Some(container) => format!("container {} ({})", container.short_name(), container.runtime),
        None => "no container".to_owned(),
    }
}

fn pod_text(container: Option<&Container>) -> String {
    let Some(pod) = container.and_then(|container| container.pod.as_ref()) else {
        return "no pod".to_owned();
    };
    let name = pod.name.as_ref().unwrap_or(&pod.uid);
    match &pod.namespace {
        Some(namespace) => format!("pod {namespace}/{name}"),
        None => format!("pod {name}"),
    }
}

fn script_text(script: Option<&Script>) -> String {
    match script {
        Some(script @ (Script::File { .. } | Script::Code { .. } | Script::Worker { .. })) => {
            format!("script {script}")
        }
        Some(Script::Module(name)) => format!("module {name}"),
        Some(Script::Program(name)) => format!("program {name}"),
        Some(Script::Input) => "script from standard input".to_owned(),
        None => "unknown script".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Group;
    use crate::container::{Container, Pod};
    use crate::output::test_recording::hand_made;
    use crate::proc::script::Script;

    #[test]
    fn every_group_has_a_root_frame_for_every_thread_whatever_is_known() {
        let mut recording = hand_made();
        let process = &mut recording.processes[0];
        process.user = "www-data".to_owned();
        process.script = Some(Script::Module("shop.web".to_owned()));
        process.container = Some(Container {
            id: "a".repeat(64),
            runtime: "cri-o",
            name: None,
            pod: Some(Pod {
                uid: "2c48".to_owned(),
                name: Some("shop-7d9".to_owned()),
                namespace: Some("prod".to_owned()),
            }),
        });
        recording.processes[1].container = Some(Container {
            id: "web.service".to_owned(),
            runtime: "systemd",
            name: None,
            pod: None,
        });
        let texts = |group: Group| group.texts(&recording);
        assert_eq!(
            texts(Group::Container)[..4],
            [
                "container aaaaaaaaaaaa (cri-o)",
                "container aaaaaaaaaaaa (cri-o)",
                "unit web.service",
                "no container"
            ]
        );
        assert_eq!(texts(Group::Pod)[1..3], ["pod prod/shop-7d9", "no pod"]);
        assert_eq!(texts(Group::User)[0], "user www-data");
        assert_eq!(texts(Group::Script)[1..3], ["module shop.web", "unknown script"]);
        assert!(texts(Group::None).is_empty());
    }
}
