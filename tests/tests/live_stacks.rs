//! Live: stacks are exactly what the program says its stack is, whatever the frames are made of.

use anyhow::ensure;
use profiler_common::record::MAX_FRAMES;
use tests::live::{Plan, Subject, expect_stack};
use tests::workload::{TrueFrame, script};

/// CPU seconds that each interpreter burns, and the rate that turns them into a thousand samples.
const SECONDS: &str = "1";
const RATE: &[&str] = &["--full-filenames", "-r", "997"];
/// The report of the stack itself, and what follows the burning, take a few samples.
const NEARLY_ALL: f64 = 0.99;

/// `NEARLY_ALL` samples have the stack that the workload reported, and as many samples came as are due.
fn exact(subject: &Subject) -> anyhow::Result<String> {
    let text = subject.expect_stack(&subject.facts.stack()?, NEARLY_ALL)?;
    let count = subject.expect_samples(SECONDS.parse()?)?;
    Ok(format!("{text}; {count}"))
}

#[test]
fn every_kind_of_function_has_its_qualified_name_file_and_current_line() {
    Plan::new("known_stack", &[SECONDS])
        .options(RATE)
        .check(|subject| {
            // Guards the workload itself: these are what the test is about.
            let names: Vec<String> = subject.facts.stack()?.into_iter().map(|frame| frame.0).collect();
            let wanted: &[&str] = if subject.python.has_qualified_names() {
                &[
                    "Outer.Inner.__init__",
                    "Outer.Inner.method.<locals>.closure",
                    "Outer.static",
                    "leaf",
                ]
            } else {
                &["__init__", "closure", "static", "<listcomp>", "<lambda>", "leaf"]
            };
            for name in wanted {
                ensure!(
                    names.iter().any(|found| found == name),
                    "the workload has no {name}: {names:?}"
                );
            }
            exact(subject)
        });
}

#[test]
fn lines_are_right_where_they_jump_far_ahead_and_back() {
    Plan::new("lines", &[SECONDS]).options(RATE).check(exact);
}

#[test]
fn generators_inside_generators_are_whole() {
    Plan::new("generators", &[SECONDS]).options(RATE).check(exact);
}

#[test]
fn coroutines_show_the_chain_of_awaits_down_to_the_event_loop() {
    Plan::new("coroutines", &[SECONDS]).options(RATE).check(exact);
}

#[test]
fn a_subinterpreter_shows_its_own_stack() {
    Plan::new("subinterpreter", &[SECONDS])
        .options(RATE)
        .check(|subject| {
            let failure: Option<String> = subject.facts.get("failure")?;
            ensure!(failure.is_none(), "the subinterpreter failed: {failure:?}");
            // Starting it takes a few hundredths of a second.
            let inside = subject.stacks.filter(|stack| stack.contains("inside"));
            ensure!(
                subject.stacks.total() < inside.total() * 12 / 10,
                "{}",
                subject.stacks.most_frequent(8)
            );
            expect_stack(&inside, &subject.facts.stack()?, NEARLY_ALL)
        });
}

#[test]
fn names_and_files_of_every_kind_of_character_are_whole() {
    let folder = tempfile::tempdir().expect("a writable temporary folder");
    let copy = folder.path().join("téléphérique 漢字 💩.py");
    std::fs::copy(script("unicode"), &copy).expect("a file system with Unicode names");
    Plan::of_script(&copy, &[SECONDS]).options(RATE).check(|subject| {
        let stack = subject.facts.stack()?;
        ensure!(
            stack.iter().any(|frame| frame.0 == "𠮷野家"),
            "the workload lost its names: {stack:?}"
        );
        exact(subject)
    });
}

#[test]
fn threads_in_c_code_that_released_the_gil_keep_their_stacks() {
    let options = [RATE, &["-t"]].concat();
    Plan::new("released", &[SECONDS])
        .options(&options)
        .check(|subject| {
            let threads: Vec<(u32, Vec<TrueFrame>)> = subject.facts.get("threads")?;
            ensure!(threads.len() == 2, "two threads work");
            let mut texts = Vec::new();
            for (tid, mut truth) in threads {
                truth.reverse();
                let own = subject
                    .stacks
                    .filter(|stack| stack.thread.as_ref().is_some_and(|(id, _)| *id == tid));
                texts.push(expect_stack(&own, &truth, NEARLY_ALL)?);
            }
            Ok(texts.join(", "))
        });
}

#[test]
fn only_samples_that_hold_the_gil_are_recorded_with_gil() {
    let options = [RATE, &["-t", "--gil"]].concat();
    Plan::new("released", &[SECONDS])
        .options(&options)
        .check(|subject| {
            // Of two seconds in C code without the lock only the moments between two calls are left.
            let (left, all) = (subject.stacks.total() as f64, subject.due(2.0));
            ensure!(left < 0.1 * all, "{left} of {all} samples are left");
            Ok(format!("{left} of {all:.0} samples are left"))
        });
}

#[test]
fn deep_recursion_is_exact_to_the_limit() {
    for depth in ["30", "500", "1500"] {
        eprintln!(" {depth} deep");
        Plan::new("recursion", &["0.5", depth])
            .options(RATE)
            .check(|subject| {
                let (stack, all) = (subject.facts.stack()?, subject.stacks.total());
                ensure!(
                    stack.len() == depth.parse::<usize>()? + 2,
                    "{} frames",
                    stack.len()
                );
                // The report of 1,500 frames takes a while.
                let arrived = subject
                    .stacks
                    .filter(|found| found.leaf() == "down" && found.frames.len() == stack.len());
                ensure!(
                    arrived.total() * 10 > all * 8,
                    "{}",
                    subject.stacks.most_frequent(8)
                );
                expect_stack(&arrived, &stack, NEARLY_ALL)
            });
    }
}

#[test]
fn deeper_recursion_keeps_the_innermost_frames_and_is_marked() {
    // 32 KiB a sample: not faster than user space can read them.
    Plan::new("recursion", &["1", "2500"])
        .options(&["-r", "199"])
        .check(|subject| {
            let stack = subject.facts.stack()?;
            let burning = stack.last().expect("a stack").2;
            let deep = subject.stacks.filter(|found| {
                found.leaf() == "down" && found.frames.last().is_some_and(|leaf| leaf.line == Some(burning))
            });
            ensure!(
                deep.total() * 2 > subject.stacks.total(),
                "{}",
                subject.stacks.most_frequent(8)
            );
            for found in &deep.stacks {
                let marker = &found.frames[0];
                ensure!(
                    marker.file.is_none() && marker.name.contains("truncated"),
                    "no marker: {}",
                    found.text()
                );
                // Entry frames of the C stack take a place each, but are not shown.
                let kept = found.frames.len() - 1;
                ensure!(
                    (MAX_FRAMES - 8..=MAX_FRAMES).contains(&kept),
                    "{kept} frames of {MAX_FRAMES}"
                );
                ensure!(
                    found.frames[1..].iter().all(|frame| frame.name == "down"),
                    "{}",
                    found.text()
                );
            }
            ensure!(
                subject.stderr.contains("deeper than the limit"),
                "the report does not say so: {}",
                subject.stderr
            );
            ensure!(subject.report.dropped == 0, "{:?}", subject.report);
            Ok(format!(
                "{} samples marked; {}",
                deep.total(),
                subject.expect_samples(1.0)?
            ))
        });
}
