//! One workload on every interpreter of this machine, all in one recording: the usual shape of a live test.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::folded::Folded;
use crate::profiler::{Recording, require_root};
use crate::python::{self, Python};
use crate::report::Report;
use crate::workload::{Facts, TrueFrame, Workload, script};

/// Held while a test measures: live tests share two CPUs, and each wants all of the profiler.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "unlocked when dropped")] File);

/// Waits until no other live test runs on this machine, in this or in another test program.
///
/// # Panics
/// When the lock file cannot be used, or this process is not root.
#[must_use]
pub fn alone() -> Alone {
    require_root().expect("live tests run as root");
    let path = std::env::temp_dir().join("pyebpf-live-tests.lock");
    let file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .expect("a writable temporary folder");
    file.lock().expect("locks work in the temporary folder");
    Alone(file)
}

/// What is run on every interpreter, and how it is recorded.
#[derive(Clone, Debug)]
pub struct Plan {
    script: PathBuf,
    arguments: Vec<String>,
    options: Vec<String>,
    pythons: Vec<&'static Python>,
}

impl Plan {
    /// The program `workload` of `tests/workloads`, with arguments.
    #[must_use]
    pub fn new(workload: &str, arguments: &[&str]) -> Self {
        Self::of_script(&script(workload), arguments)
    }

    /// A program from elsewhere.
    #[must_use]
    pub fn of_script(script: &Path, arguments: &[&str]) -> Self {
        Self {
            script: script.to_owned(),
            arguments: strings(arguments),
            options: Vec::new(),
            pythons: python::all().iter().collect(),
        }
    }

    /// Options of `pyebpf record`, besides what and where to.
    #[must_use]
    pub fn options(mut self, options: &[&str]) -> Self {
        self.options = strings(options);
        self
    }

    /// On some of the interpreters only.
    #[must_use]
    pub fn only(mut self, wanted: impl Fn(&Python) -> bool) -> Self {
        self.pythons.retain(|python| wanted(python));
        self
    }

    /// Runs the program on every interpreter at the same time, in one recording, and then checks them one by one.
    ///
    /// # Panics
    /// With all interpreters that failed the check.
    pub fn check(&self, check: impl Fn(&Subject) -> anyhow::Result<String>) {
        if self.pythons.is_empty() {
            // The machine's own Pythons may all be too old for what is tested.
            let is_required = std::env::var_os(python::REQUIRE).is_some_and(|value| value == "1");
            assert!(!is_required, "no interpreter fits");
            eprintln!("not tested: no interpreter that was provided fits");
            return;
        }
        let _alone = alone();
        let outcome = self.record().map(|subjects| {
            subjects
                .into_iter()
                .map(|(python, subject)| (python.to_string(), subject.and_then(|subject| check(&subject))))
                .collect::<Vec<_>>()
        });
        judge(outcome.expect("the recording works"));
    }

