//! Tests of the pipeline on hand-made samples: no kernel, no process.

mod gil;

use std::collections::BTreeMap;

use profiler_common::contract::layout::{Layout, line_table_format};
use profiler_common::contract::reasons::GilState;
use profiler_common::contract::records::{RawFrame, TextHeader};
use profiler_common::contract::sources::Source;

use super::questions::{Answer, Question};
use super::{Pipeline, Surroundings};
use crate::ids::ProcessKey;
use crate::language::python::Interpreter;
use crate::language::python::code::store::Unresolved;
use crate::native::unwind::Located;
use crate::proc::root::RootId;
use crate::profile::timeline::Timeline;
use crate::profile::{Process, Recording};
use crate::wire::assembly::Sample;
use crate::wire::decode::{CodeView, Spell, TextView};

/// Processes without a root directory that is known: paths are shortened by their looks.
#[derive(Default)]
struct Nowhere {
    described: u32,
}

impl Surroundings for Nowhere {
    fn interpreter(&self, _process: ProcessKey) -> Option<&Interpreter> {
        None
    }

    fn root(&self, _process: ProcessKey) -> Option<RootId> {
        None
    }

    fn locate(&self, _process: ProcessKey, _address: u64) -> Option<Located<'_>> {
        None
    }

    fn describe(&mut self, process: ProcessKey) -> Process {
        self.described += 1;
        Process {
            pid: process.tgid,
            ..Process::default()
        }
    }
}

fn process(tgid: u32) -> ProcessKey {
    ProcessKey { tgid, incarnation: 1 }
}

/// How long a sample waits at least.
const HALF_A_SECOND_NS: u64 = 500_000_000;

fn sample(process: ProcessKey, time_ns: u64, code: u64) -> Sample {
    Sample {
        process,
        tid: process.tgid,
        time_ns,
        weight: 10,
        source: Source::OnCpu,
        gil: GilState::Held,
        frames: vec![RawFrame {
            code,
            instr_offset: 0,
            check: 1,
        }],
        ends_invocation: vec![true],
        ..Sample::default()
    }
}

/// Defines a function without a line table.
fn define(pipeline: &mut Pipeline, process: ProcessKey, code: u64, name: &str) {
    define_with(pipeline, process, code, name, "app.py");
}

fn define_with(pipeline: &mut Pipeline, process: ProcessKey, code: u64, name: &str, file: &str) {
    let view = |data: &'_ str| TextHeader {
        object: 0x1000,
        length: u32::try_from(data.len()).expect("short"),
        stored: u16::try_from(data.len()).expect("short"),
        kind: 1,
        pad: 0,
    };
    let captured = CodeView {
        tgid: process.tgid,
        incarnation: process.incarnation,
        code,
        check: 1,
        first_line: 7,
        line_table_object: 0x2000,
        line_table_length: 2,
        layout: 0,
        interpreter: 0,
        name: TextView {
            header: view(name),
            data: name.as_bytes(),
        },
        filename: TextView {
            header: view(file),
            data: file.as_bytes(),
        },
        class_object: 0,
        class: &[],
        line_table: &[0, 1],
    };
    let layout = Layout {
        line_table: line_table_format::LNOTAB,
        ..Layout::default()
    };
    pipeline.define(&captured, &layout);
}

/// Samples by the names of their frames.
fn by_stack(recordings: &[Recording]) -> BTreeMap<String, u64> {
    let mut stacks = BTreeMap::new();
    for recording in recordings {
        for count in recording.profiles.iter().flat_map(|profile| &profile.counts) {
            let frames = recording.stack(count.stack).iter();
            let names: Vec<&str> = frames.map(|frame| &*recording.frame(*frame).name).collect();
            *stacks.entry(names.join(";")).or_default() += count.samples;
        }
    }
    stacks
}

/// The same, but what they stand for.
fn weights(recordings: &[Recording]) -> BTreeMap<String, u64> {
    let mut stacks = BTreeMap::new();
    for recording in recordings {
        for count in recording.profiles.iter().flat_map(|profile| &profile.counts) {
            let frames = recording.stack(count.stack).iter();
            let names: Vec<&str> = frames.map(|frame| &*recording.frame(*frame).name).collect();
            *stacks.entry(names.join(";")).or_default() += count.weight;
        }
    }
    stacks
}

