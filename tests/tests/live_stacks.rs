//! Live: deep stacks are exactly what the program says, and those deeper than the limit say so.
//!
//! Stacks of every kind of function: `live_matrix.rs`.

use anyhow::ensure;
use profiler_common::record::MAX_FRAMES;
use tests::live::{Plan, expect_stack};

const RATE: &[&str] = &["--full-filenames", "-r", "997"];
/// The report of the stack itself, and what follows the burning, take a few samples.
const NEARLY_ALL: f64 = 0.97;

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