    /// Runs the program on every interpreter in one recording. A program that fails is a failed subject.
    ///
    /// # Errors
    /// When the recording fails.
    pub fn record(&self) -> anyhow::Result<Vec<(&'static Python, anyhow::Result<Subject>)>> {
        let mut runs: Vec<(&'static Python, anyhow::Result<Workload>)> = self
            .pythons
            .iter()
            .map(|python| (*python, Workload::start(python, &self.script, &self.arguments)))
            .collect();
        let mut options = self.options.clone();
        for workload in runs.iter().filter_map(|(_, run)| run.as_ref().ok()) {
            options.extend(["-p".to_owned(), workload.pid().to_string()]);
        }
        let recording = Recording::start(options)?;
        for (_, run) in &mut runs {
            if let Ok(workload) = run {
                workload.release()?;
            }
        }
        let finished: Vec<_> = runs
            .into_iter()
            .map(|(python, run)| {
                let run = run.and_then(|mut workload| {
                    let facts = workload.finish()?.clone();
                    Ok((workload, facts))
                });
                (python, run)
            })
            .collect();
        let recorded = recording.stop()?;
        let single = self.pythons.len() == 1;
        Ok(finished
            .into_iter()
            .map(|(python, run)| {
                let subject = run.map(|(workload, facts)| Subject {
                    python,
                    script: self.script.clone(),
                    facts,
                    pid: workload.pid(),
                    // A single process gets no root frame.
                    stacks: if single {
                        recorded.stacks.clone()
                    } else {
                        recorded.stacks.of_process(workload.pid())
                    },
                    report: recorded.report,
                    stderr: recorded.stderr.clone(),
                });
                (python, subject)
            })
            .collect())
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Prints what was found for each name, and fails with all that are wrong.
///
/// # Panics
/// When there is a failure, or nothing was checked.
pub fn judge(outcomes: Vec<(String, anyhow::Result<String>)>) {
    assert!(!outcomes.is_empty(), "nothing was checked");
    let mut failures = Vec::new();
    for (name, outcome) in outcomes {
        match outcome {
            Ok(text) => eprintln!("  {name}: {text}"),
            Err(error) => failures.push(format!("{name}: {error:#}")),
        }
    }
    assert!(
        failures.is_empty(),
        "{} failed:\n  {}",
        failures.len(),
        failures.join("\n  ")
    );
}

/// What one interpreter did, and what was recorded of it.
#[derive(Debug)]
pub struct Subject {
    /// The interpreter.
    pub python: &'static Python,
    /// The program it ran.
    pub script: PathBuf,
    /// What the program reported.
    pub facts: Facts,
    /// Its process id.
    pub pid: u32,
    /// What was recorded of this process.
    pub stacks: Folded,
    /// The report of the whole recording.
    pub report: Report,
    /// What `pyebpf` printed.
    pub stderr: String,
}

impl Subject {
    /// Fails unless at least `share` of the samples have exactly this stack (outermost first, whole file names).
    ///
    /// # Errors
    /// What was found instead.
    pub fn expect_stack(&self, truth: &[TrueFrame], share: f64) -> anyhow::Result<String> {
        expect_stack(&self.stacks, truth, share)
    }

    /// Samples that are due for this much CPU time, at the rate that was achieved.
    #[must_use]
    pub fn due(&self, cpu_seconds: f64) -> f64 {
        cpu_seconds * self.report.rate_hz
    }

    /// Fails when much fewer or more samples arrived than are due for the CPU time (within 5 sigma and 3 %).
    ///
    /// # Errors
    /// Both numbers.
    pub fn expect_samples(&self, cpu_seconds: f64) -> anyhow::Result<String> {
        let (due, total) = (self.due(cpu_seconds), self.stacks.total());
        let tolerance = 5.0 * due.sqrt() + 0.03 * due;
        anyhow::ensure!(
            (total as f64 - due).abs() <= tolerance,
            "{total} samples, {due:.0} due for {cpu_seconds:.2} s of CPU time at {:.1} Hz",
            self.report.rate_hz
        );
        Ok(format!("{total} samples of {due:.0} due"))
    }
}

/// See [`Subject::expect_stack`].
///
/// # Errors
/// What was found instead.
pub fn expect_stack(stacks: &Folded, truth: &[TrueFrame], share: f64) -> anyhow::Result<String> {
    let total = stacks.total();
    anyhow::ensure!(total > 0, "no samples");
    let right = stacks.count(|stack| {
        stack.frames.len() == truth.len()
            && stack
                .frames
                .iter()
                .zip(truth)
                .all(|(frame, TrueFrame(name, file, line))| {
                    frame.name == *name && frame.file.as_ref() == Some(file) && frame.line == Some(*line)
                })
    });
    let text: Vec<String> = truth
        .iter()
        .rev()
        .take(12)
        .map(|TrueFrame(name, file, line)| format!("{name} ({file}:{line})"))
        .collect();
    anyhow::ensure!(
        right as f64 >= share * total as f64,
        "{right} of {total} samples have the true stack (innermost first) {}\n  found:\n{}",
        text.join(" < "),
        stacks.most_frequent(4)
    );
    Ok(format!("{right} of {total} samples have exactly the true stack"))
}

/// The single value of a fact that is a map from function to CPU seconds.
///
/// # Errors
/// When the workload did not report it.
pub fn cpu_by_function(facts: &Facts) -> anyhow::Result<std::collections::BTreeMap<String, f64>> {
    facts
        .get("cpu")
        .context("a workload with functions that are timed")
}