fn names(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
    pairs
        .iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

fn finish(pipeline: &mut Pipeline) -> Vec<Recording> {
    pipeline.settle();
    pipeline.cut(u64::MAX, None);
    std::iter::from_fn(|| pipeline.take_finished(true)).collect()
}

#[test]
fn a_sample_waits_for_the_definition_that_comes_after_it() {
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Nowhere::default();
    pipeline.add(&sample(process(7), 1, 0xa), &mut around);
    pipeline.end_drain();
    assert!(pipeline.snapshot(1).is_empty());
    define(&mut pipeline, process(7), 0xa, "late");
    pipeline.end_drain();
    assert_eq!(by_stack(&[pipeline.snapshot(2)]), names(&[("late", 1)]));
}

#[test]
fn a_definition_that_never_comes_is_waited_for_during_two_drains_and_half_a_second() {
    let mut pipeline = Pipeline::new(0, None, None);
    define(&mut pipeline, process(7), 0xb, "later");
    pipeline.add(&sample(process(7), 1, 0xa), &mut Nowhere::default());
    for _ in 0..5 {
        pipeline.end_drain();
        assert!(pipeline.snapshot(1).is_empty());
    }
    pipeline.add(
        &sample(process(7), HALF_A_SECOND_NS, 0xb),
        &mut Nowhere::default(),
    );
    pipeline.end_drain();
    assert!(pipeline.snapshot(1).is_empty());
    pipeline.add(
        &sample(process(7), 1 + HALF_A_SECOND_NS, 0xb),
        &mut Nowhere::default(),
    );
    pipeline.end_drain();
    assert_eq!(
        by_stack(&[pipeline.snapshot(1)]),
        names(&[("<function not captured>", 1), ("later", 2)])
    );
}

#[test]
fn a_process_that_ends_while_its_samples_wait_keeps_its_names_until_then() {
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Nowhere::default();
    // This one makes all others wait.
    pipeline.add(&sample(process(7), 1, 0xa), &mut around);
    for tgid in 8..20 {
        define(&mut pipeline, process(tgid), 0xb, "short");
        pipeline.add(&sample(process(tgid), u64::from(tgid), 0xb), &mut around);
        pipeline.forget(process(tgid));
        pipeline.end_drain();
    }
    define(&mut pipeline, process(20), 0xb, "short");
    pipeline.add(&sample(process(20), 1 + HALF_A_SECOND_NS, 0xb), &mut around);
    pipeline.end_drain();
    assert_eq!(
        by_stack(&[pipeline.snapshot(1)]),
        names(&[("<function not captured>", 1), ("short", 13)])
    );
}

#[test]
fn a_sample_that_waited_belongs_to_the_interval_in_which_it_was_taken() {
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Nowhere::default();
    pipeline.add(&sample(process(7), 1, 0xa), &mut around);
    pipeline.cut(100, None);
    assert!(pipeline.take_finished(false).is_none(), "it waits for a name");
    pipeline.add(&sample(process(7), 101, 0xa), &mut around);
    define(&mut pipeline, process(7), 0xa, "work");
    pipeline.end_drain();
    let first = pipeline.take_finished(false).expect("everything is there");
    assert_eq!(by_stack(&[first]), names(&[("work", 1)]));
    assert!(pipeline.take_finished(true).is_none(), "the second one lasts");
    assert_eq!(by_stack(&finish(&mut pipeline)), names(&[("work", 1)]));
}

#[test]
fn a_sample_that_is_read_after_the_cut_belongs_to_the_time_before_it() {
    let mut pipeline = Pipeline::new(0, None, None);
    define(&mut pipeline, process(7), 0xa, "work");
    pipeline.cut(100, None);
    pipeline.add(&sample(process(7), 99, 0xa), &mut Nowhere::default());
    pipeline.add(&sample(process(7), 100, 0xa), &mut Nowhere::default());
    let first = pipeline.take_finished(false).expect("nothing waits");
    assert_eq!(first.samples(), 1);
    assert_eq!(pipeline.snapshot(200).samples(), 1);
}

#[test]
fn a_snapshot_changes_nothing() {
    let mut pipeline = Pipeline::new(0, None, None);
    define(&mut pipeline, process(7), 0xa, "work");
    let mut around = Nowhere::default();
    for time_ns in 0..10 {
        pipeline.add(&sample(process(7), time_ns, 0xa), &mut around);
        assert_eq!(pipeline.snapshot(time_ns).samples(), time_ns + 1);
    }
    assert_eq!(around.described, 1);
    assert_eq!(by_stack(&finish(&mut pipeline)), names(&[("work", 10)]));
}

#[test]
fn the_intervals_of_a_recording_add_up_to_what_it_would_be_in_one() {
    let cut_after = |cuts: &[u64]| {
        let timeline = || Some(Timeline::new().expect("a temporary file"));
        let mut pipeline = Pipeline::new(0, None, timeline());
        let mut around = Nowhere::default();
        let mut parts = Vec::new();
        for time_ns in 0..600u64 {
            // Every seventh function is defined after its first sample.
            let (of, code) = (process(1 + (time_ns % 3) as u32), time_ns % 50);
            let name = format!("f{code}");
            if code % 7 != 0 {
                define(&mut pipeline, of, code + 1, &name);
            }
            pipeline.add(&sample(of, time_ns, code + 1), &mut around);
            if code % 7 == 0 {
                define(&mut pipeline, of, code + 1, &name);
            }
            if time_ns % 10 == 9 {
                pipeline.end_drain();
            }
            if cuts.contains(&time_ns) {
                pipeline.cut(time_ns + 1, timeline());
            }
            parts.extend(pipeline.take_finished(false));
        }
        parts.extend(finish(&mut pipeline));
        parts
    };
    let whole = cut_after(&[]);
    assert_eq!(whole.len(), 1);
    let parts = cut_after(&[100, 101, 250, 599]);
    assert_eq!(parts.len(), 5);
    assert_eq!(by_stack(&parts), by_stack(&whole));
    assert_eq!(by_stack(&whole).values().sum::<u64>(), 600);
    let ticks: u64 = parts
        .iter()
        .filter_map(|part| part.timeline.as_ref())
        .map(Timeline::len)
        .sum();
    // The last part is the one that `finish` begins, without a time line.
    assert_eq!(ticks, 600);
}

#[test]
fn names_of_threads_hold_in_every_interval() {
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Nowhere::default();
    define(&mut pipeline, process(7), 0xa, "work");
    pipeline.name_thread(process(7), 7, "MainThread".to_owned());
    let name = |recording: Recording| recording.threads[0].name.clone();
    for time_ns in [10, 20] {
        pipeline.add(&sample(process(7), time_ns, 0xa), &mut around);
        pipeline.cut(time_ns + 5, None);
        assert_eq!(name(pipeline.take_finished(false).expect("done")), "MainThread");
    }
    // The process ends: its name is kept until its last interval is done.
    pipeline.add(&sample(process(7), 30, 0xa), &mut around);
    pipeline.forget(process(7));
    pipeline.cut(35, None);
    assert_eq!(name(pipeline.take_finished(false).expect("done")), "MainThread");
    assert_eq!(pipeline.thread_names.len(), 0);
}

#[test]
fn a_name_outlives_a_minute_in_which_its_thread_is_not_sampled_and_not_more() {
    const SECOND_NS: u64 = 1_000_000_000;
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Nowhere::default();
    define(&mut pipeline, process(7), 0xa, "work");
    let mut names_after = |seconds: u64, sampled: bool, told: Option<&str>| {
        let start_ns = pipeline.newest_ns;
        if sampled {
            pipeline.add(&sample(process(7), start_ns + 1, 0xa), &mut around);
        }
        if let Some(name) = told {
            pipeline.name_thread(process(7), 7, name.to_owned());
        }
        pipeline.newest_ns = start_ns + seconds * SECOND_NS;
        pipeline.cut(pipeline.newest_ns, None);
        let part = pipeline.take_finished(false).expect("nothing waits");
        let shown = part.threads.first().map(|thread| thread.name.clone());
        (pipeline.thread_names.len(), shown)
    };
    assert_eq!(
        names_after(10, true, Some("worker")),
        (1, Some("worker".to_owned()))
    );
    // Sampled all the time, and told no more.
    for _ in 0..20 {
        assert_eq!(names_after(10, true, None), (1, Some("worker".to_owned())));
    }
    for _ in 0..6 {
        assert_eq!(names_after(10, false, None), (1, None));
    }
    assert_eq!(names_after(10, false, None), (0, None));
}

/// A process whose root directory is known: its paths are asked about.
struct Somewhere(RootId);

impl Surroundings for Somewhere {
    fn interpreter(&self, _process: ProcessKey) -> Option<&Interpreter> {
        None
    }

    fn root(&self, _process: ProcessKey) -> Option<RootId> {
        Some(self.0)
    }

    fn locate(&self, _process: ProcessKey, _address: u64) -> Option<Located<'_>> {
        None
    }

    fn describe(&mut self, _process: ProcessKey) -> Process {
        Process::default()
    }
}

