//! Live: deep stacks are exactly what the program says, and those deeper than the limit say so.
//!
//! Stacks of every kind of function: `live_matrix.rs`.

use anyhow::ensure;
use profiler_common::contract::records::MAX_FRAMES;
use tests::live::{Plan, expect_stack};
use tests::python::Trait;

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

#[test]
fn just_in_time_compiled_code_keeps_its_stack_and_marks_the_lines_it_does_not_know() {
    Plan::new("compiled", &["2"])
        .options(RATE)
        .only(|python| python.version >= (3, 14, 0) && !python.is(Trait::FreeThreaded))
        .check(|subject| {
            ensure!(subject.facts.get::<bool>("compiles")?, "its compiler is off");
            let first: u32 = subject.facts.get("first_line")?;
            let file = subject.script.display();
            let approximate = format!("{file}:~{first}");
            let hot = subject.stacks.filter(|stack| stack.contains("hot"));
            let (mut marked, mut exact) = (0, 0);
            for stack in &hot.stacks {
                let names: Vec<&str> = stack.frames.iter().map(|frame| &*frame.name).collect();
                ensure!(
                    ["<module>", "work", "hot", "leaf"].starts_with(&names),
                    "impossible: {}",
                    stack.text()
                );
                let leaf = stack.frames.last().filter(|leaf| leaf.name == "leaf");
                match leaf.map(|leaf| (leaf.file.as_deref(), leaf.line)) {
                    Some((Some(file), None)) if file == approximate => marked += stack.count,
                    Some((_, Some(line))) if (first..first + 3).contains(&line) => exact += stack.count,
                    None => {}
                    Some(other) => anyhow::bail!("{other:?} is no line of leaf"),
                }
            }
            ensure!(
                hot.total() * 100 > subject.stacks.total() * 90 && marked + exact > 100,
                "{}",
                subject.stacks.most_frequent(8)
            );
            // 3.14 keeps the instruction up to date.
            ensure!(
                (marked > 0) == (subject.python.version >= (3, 15, 0)),
                "{marked} lines marked, {exact} not"
            );
            Ok(format!("{marked} of {} lines marked", marked + exact))
        });
}
