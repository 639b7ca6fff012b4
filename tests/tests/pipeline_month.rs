//! A month in the life of a pipeline: cut again and again over a stream of processes, threads and functions that are new all
//! the time. No kernel, no process: samples are made up, so the sums are known.

use profiler_common::contract::layout::{Layout, line_table_format};
use profiler_common::contract::reasons::GilState;
use profiler_common::contract::records::{RawFrame, TextHeader};
use pyebpf::ids::ProcessKey;
use pyebpf::language::python::Interpreter;
use pyebpf::native::unwind::Located;
use pyebpf::pipeline::{Pipeline, Surroundings};
use pyebpf::proc::root::RootId;
use pyebpf::profile::{Process, Profile, Recording};
use pyebpf::wire::assembly::Sample;
use pyebpf::wire::decode::{CodeView, TextView};

/// Between two cuts.
const INTERVAL_NS: u64 = 10_000_000_000;
/// Samples of each interval.
const SAMPLES: u64 = 8;

struct Nowhere;

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
        Process {
            pid: process.tgid,
            command_line: format!("python worker-{}.py", process.incarnation),
            ..Process::default()
        }
    }
}

fn define(pipeline: &mut Pipeline, process: ProcessKey, code: u64) {
    let (name, file) = (format!("f{code}"), format!("/srv/app-{code}/app.py"));
    let view = |data: &str| TextHeader {
        object: 0x1000,
        length: data.len() as u32,
        stored: data.len() as u16,
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
            header: view(&name),
            data: name.as_bytes(),
        },
        filename: TextView {
            header: view(&file),
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

/// What the parts of a recording came to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    parts: u64,
    samples: u64,
    weight: u64,
    unnamed: u64,
}

impl Totals {
    fn add(&mut self, part: &Recording) {
        self.parts += 1;
        self.samples += part.samples();
        self.weight += part.profiles.iter().map(Profile::weight).sum::<u64>();
        let is_named = |frame: &pyebpf::profile::Frame| frame.name.starts_with('f');
        self.unnamed += part.frames.iter().filter(|frame| !is_named(frame)).count() as u64;
    }
}

/// One interval: a new process with new threads runs new functions, some of which are defined after their first sample; an
/// old process goes on with the functions it has.
fn live(pipeline: &mut Pipeline, interval: u64) {
    let start_ns = interval * INTERVAL_NS;
    let new = ProcessKey {
        tgid: 2 + (interval % 30_000) as u32,
        incarnation: interval + 1,
    };
    let old = ProcessKey {
        tgid: 1,
        incarnation: 1,
    };
    for index in 0..SAMPLES {
        let (process, code) = if index % 4 == 3 {
            (old, 16 + interval % 500)
        } else {
            (new, 1_000 + interval * SAMPLES + index)
        };
        let is_late = index % 5 == 0;
        if !is_late {
            define(pipeline, process, code);
        }
        let sample = Sample {
            process,
            tid: (interval * SAMPLES + index) as u32,
            time_ns: start_ns + index,
            weight: 10 + index,
            gil: GilState::Held,
            frames: vec![RawFrame {
                code,
                instr_offset: 0,
                check: 1,
            }],
            ends_invocation: vec![true],
            ..Sample::default()
        };
        pipeline.name_thread(process, sample.tid, format!("worker {interval}"));
        pipeline.add(&sample, &mut Nowhere);
        if is_late {
            define(pipeline, process, code);
        }
    }
    pipeline.end_drain();
    pipeline.forget(new);
}

/// Cuts so many times; what came out, and how the resident memory grew from the first tenth to the end, bytes.
fn cut_again_and_again(cuts: u64) -> (Totals, i64) {
    let mut pipeline = Pipeline::new(0, None, None);
    let mut totals = Totals::default();
    let mut settled = 0;
    for interval in 0..cuts {
        live(&mut pipeline, interval);
        pipeline.cut((interval + 1) * INTERVAL_NS, None);
        while let Some(part) = pipeline.take_finished(false) {
            totals.add(&part);
        }
        if interval == cuts / 10 {
            settled = resident_bytes();
        }
    }
    let grown = resident_bytes() - settled;
    pipeline.settle();
    while let Some(part) = pipeline.take_finished(true) {
        totals.add(&part);
    }
    (totals, grown)
}

fn resident_bytes() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: i64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("two numbers");
    pages * i64::try_from(rustix::param::page_size()).expect("a page is small")
}

fn check(cuts: u64) {
    let (totals, grown) = cut_again_and_again(cuts);
    let weight_of_interval: u64 = (0..SAMPLES).map(|index| 10 + index).sum();
    let due = Totals {
        parts: cuts,
        samples: cuts * SAMPLES,
        weight: cuts * weight_of_interval,
        unnamed: 0,
    };
    assert_eq!(totals, due);
    assert!(grown < 1 << 20, "{grown} bytes more after {cuts} cuts");
    println!("{cuts} cuts: {totals:?}, {grown} bytes more than after a tenth of them");
}

#[test]
fn a_pipeline_that_is_cut_every_ten_seconds_loses_nothing_in_two_days() {
    check(20_000);
}

#[test]
#[ignore = "takes minutes: `cargo xtask test --full`"]
fn a_pipeline_that_is_cut_a_million_times_loses_nothing_and_keeps_its_memory_flat() {
    check(1_000_000);
}
