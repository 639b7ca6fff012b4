//! Intervals made by hand, for tests.

use std::time::Duration;

use profiler_common::contract::sources::Source;

use crate::container::Container;
use crate::ids::ProcessKey;
use crate::profile::aggregate::{Aggregator, LateNames, NamedSample};
use crate::profile::{Frame, FrameKind, Process, Recording};

struct NoNames;

impl LateNames for NoNames {
    fn frames(&self, _: usize) -> Vec<Frame> {
        Vec::new()
    }

    fn thread(&self, _: ProcessKey, _: u32) -> Option<String> {
        None
    }
}

/// A function of `app.py`, at a line; in angle brackets a marker.
pub(super) fn frame(text: &str) -> Frame {
    if text.starts_with('<') && !text.starts_with("<module>") {
        return Frame::marker(text);
    }
    let (name, line) = text.split_once(':').unwrap_or((text, "1"));
    Frame {
        kind: FrameKind::Python,
        file: Some("/srv/app.py".to_owned()),
        short_file: Some("app.py".to_owned()),
        line: line.parse().ok(),
        first_line: Some(1),
        ..Frame::marker(name)
    }
}

/// What a thread did for some milliseconds: source, process, thread, milliseconds, stack (`main:3 fib:9`).
pub(super) type Did<'a> = (Source, u32, u32, u64, &'a str);

/// An interval of so many milliseconds. Threads with an even number hold the GIL; process 9 is in a container.
pub(super) fn part(lasted_ms: u64, did: &[Did<'_>]) -> Recording {
    let mut all = Aggregator::new(0, None);
    for (source, pid, tid, time_ms, stack) in did {
        let frames = stack.split(' ').map(|text| all.frames().intern(frame(text)));
        let stack: Vec<_> = frames.collect();
        let sample = NamedSample {
            source: *source,
            weight: time_ms * 1_000_000,
            holds_gil: tid % 2 == 0,
            process: ProcessKey {
                tgid: *pid,
                incarnation: 1,
            },
            tid: *tid,
            comm: b"worker",
            time_ns: 0,
            stack: &stack,
        };
        let describe = || Process {
            pid: *pid,
            command_line: format!("python3 app{pid}.py"),
            container: (*pid == 9).then(|| Container {
                id: "web".to_owned(),
                runtime: "docker",
                name: Some("web-1".to_owned()),
                pod: None,
            }),
            ..Process::default()
        };
        all.add(&sample, describe);
    }
    let mut part = all.finish(&NoNames);
    part.duration = Duration::from_millis(lasted_ms);
    part
}
