//! Tests of the folding of samples.

use profiler_common::contract::sources::Source;

use super::{Aggregator, LateNames, Limits, NamedSample, OTHER_PROCESSES, Overflow};
use crate::ids::{FrameId, ProcessKey, StackId, ThreadId};
use crate::profile::frames::{Frame, FrameKind};
use crate::profile::timeline::{Tick, Timeline};
use crate::profile::{Count, Process, Recording};

fn sample(tid: u32, time_ns: u64, stack: &[FrameId]) -> NamedSample<'_> {
    NamedSample {
        source: Source::OnCpu,
        weight: 10,
        holds_gil: false,
        process: ProcessKey {
            tgid: 7,
            incarnation: 1,
        },
        tid,
        comm: b"worker\0\0\0\0\0\0\0\0\0\0",
        time_ns,
        stack,
    }
}

fn named(name: &str) -> Frame {
    Frame {
        kind: FrameKind::Native,
        ..Frame::marker(name)
    }
}

/// Frames of every placeholder, and thread names.
#[derive(Default)]
struct Late {
    frames: Vec<Frame>,
    threads: Vec<(u32, &'static str)>,
}

impl LateNames for Late {
    fn frames(&self, _index: usize) -> Vec<Frame> {
        self.frames.clone()
    }

    fn thread(&self, _process: ProcessKey, tid: u32) -> Option<String> {
        let of_thread = |(of, name): &(u32, &'static str)| (*of == tid).then(|| (*name).to_owned());
        self.threads.iter().find_map(of_thread)
    }
}

fn text(recording: &Recording, stack: StackId) -> String {
    let names = recording.stack(stack).iter();
    let names: Vec<&str> = names.map(|frame| &*recording.frame(*frame).name).collect();
    names.join(";")
}

#[test]
fn identical_stacks_of_one_thread_become_one_count_and_keep_their_order_in_the_timeline() {
    let timeline = Timeline::new().expect("a temporary file");
    let mut aggregator = Aggregator::new(1_000, Some(timeline));
    let (one, two) = ([FrameId(1), FrameId(2)], [FrameId(1)]);
    for (tid, time_ns, stack) in [
        (7, 1_001, &one[..]),
        (7, 1_002, &two),
        (8, 1_003, &one),
        (7, 1_004, &one),
    ] {
        aggregator.add(&sample(tid, time_ns, stack), || Process {
            command_line: "python app.py".to_owned(),
            ..Process::default()
        });
    }
    let mut recording = aggregator.finish(&Late::default());
    assert_eq!(recording.profiles.len(), 1);
    let counts: Vec<_> = recording.profiles[0]
        .counts
        .iter()
        .map(|c| (c.thread.0, c.stack.0, c.samples, c.weight))
        .collect();
    assert_eq!(counts, [(0, 0, 2, 20), (0, 1, 1, 10), (1, 0, 1, 10)]);
    assert_eq!(recording.threads[0].name, "worker");
    assert_eq!(recording.processes[0].command_line, "python app.py");
    let timeline = recording.timeline.as_mut().expect("was asked for");
    let last = timeline
        .read()
        .expect("flush")
        .last()
        .expect("four ticks")
        .expect("readable");
    assert_eq!(
        last,
        Tick {
            time_ns: 4,
            thread: ThreadId(0),
            stack: StackId(0),
            source: Source::OnCpu,
            weight: 10,
        }
    );
}

#[test]
fn sources_have_profiles_of_their_own_over_the_same_tables() {
    let mut aggregator = Aggregator::new(0, None);
    let main = [aggregator.frames().intern(named("main"))];
    let faults = NamedSample {
        source: Source::PageFaults,
        weight: 1,
        ..sample(7, 1, &main)
    };
    for sample in [&faults, &sample(7, 1, &main), &faults] {
        aggregator.add(sample, Process::default);
    }
    let recording = aggregator.finish(&Late::default());
    let totals: Vec<_> = recording
        .profiles
        .iter()
        .map(|profile| (profile.source, profile.samples(), profile.weight()))
        .collect();
    assert_eq!(totals, [(Source::OnCpu, 1, 10), (Source::PageFaults, 2, 2)]);
    assert_eq!((recording.stacks.len(), recording.threads.len()), (1, 1));
    assert_eq!(recording.samples(), 3);
}

#[test]
fn stacks_that_differed_only_by_names_to_come_become_one() {
    let mut aggregator = Aggregator::new(0, None);
    let main = aggregator.frames().intern(named("main"));
    let (one, two) = ([main, FrameId::pending(0)], [main, FrameId::pending(1)]);
    for stack in [&one, &two, &one] {
        aggregator.add(&sample(7, 1, stack), Process::default);
    }
    // Two addresses of one line, in a function that the compiler put into another.
    let late = Late {
        frames: vec![named("outer"), named("inlined")],
        ..Late::default()
    };
    for recording in [aggregator.snapshot(&late), aggregator.finish(&late)] {
        let counts = &recording.profiles[0].counts;
        assert_eq!((counts.len(), counts[0].samples), (1, 3));
        assert_eq!(text(&recording, counts[0].stack), "main;outer;inlined");
    }
}

#[test]
fn a_thread_has_the_name_that_it_was_last_seen_with() {
    let mut aggregator = Aggregator::new(0, None);
    let stack = [FrameId(1)];
    for comm in [&b"python3\0\0"[..], b"worker\0\0\0"] {
        let sample = NamedSample {
            comm,
            ..sample(7, 1, &stack)
        };
        aggregator.add(&sample, Process::default);
    }
    let recording = aggregator.finish(&Late::default());
    assert_eq!(recording.threads.len(), 1);
    assert_eq!(recording.threads[0].name, "worker");
}

#[test]
fn a_name_in_python_goes_before_the_kernels_whenever_it_becomes_known() {
    let mut aggregator = Aggregator::new(0, None);
    let stack = [FrameId(1)];
    for tid in [7, 8, 9] {
        aggregator.add(&sample(tid, 1, &stack), Process::default);
    }
    let recording = aggregator.finish(&Late {
        threads: vec![(7, "größe"), (8, "MainThread")],
        ..Late::default()
    });
    let names: Vec<&str> = recording.threads.iter().map(|thread| &*thread.name).collect();
    assert_eq!(names, ["größe", "MainThread", "worker"]);
}

#[test]
fn what_finds_no_room_is_counted_and_given_to_nobody_else() {
    let mut aggregator = Aggregator::new(0, None);
    aggregator.limits = Limits {
        stacks: 3,
        processes: 2,
        threads: 4,
        counts: 6,
    };
    let frames: Vec<FrameId> = (0..6)
        .map(|n| aggregator.frames().intern(named(&format!("f{n}"))))
        .collect();
    let mut due = 0;
    for tgid in 1..=4 {
        for thread in 0..3 {
            for frame in &frames {
                let sample = NamedSample {
                    process: ProcessKey { tgid, incarnation: 1 },
                    tid: 10 * tgid + thread,
                    ..sample(0, 1, std::slice::from_ref(frame))
                };
                let describe = || Process {
                    pid: tgid,
                    ..Process::default()
                };
                aggregator.add(&sample, describe);
                due += 1;
            }
        }
    }
    let overflow = aggregator.overflow();
    let recording = aggregator.finish(&Late::default());
    assert_eq!(recording.samples(), due);
    assert_eq!(recording.profiles[0].weight(), 10 * due);
    // Two processes have names; what the others did is with "too many processes", thread by thread.
    let of = |pid: u32| -> u64 {
        let counts = recording.profiles[0].counts.iter();
        let of_pid = counts.filter(|count| {
            let thread = recording.thread(count.thread);
            recording.process(thread.process).pid == pid
        });
        of_pid.map(|count| count.samples).sum()
    };
    assert_eq!((of(1), of(2), of(OTHER_PROCESSES.tgid)), (18, 18, 36));
    // Four threads have names: three of the first process and one of the second.
    let named = recording.threads.iter().filter(|thread| thread.tid != 0);
    assert_eq!(
        named.map(|thread| thread.tid).collect::<Vec<_>>(),
        [10, 11, 12, 20]
    );
    assert_eq!(overflow.threads, 18 - 6 + 36);
    // Every sample that kept its stack is in one of the six counts.
    let kept = recording.profiles[0].counts.iter();
    let kept = kept.filter(|count| text(&recording, count.stack).starts_with('f'));
    let kept: u64 = kept.map(|count| count.samples).sum();
    assert_eq!(overflow.stacks, due - kept);
    assert_ne!(
        overflow,
        Overflow::default(),
        "the limits of this test were reached"
    );
}

#[test]
fn what_is_absorbed_twice_counts_twice_under_the_names_it_had() {
    let mut part = Aggregator::new(0, None);
    let main = [part.frames().intern(named("main"))];
    let with_gil = NamedSample {
        holds_gil: true,
        ..sample(7, 1, &main)
    };
    for sample in [&with_gil, &sample(7, 1, &main), &sample(8, 1, &main)] {
        part.add(sample, Process::default);
    }
    let part = part.finish(&Late::default());
    let mut all = Aggregator::new(0, None);
    all.absorb(&part);
    all.absorb(&part);
    let all = all.finish(&Late::default());
    let counts = |recording: &Recording| -> Vec<(u32, u64, u64, u64)> {
        let counts = recording.profiles[0].counts.iter();
        let count = |count: &Count| {
            let tid = recording.thread(count.thread).tid;
            (tid, count.samples, count.weight, count.gil_weight)
        };
        counts.map(count).collect()
    };
    assert_eq!(counts(&part), [(7, 2, 20, 10), (8, 1, 10, 0)]);
    assert_eq!(counts(&all), [(7, 4, 40, 20), (8, 2, 20, 0)]);
    assert_eq!((all.processes, all.frames), (part.processes, part.frames));
}
