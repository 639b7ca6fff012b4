//! Waiting for the GIL, on hand-made samples.

use std::time::Duration;

use profiler_common::contract::reasons::GilState;
use profiler_common::contract::records::RawFrame;
use profiler_common::contract::sources::Source;
use profiler_common::contract::spell::Reporting;

use super::{Nowhere, SECOND, define, finish, names, process, sample, spell, weights};
use crate::pipeline::Pipeline;
use crate::wire::assembly::Sample;
use crate::wire::decode::{Spell, Wait};

const MS: u64 = 1_000_000;
const LOCK: u64 = 0x7000;

fn pipeline(only_gil: bool) -> Pipeline {
    let mut pipeline = Pipeline::new(0, None, None).off_cpu(Reporting::GIL, only_gil);
    for (code, name) in [
        (0xa, "want"),
        (0xb, "spin"),
        (0xc, "outer"),
        (0xd, "lock"),
        (0xe, "read"),
    ] {
        define(&mut pipeline, process(7), code, name);
    }
    pipeline
}

fn frame(code: u64) -> RawFrame {
    RawFrame {
        code,
        instr_offset: 0,
        check: 1,
    }
}

/// A thread that runs with the GIL.
fn runs(tid: u32, time_ns: u64, codes: &[u64]) -> Sample {
    Sample {
        tid,
        gil_lock: LOCK,
        weight: 10 * MS,
        frames: codes.iter().copied().map(frame).collect(),
        ..sample(process(7), time_ns, 0)
    }
}

/// A thread that leaves its CPU.
fn leaves(tid: u32, time_ns: u64, code: u64, wait: Wait, gil: GilState) -> Sample {
    Sample {
        source: Source::OffCpu,
        spell: 3,
        wait,
        gil,
        ..runs(tid, time_ns, &[code])
    }
}

fn away(tid: u32, out_ns: u64, blocked_ns: u64, waiting_ns: u64) -> Spell {
    Spell {
        tid,
        ..spell(process(7), out_ns, blocked_ns, waiting_ns)
    }
}

/// Five milliseconds in which thread 8 wants the GIL.
fn waits(pipeline: &mut Pipeline, time_ns: u64) {
    let mut around = Nowhere::default();
    pipeline.add(
        &leaves(8, time_ns, 0xa, Wait::Gil, GilState::Released),
        &mut around,
    );
    pipeline.end_spell(&away(8, time_ns, 5 * MS, MS), &mut around);
}

#[test]
fn all_that_is_recorded_is_waits_for_the_gil_each_with_who_held_it() {
    let mut pipeline = pipeline(true);
    let mut around = Nowhere::default();
    for n in 0..100 {
        let start = SECOND + n * 10 * MS;
        pipeline.add(&runs(9, start + 2 * MS, &[0xb, 0xc]), &mut around);
        waits(&mut pipeline, start);
        // A lock, and a thread that waits for it.
        pipeline.add(
            &leaves(
                10,
                start,
                0xd,
                Wait::Call {
                    number: 202,
                    argument: 1,
                },
                GilState::Released,
            ),
            &mut around,
        );
        pipeline.end_spell(&away(10, start, 7 * MS, 0), &mut around);
    }
    pipeline.end_drain();
    let held_by = "want;<waiting for the GIL, held by>;outer;spin";
    assert_eq!(weights(&finish(&mut pipeline)), names(&[(held_by, 500 * MS)]));
    let shares = pipeline.gil_shares();
    let process = &shares.processes[0];
    assert_eq!(
        (process.pid, process.waited, process.held),
        (7, Duration::from_millis(500), Duration::from_millis(1_000))
    );
    let threads: Vec<(u32, Duration, Duration)> = process
        .threads
        .iter()
        .map(|thread| (thread.tid, thread.waited, thread.held))
        .collect();
    assert_eq!(
        threads,
        [
            (8, Duration::from_millis(500), Duration::ZERO),
            (9, Duration::ZERO, Duration::from_millis(1_000)),
        ]
    );
}

#[test]
fn a_wait_without_a_holder_says_so() {
    let mut pipeline = pipeline(true);
    waits(&mut pipeline, SECOND);
    let by_nobody = "want;<waiting for the GIL, held by>;<holder not sampled>";
    assert_eq!(weights(&finish(&mut pipeline)), names(&[(by_nobody, 5 * MS)]));
}

#[test]
fn who_is_blocked_with_the_gil_holds_it_also_while_that_goes_on() {
    let mut pipeline = pipeline(true);
    let held = leaves(9, SECOND, 0xe, Wait::Unknown, GilState::Held);
    pipeline.add(&held, &mut Nowhere::default());
    waits(&mut pipeline, SECOND + 50 * MS);
    let by_reader = "want;<waiting for the GIL, held by>;read";
    assert_eq!(weights(&finish(&mut pipeline)), names(&[(by_reader, 5 * MS)]));
}

#[test]
fn waits_belong_to_the_interval_in_which_they_were() {
    let mut pipeline = pipeline(true);
    let mut around = Nowhere::default();
    pipeline.add(&runs(9, SECOND, &[0xb]), &mut around);
    waits(&mut pipeline, SECOND);
    pipeline.cut(2 * SECOND, None);
    let first = pipeline.take_finished(false).expect("nothing waits");
    waits(&mut pipeline, 2 * SECOND);
    pipeline.forget(process(7));
    let by_spin = "want;<waiting for the GIL, held by>;spin";
    assert_eq!(weights(&[first]), names(&[(by_spin, 5 * MS)]));
    // Half a second around it there is no sample of a holder.
    let by_nobody = "want;<waiting for the GIL, held by>;<holder not sampled>";
    assert_eq!(weights(&finish(&mut pipeline)), names(&[(by_nobody, 5 * MS)]));
}

#[test]
fn where_all_time_is_recorded_waits_are_as_they_were_and_have_shares() {
    let mut pipeline = pipeline(false);
    let mut around = Nowhere::default();
    pipeline.add(&runs(9, SECOND, &[0xb]), &mut around);
    waits(&mut pipeline, SECOND);
    assert_eq!(pipeline.gil_shares().processes.len(), 1);
    assert_eq!(
        weights(&finish(&mut pipeline)),
        names(&[
            ("spin", 10 * MS),
            ("want;<waiting for a CPU>", MS),
            ("want;<waiting for the GIL>", 5 * MS),
        ])
    );
}