#[test]
fn a_path_is_asked_about_once_and_its_samples_wait_for_the_answer() {
    let root = crate::proc::root::Root::own().expect("this process has one").id();
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Somewhere(root);
    for code in [0xa, 0xb] {
        define(&mut pipeline, process(7), code, "work");
        pipeline.add(&sample(process(7), 1, code), &mut around);
    }
    pipeline.end_drain();
    assert!(pipeline.snapshot(1).is_empty());
    let Some(Question::ShortPath(of)) = pipeline.next_question() else {
        unreachable!("the path of both functions")
    };
    assert_eq!((&*of.path, of.process), ("app.py", process(7)));
    assert!(pipeline.next_question().is_none());
    pipeline.answer(Answer::ShortPath {
        of,
        short: "shop/app.py".into(),
    });
    pipeline.end_drain();
    let recording = pipeline.snapshot(2);
    assert_eq!(recording.samples(), 2);
    let short: Vec<_> = recording.frames.iter().map(|frame| &frame.short_file).collect();
    assert_eq!(short, [&Some("shop/app.py".to_owned())]);
}

#[test]
fn a_path_that_nobody_answers_for_is_shortened_by_its_looks() {
    let root = crate::proc::root::Root::own().expect("this process has one").id();
    let mut pipeline = Pipeline::new(0, None, None);
    define(&mut pipeline, process(7), 0xa, "work");
    for time_ns in [1, 1 + HALF_A_SECOND_NS] {
        pipeline.add(&sample(process(7), time_ns, 0xa), &mut Somewhere(root));
        for _ in 0..3 {
            pipeline.end_drain();
        }
    }
    assert_eq!(by_stack(&[pipeline.snapshot(2)]), names(&[("work", 2)]));
}

