//! Programs whose C functions are known, on every interpreter, and the merged stacks that `record --native` shows of them.
//!
//! - [`modules`]: the extension modules, compiled for each interpreter.
//! - [`verdict`]: samples against what a program says it burned where.
//!
//! Used by `tests/tests/live_native.rs`.

pub mod modules;
pub mod verdict;

use std::path::PathBuf;

use anyhow::Context as _;

use self::modules::{Module, NEST};
use self::verdict::{Burn, Verdict};
use crate::live::{alone, judge};
use crate::matrix::packages;
use crate::profiler::{Recorded, Recording};
use crate::python::{self, Python};
use crate::workload::{Facts, Workload, script};

/// CPU seconds of each burn, and the rate that makes 60 samples of it.
const SECONDS: &str = "0.3";
const OPTIONS: &[&str] = &["--native", "--full-filenames", "-t", "-s", "-r", "199"];

/// A program of `tests/workloads/native`.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    name: &'static str,
    /// Modules that it imports besides `nest`, and is told of; those that an interpreter cannot have are left out.
    modules: &'static [Module],
    /// Of PyPI; it is told whether it has it.
    package: Option<&'static str>,
}

impl Program {
    /// One that needs `nest` only.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self {
            name,
            modules: &[],
            package: None,
        }
    }

    /// With further modules.
    #[must_use]
    pub const fn modules(mut self, modules: &'static [Module]) -> Self {
        self.modules = modules;
        self
    }

    /// With a package of PyPI.
    #[must_use]
    pub const fn package(mut self, package: &'static str) -> Self {
        self.package = Some(package);
        self
    }

    /// Starts it without waiting until it is ready; `None` where the interpreter cannot have `nest`. What else it cannot have is
    /// left out, and said.
    ///
    /// # Errors
    /// When a module does not compile, or it does not start.
    pub fn spawn(&self, python: &Python) -> anyhow::Result<Option<Workload>> {
        if let Some(reason) = NEST.excuse(python)? {
            eprintln!("  not on {python}: {}: {reason}", self.name);
            return Ok(None);
        }
        let mut folders = vec![NEST.folder(python)?];
        let mut arguments = vec![SECONDS];
        for module in self.modules {
            match module.excuse(python)? {
                Some(reason) => eprintln!("  not on {python}: {}: {reason}", self.name),
                None => {
                    folders.push(module.folder(python)?);
                    arguments.push(module.name);
                }
            }
        }
        if let Some(package) = self.package {
            match packages::missing(package, python) {
                Some(reason) => eprintln!("  not on {python}: {}: {reason}", self.name),
                None => {
                    folders.push(packages::folder(package, python)?);
                    arguments.push(package);
                }
            }
        }
        Workload::spawn(python, &self.script(), &arguments, &folders).map(Some)
    }

    fn script(&self) -> PathBuf {
        script(&format!("native/{}", self.name))
    }
}

/// Runs programs on every interpreter at the same time, in one recording, and compares all samples with what they say.
///
/// # Panics
/// With every program that failed, and the interpreter it failed on.
pub fn check(programs: &[Program]) {
    let _alone = alone();
    let (runs, recorded) = record(programs).expect("the recording works");
    for program in programs {
        assert!(
            runs.iter().any(|(name, ..)| name.starts_with(program.name)),
            "{} ran on no interpreter",
            program.name
        );
    }
    let outcomes = runs
        .into_iter()
        .map(|(name, python, facts)| {
            let verdict = facts
                .context("did not run")
                .and_then(|facts| verdict(python, &facts, &recorded));
            (name, verdict)
        })
        .collect();
    eprintln!("{}", recorded.stderr);
    judge(outcomes);
}

fn verdict(python: &Python, facts: &Facts, recorded: &Recorded) -> anyhow::Result<String> {
    let burns: Vec<Burn> = facts.get("merged")?;
    Verdict::new(&burns, verdict::names_its_own_functions(python))
        .compare(&recorded.stacks, recorded.report.rate_hz)
}

type Run = (String, &'static Python, anyhow::Result<Facts>);

fn record(programs: &[Program]) -> anyhow::Result<(Vec<Run>, Recorded)> {
    let mut running = Vec::new();
    let mut arguments: Vec<String> = OPTIONS.iter().map(|text| (*text).to_owned()).collect();
    for python in python::all() {
        for program in programs {
            let started = program.spawn(python).and_then(|workload| {
                let Some(mut workload) = workload else {
                    return Ok(None);
                };
                workload.wait_for("ready")?;
                Ok(Some(workload))
            });
            let Some(workload) = started.transpose() else {
                continue;
            };
            if let Ok(workload) = &workload {
                arguments.extend(["-p".to_owned(), workload.pid().to_string()]);
            }
            running.push((format!("{} on {python}", program.name), python, workload));
        }
    }
    let recording = Recording::start(arguments)?;
    for (_, _, workload) in &mut running {
        if let Ok(workload) = workload {
            // One that has ended is found out below.
            let _ = workload.release();
        }
    }
    let finished: Vec<_> = running
        .into_iter()
        .map(|(name, python, workload)| {
            // Kept alive until the recording ends.
            let ended = workload.and_then(|mut workload| Ok((workload.finish()?.clone(), workload)));
            (name, python, ended)
        })
        .collect();
    let recorded = recording.stop()?;
    let runs = finished
        .into_iter()
        .map(|(name, python, ended)| (name, python, ended.map(|(facts, _)| facts)))
        .collect();
    Ok((runs, recorded))
}
