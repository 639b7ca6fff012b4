//! A hand-made profile that every format is tested with, and the comparison with the files in `testdata`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use profiler_common::contract::sources::Source;

use crate::profile::timeline::{Tick, Timeline};
use crate::profile::{
    Count, Frame, FrameId, FrameKind, Process, ProcessId, Profile, Recording, StackId, Thread, ThreadId,
};

/// What a sample stands for, nanoseconds.
const PERIOD_NS: u64 = 10_000_000;
/// How deep the recursion in [`hand_made`] is.
pub(super) const DEPTH: usize = 40;

/// A Python frame; its short file is what follows `site-packages/` or the last `/`.
pub(crate) fn python(name: &str, file: &str, line: u32, first_line: u32) -> Frame {
    let short = file
        .split_once("site-packages/")
        .or_else(|| file.rsplit_once('/'));
    Frame {
        kind: FrameKind::Python,
        name: name.to_owned(),
        file: Some(file.to_owned()),
        short_file: short.map(|(_, short)| short.to_owned()),
        module: None,
        line: Some(line),
        approximate: false,
        first_line: Some(first_line),
    }
}

fn other(kind: FrameKind, name: &str, module: Option<&str>) -> Frame {
    Frame {
        kind,
        name: name.to_owned(),
        file: None,
        short_file: None,
        module: module.map(str::to_owned),
        line: None,
        approximate: false,
        first_line: None,
    }
}

/// A profile of the given samples: time in milliseconds, thread, stack.
pub(super) fn recording(
    processes: Vec<Process>,
    threads: Vec<Thread>,
    frames: Vec<Frame>,
    stacks: &[&[u32]],
    samples: &[(u64, u32, u32)],
) -> Recording {
    let mut timeline = Timeline::new().expect("a temporary file");
    let mut counts = BTreeMap::new();
    for &(time_ms, thread, stack) in samples {
        let tick = Tick {
            time_ns: time_ms * 1_000_000,
            thread: ThreadId(thread),
            stack: StackId(stack),
            source: Source::OnCpu,
            weight: PERIOD_NS,
        };
        timeline.push(tick);
        *counts.entry((tick.thread, tick.stack)).or_default() += 1;
    }
    let counts = counts.into_iter().map(|((thread, stack), samples)| Count {
        thread,
        stack,
        samples,
        weight: samples * PERIOD_NS,
        gil_weight: 0,
    });
    Recording {
        title: "pyebpf record --all -o 'a;b.svg' -- \u{1b}[2J".to_owned(),
        started: SystemTime::UNIX_EPOCH,
        duration: Duration::from_secs(2),
        rate_hz: 100,
        period: 1,
        host: "web-7".to_owned(),
        cpus: 2,
        accounts: Vec::new(),
        processes,
        threads,
        frames,
        stacks: stacks
            .iter()
            .map(|stack| stack.iter().copied().map(FrameId).collect())
            .collect(),
        profiles: vec![Profile {
            source: Source::OnCpu,
            counts: counts.collect(),
        }],
        timeline: Some(timeline),
    }
}

/// Three processes, five threads (one never sampled), names in other scripts and with what separates things in other
/// formats, frames of every kind, recursion, and frames that differ only in what some styles hide.
pub(crate) fn hand_made() -> Recording {
    let process = |pid, command_line: &str| Process {
        pid,
        command_line: command_line.to_owned(),
        ..Process::default()
    };
    let processes = vec![
        process(100, "python app.py --größe=1; rm\t-rf 2"),
        process(101, "/usr/bin/python3 -c \"while True:\n    pass\n\""),
        process(9, "uwsgi"),
    ];
    let thread = |process, tid, name: &str| Thread {
        process: ProcessId(process),
        tid,
        name: name.to_owned(),
    };
    let threads = vec![
        thread(0, 100, "python"),
        thread(0, 105, "Arbeiter; 1\n2"),
        thread(1, 101, "python3"),
        thread(2, 9, ""),
        thread(2, 12, "never seen"),
    ];
    let frames = vec![
        python("<module>", "/srv/app.py", 80, 1),
        python("main", "/srv/app.py", 70, 60),
        python("fib", "/srv/app.py", 12, 10),
        python("fib", "/srv/app.py", 11, 10),
        python("функция", "/srv/größe/модуль.py", 3, 2),
        python("💩;\n\u{202e}evil", "/srv/a;b\\c.py", 5, 4),
        python(
            "dot",
            "/venv/lib/python3.11/site-packages/numpy/core/multiarray.py",
            9,
            8,
        ),
        python("_find_and_load", "<frozen importlib._bootstrap>", 1176, 1165),
        Frame {
            line: None,
            ..python("no_line", "/srv/app.py", 0, 90)
        },
        other(FrameKind::Native, "cblas_dgemm<T; 3>", Some("libopenblas.so.0")),
        other(FrameKind::Kernel, "do_syscall_64", None),
        other(
            FrameKind::Interpreter,
            "_PyEval_EvalFrameDefault",
            Some("libpython3.11.so.1.0"),
        ),
        other(FrameKind::Marker, "<native thread>", None),
        other(FrameKind::Native, "operator new 42", None),
        Frame {
            file: Some("/build/zlib-1.2.13/inflate.c".to_owned()),
            short_file: Some("inflate.c".to_owned()),
            line: Some(622),
            ..other(FrameKind::Native, "inflate", Some("libz.so.1"))
        },
        other(FrameKind::Kernel, "vfs_read", Some("[kernel]")),
    ];
    let recursion: Vec<u32> = [0, 1].into_iter().chain([2; DEPTH]).collect();
    let recursion_on_the_other_line: Vec<u32> = [0, 1].into_iter().chain([2; DEPTH - 1]).chain([3]).collect();
    let stacks: &[&[u32]] = &[
        &recursion,
        &recursion_on_the_other_line,
        &[0, 1, 4],
        &[0, 5],
        &[0, 1, 6, 11, 9],
        &[7, 8],
        &[12],
        &[0, 1, 6, 10, 13],
        &[0, 1, 6, 14, 15],
    ];
    // Thread 0 pauses between 0.05 s and 1 s; thread 1 arrives out of order, as from another processor.
    let samples = [
        (10, 0, 0),
        (20, 0, 0),
        (21, 1, 2),
        (30, 0, 1),
        (41, 0, 4),
        (50, 0, 4),
        (60, 1, 2),
        (51, 1, 3),
        (500, 2, 5),
        (510, 2, 3),
        (1000, 0, 7),
        (1013, 0, 7),
        (1500, 3, 6),
        (1510, 3, 8),
        (1990, 2, 5),
    ];
    recording(processes, threads, frames, stacks, &samples)
}

/// Compares with `output/testdata/{name}`. With `PYEBPF_BLESS` set, writes that file instead; look at what changed then.
pub(super) fn assert_golden(name: &str, actual: &str) {
    assert_golden_in("output", name, actual);
}

/// Compares with `testdata/{name}` of this folder of the sources, as [`assert_golden`] does.
pub(crate) fn assert_golden_in(folder: &str, name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("src")
        .join(folder)
        .join("testdata")
        .join(name);
    if std::env::var_os("PYEBPF_BLESS").is_some() {
        std::fs::write(&path, actual).expect("testdata is writable");
    }
    let expected = std::fs::read_to_string(&path).expect("the file is committed");
    assert_eq!(
        actual,
        expected,
        "{} differs; if it should, test with PYEBPF_BLESS=1",
        path.display()
    );
}