#[test]
fn a_function_that_was_not_sent_is_not_waited_for_and_makes_nobody_wait() {
    let mut pipeline = Pipeline::new(0, None, None);
    define(&mut pipeline, process(7), 0xa, "known");
    define(&mut pipeline, process(8), 0xa, "innocent");
    let mut withheld = sample(process(7), 1, 0xa);
    withheld.withheld = true;
    withheld.frames.push(RawFrame {
        code: 0xb,
        instr_offset: 0,
        check: 1,
    });
    pipeline.add(&withheld, &mut Nowhere::default());
    pipeline.add(&sample(process(8), 2, 0xa), &mut Nowhere::default());
    assert_eq!(
        by_stack(&[pipeline.snapshot(3)]),
        names(&[("<too many new functions>;known", 1), ("innocent", 1)])
    );
    let reasons: Vec<_> = pipeline.unnamed().iter().collect();
    assert_eq!(reasons, [(Unresolved::Withheld, 1)]);
}

/// Answers what is asked, up to so many questions; who asked.
fn answer(pipeline: &mut Pipeline, count: usize) -> Vec<u32> {
    let mut of = Vec::new();
    while of.len() < count
        && let Some(question) = pipeline.next_question()
    {
        let Question::ShortPath(path) = question else {
            unreachable!("all definitions are whole")
        };
        of.push(path.process.tgid);
        let short = format!("short/{}", path.path).into();
        pipeline.answer(Answer::ShortPath { of: path, short });
    }
    of
}

#[test]
fn a_process_with_files_without_end_keeps_no_question_of_another_waiting() {
    let root = crate::proc::root::Root::own().expect("this process has one").id();
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Somewhere(root);
    for code in 1..=2_000 {
        define_with(
            &mut pipeline,
            process(7),
            code,
            "made",
            &format!("made_{code}.py"),
        );
        pipeline.add(&sample(process(7), code, code), &mut around);
    }
    define_with(&mut pipeline, process(8), 1, "made", "app.py");
    pipeline.add(&sample(process(8), 2_001, 1), &mut around);
    assert_eq!(answer(&mut pipeline, 2), [7, 8]);
    let rest = answer(&mut pipeline, usize::MAX);
    assert_eq!(rest.len(), 1_023, "what one process may have waiting");
    pipeline.end_drain();
    let recording = pipeline.snapshot(3_000);
    assert_eq!(recording.samples(), 2_001);
    let short = |file: &str| {
        let frames = recording.frames.iter();
        let mut of_file = frames.filter(|frame| frame.file.as_deref() == Some(file));
        of_file.next().and_then(|frame| frame.short_file.clone())
    };
    assert_eq!(short("app.py").as_deref(), Some("short/app.py"));
    assert_eq!(short("made_1.py").as_deref(), Some("short/made_1.py"));
    assert_eq!(short("made_2000.py").as_deref(), Some("made_2000.py"));
    assert_eq!(pipeline.not_asked().paths, 976);
}

