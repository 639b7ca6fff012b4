//! Live: processes that live some 20 ms are recorded under their function's name.
//!
//! Due are the samples that fall into the function by the child's own CPU clock, at the rate that was achieved.

use std::collections::BTreeSet;
use std::ffi::OsString;

use anyhow::ensure;
use tests::live::{alone, judge};
use tests::profiler::Recording;
use tests::python::{self, Python};
use tests::workload::{Workload, script};

/// CPU seconds of each child.
const JOB_SECONDS: &str = "0.02";
/// Children in a row: of the newest interpreter, and of each other one.
const CHILDREN: (&str, &str) = ("200", "75");
/// Some 4,500 samples for each interpreter: one sigma is 1.5 %.
const RATE: &str = "2999";
/// Part of the samples due that must carry the function's name: of all interpreters together, where chance is 0.5 %, and of
/// each one within 3 sigma. A profiler that names all of them fails less than once in 10^4 runs.
const NAMED: f64 = 0.95;

/// What became of the samples due.
struct Outcome {
    named: u64,
    due: f64,
}

impl Outcome {
    fn text(&self) -> String {
        let share = self.named as f64 / self.due * 100.0;
        format!(
            "{} of {:.0} samples due are named ({share:.1} %)",
            self.named, self.due
        )
    }
}

fn run(python: &Python, way: &str) -> anyhow::Result<(Outcome, String)> {
    let children = if python == python::newest() {
        CHILDREN.0
    } else {
        CHILDREN.1
    };
    let mut parent = Workload::start(python, &script("children"), &[JOB_SECONDS, children, way])?;
    let recording = Recording::start(["--all", "-r", RATE])?;
    parent.release()?;
    let children: Vec<(u32, f64)> = parent.finish()?.get("children")?;
    let recorded = recording.stop()?;

    let pids: BTreeSet<u32> = children.iter().map(|(pid, _)| *pid).collect();
    let cpu: f64 = children.iter().map(|(_, seconds)| seconds).sum();
    let own = recorded
        .stacks
        .filter(|stack| stack.pid.is_some_and(|pid| pids.contains(&pid)));
    let named = own.count(|stack| stack.leaf() == "short_job");
    let outcome = Outcome {
        named,
        due: cpu * recorded.report.rate_hz,
    };
    let seen = own.filter(|stack| stack.contains("short_job")).pids().len();
    let text = format!("{}, {seen} of {} children seen", outcome.text(), pids.len());
    let (named, sigma) = (outcome.named as f64, outcome.due.sqrt());
    ensure!(
        named >= NAMED * outcome.due - 3.0 * sigma,
        "{text}\n{}",
        own.most_frequent(8)
    );
    ensure!(
        named <= outcome.due * 1.02 + 5.0 * sigma,
        "more than can be: {text}"
    );
    Ok((outcome, text))
}

fn on_every_python(way: &str) {
    let _alone = alone();
    let mut all = Outcome { named: 0, due: 0.0 };
    let mut outcomes = Vec::new();
    for python in python::all() {
        let outcome = run(python, way).map(|(outcome, text)| {
            all.named += outcome.named;
            all.due += outcome.due;
            text
        });
        outcomes.push((python.to_string(), outcome));
    }
    let enough = all.named as f64 >= NAMED * all.due;
    let text = all.text();
    outcomes.push((
        "all together".to_owned(),
        if enough {
            Ok(text)
        } else {
            Err(anyhow::anyhow!(text))
        },
    ));
    judge(outcomes);
}

#[test]
fn forked_children_of_20_ms_are_named() {
    on_every_python("fork");
}

#[test]
fn executed_children_of_20_ms_are_named() {
    on_every_python("exec");
}

#[test]
fn what_a_recorded_shell_starts_at_once_keeps_its_names() {
    let _alone = alone();
    let check = || -> anyhow::Result<String> {
        let burn = "def burn():\n  while time.process_time() < 0.3: pass\nimport time\nburn()";
        let (mut named, mut nameless) = (0, 0);
        // The child executes Python while pyebpf enters the shell: which of them it sees first is up to chance.
        for _ in 0..6 {
            let mut arguments: Vec<OsString> = ["-r", "499", "-s", "--", "sh", "-c", r#""$@"; true"#, "sh"]
                .map(OsString::from)
                .to_vec();
            arguments.extend(python::newest().words().iter().map(OsString::from));
            arguments.extend(["-c", burn].map(OsString::from));
            let recorded = Recording::start(arguments)?.wait()?;
            named += recorded.stacks.count(|stack| stack.leaf() == "burn");
            nameless += recorded
                .stacks
                .count(|stack| stack.leaf() == "<function not captured>");
        }
        ensure!(
            named >= 400 && nameless == 0,
            "{named} samples with a name, {nameless} without"
        );
        Ok(format!("{named} samples"))
    };
    judge(vec![("sh".to_owned(), check())]);
}
