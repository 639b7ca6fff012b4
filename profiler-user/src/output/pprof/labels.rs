//! The labels of samples: whose they are, the same for all samples of a thread.

use super::tables::Strings;
use crate::pprof_messages::Label;
use crate::profile::{Process, Recording, Thread};

/// For each thread of `recording` its labels. What is not known has no label.
pub(super) fn of_threads(recording: &Recording, strings: &mut Strings) -> Vec<Vec<Label>> {
    let of = |thread: &Thread| {
        let mut labels = Labels {
            strings,
            labels: Vec::new(),
        };
        let process = recording.process(thread.process);
        labels.number("pid", process.pid);
        labels.number("tid", thread.tid);
        labels.text("thread", &thread.name);
        labels.process(process);
        labels.labels
    };
    recording.threads.iter().map(of).collect()
}

/// When a sample was taken, nanoseconds since 1970.
pub(super) fn end_timestamp(time_ns: i64, strings: &mut Strings) -> Label {
    Label {
        key: strings.index("end_timestamp_ns"),
        num: time_ns,
        num_unit: strings.index("nanoseconds"),
        ..Label::default()
    }
}

struct Labels<'s> {
    strings: &'s mut Strings,
    labels: Vec<Label>,
}

impl Labels<'_> {
    fn process(&mut self, process: &Process) {
        self.text("command", &process.command_line);
        self.text("user", &process.user);
        if let Some(script) = &process.script {
            self.text("script", &script.to_string());
        }
        let Some(container) = &process.container else {
            return;
        };
        self.text("container", &container.id);
        self.text("container_runtime", container.runtime);
        self.text("container_name", container.name.as_deref().unwrap_or_default());
        if let Some(pod) = &container.pod {
            self.text("pod", pod.name.as_deref().unwrap_or_default());
            self.text("pod_uid", &pod.uid);
            self.text("namespace", pod.namespace.as_deref().unwrap_or_default());
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        if text.is_empty() {
            return;
        }
        self.labels.push(Label {
            key: self.strings.index(key),
            str: self.strings.index(text),
            ..Label::default()
        });
    }

    fn number(&mut self, key: &str, number: u32) {
        self.labels.push(Label {
            key: self.strings.index(key),
            num: number.into(),
            ..Label::default()
        });
    }
}