#[test]
fn a_process_asks_so_many_questions_a_minute_and_no_more() {
    let root = crate::proc::root::Root::own().expect("this process has one").id();
    let mut pipeline = Pipeline::new(0, None, None);
    let mut asked = 0;
    let mut code = 0;
    for minute in [0, 1] {
        for time_ns in 0..10_000 {
            code += 1;
            define_with(
                &mut pipeline,
                process(7),
                code,
                "made",
                &format!("made_{code}.py"),
            );
            let time_ns = minute * 70_000_000_000 + time_ns;
            pipeline.add(&sample(process(7), time_ns, code), &mut Somewhere(root));
            asked += answer(&mut pipeline, usize::MAX).len();
            pipeline.end_drain();
        }
    }
    assert_eq!(asked, 2 * 8_192);
    assert_eq!(pipeline.not_asked().paths, 2 * (10_000 - 8_192));
}

#[test]
fn a_process_that_does_not_answer_holds_few_questions() {
    let root = crate::proc::root::Root::own().expect("this process has one").id();
    let mut pipeline = Pipeline::new(0, None, None);
    for code in 1..=500 {
        define_with(
            &mut pipeline,
            process(7),
            code,
            "made",
            &format!("made_{code}.py"),
        );
        pipeline.add(&sample(process(7), code, code), &mut Somewhere(root));
    }
    let asked = std::iter::from_fn(|| pipeline.next_question()).count();
    assert_eq!(asked, 64);
}

/// A sample of a thread that leaves its CPU.
fn leaves(process: ProcessKey, time_ns: u64, code: u64) -> Sample {
    Sample {
        source: Source::OffCpu,
        weight: 0,
        spell: 3,
        ..sample(process, time_ns, code)
    }
}

/// Its spell, which is never so short that others are counted with it.
fn spell(process: ProcessKey, out_ns: u64, blocked_ns: u64, waiting_ns: u64) -> Spell {
    Spell {
        process,
        tid: process.tgid,
        number: 3,
        out_ns,
        blocked_ns,
        waiting_ns,
        odds: 1 << 16,
        cpu: 0,
        comm: [0; 16],
    }
}

const SECOND: u64 = 1_000_000_000;

#[test]
fn time_off_the_cpu_is_counted_when_the_thread_is_back_and_split_at_its_wake_up() {
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Nowhere::default();
    define(&mut pipeline, process(7), 0xa, "recv");
    pipeline.add(&leaves(process(7), SECOND, 0xa), &mut around);
    assert!(pipeline.snapshot(1).is_empty());
    pipeline.end_spell(&spell(process(7), SECOND, 2 * SECOND, 5), &mut around);
    // The next one was not walked, or its stack was lost.
    pipeline.end_spell(&spell(process(7), 4 * SECOND, SECOND, 0), &mut around);
    let recordings = finish(&mut pipeline);
    assert!(
        recordings[0]
            .profiles
            .iter()
            .all(|profile| profile.source == Source::OffCpu)
    );
    assert_eq!(
        weights(&recordings),
        names(&[
            ("<stack not taken>", SECOND),
            ("recv", 2 * SECOND),
            ("recv;<waiting for a CPU>", 5)
        ])
    );
}

#[test]
fn time_off_the_cpu_that_goes_on_at_a_cut_is_shared_by_both_intervals() {
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Nowhere::default();
    define(&mut pipeline, process(7), 0xa, "recv");
    pipeline.add(&leaves(process(7), SECOND, 0xa), &mut around);
    pipeline.count_spell(&spell(process(7), SECOND, SECOND, 0), &mut around);
    pipeline.cut(2 * SECOND + 1, None);
    let first = pipeline.take_finished(false).expect("nothing waits");
    pipeline.end_spell(&spell(process(7), SECOND, 4 * SECOND, 7), &mut around);
    assert_eq!(weights(&[first]), names(&[("recv", SECOND)]));
    assert_eq!(
        weights(&finish(&mut pipeline)),
        names(&[("recv", 3 * SECOND), ("recv;<waiting for a CPU>", 7)])
    );
}

#[test]
fn nothing_is_kept_of_threads_that_are_gone() {
    let mut pipeline = Pipeline::new(0, None, None);
    let mut around = Nowhere::default();
    for tgid in [7, 8] {
        pipeline.add(&leaves(process(tgid), SECOND, 0xa), &mut around);
    }
    pipeline.keep_spells(|tid, number| (tid, number) == (8, 3));
    let has_stack = |pipeline: &Pipeline, tgid| pipeline.has_stack(&spell(process(tgid), 0, 0, 0));
    assert!(!has_stack(&pipeline, 7) && has_stack(&pipeline, 8));
    pipeline.forget(process(8));
    assert!(!has_stack(&pipeline, 8));
}
