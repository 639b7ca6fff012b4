//! The matrix: the same programs (`tests/workloads/matrix`) on every interpreter, each burning CPU at places that it knows
//! itself, and all samples compared with what it says.
//!
//! - [`accuracy`]: many samples of programs that change their stack all the time.
//! - [`cells`]: what of it goes into the README's table.
//! - [`packages`]: what programs need from PyPI.
//!
//! Used by `tests/tests/live_matrix.rs`, `live_accuracy.rs` and the snapshots.

pub mod accuracy;
pub mod cells;
pub mod packages;
mod verdict;

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use serde::Deserialize;

use self::cells::{Column, record_cell};
pub use self::verdict::Aspect;
use crate::live::{alone, judge};
use crate::profiler::{Recorded, Recording};
use crate::python::{self, Python};
use crate::workload::{Facts, TrueFrame, Workload, script};

/// CPU seconds of each burn, and the rate that makes 100 samples of it.
const SECONDS: &str = "0.1";
/// Options of a recording that can be compared with what a program burned.
pub const OPTIONS: &[&str] = &["--full-filenames", "-t", "-s"];
const RATE_HZ: u32 = 997;

/// One program.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Its file in `tests/workloads/matrix`.
    pub name: &'static str,
    since: (u8, u8),
    package: Option<&'static str>,
    column: Option<Column>,
    /// Samples that it may have outside its burns, besides a share of all.
    starting: f64,
    /// Number of the burn at which it is recorded as a snapshot. None where a stack has frames of the standard library,
    /// whose paths are of one machine, and for stacks too deep for a small file.
    pub snapshot: Option<u32>,
}

/// Every program there is.
pub const CASES: &[Case] = &[
    Case::new("recursion"),
    Case::new("deep_stack").live_only(),
    Case::new("methods").column(Column::QualifiedName),
    Case::new("closures").snapshot(1),
    Case::new("class_bodies"),
    Case::new("executed_text").snapshot(3),
    Case::new("reused_code").starting(80.0).snapshot(39),
    Case::new("unicode_names").since(3, 0),
    Case::new("unicode_paths").snapshot(2),
    Case::new("exceptions").snapshot(1),
    Case::new("construction").snapshot(2),
    Case::new("operators").snapshot(8),
    Case::new("c_callbacks").snapshot(4),
    Case::new("context_managers"),
    Case::new("lines").snapshot(5),
    Case::new("generators").column(Column::Generator),
    Case::new("yield_from").since(3, 3).column(Column::Generator),
    Case::new("comprehensions").column(Column::Generator).snapshot(4),
    Case::new("coroutines").since(3, 6).column(Column::Generator),
    Case::new("asyncio_tasks")
        .since(3, 6)
        .column(Column::Generator)
        .starting(60.0)
        .live_only(),
    Case::new("threads").starting(60.0).live_only(),
    Case::new("named_thread").live_only(),
    Case::new("released_gil").starting(40.0).live_only(),
    Case::new("garbage_collection"),
    Case::new("subinterpreters")
        .column(Column::Subinterpreter)
        .starting(800.0),
    Case::new("own_gil")
        .since(3, 12)
        .column(Column::Subinterpreter)
        .starting(400.0)
        .live_only(),
    Case::new("moved_interpreter")
        .since(3, 13)
        .column(Column::Subinterpreter)
        .starting(400.0)
        .live_only(),
    Case::new("greenlets").package("greenlet").snapshot(1),
    Case::new("gevent_tasks")
        .package("gevent")
        .starting(400.0)
        .live_only(),
    Case::new("children").starting(60.0).live_only(),
    Case::new("started_with_m").live_only(),
    Case::new("started_with_c"),
];

impl Case {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            since: (2, 7),
            package: None,
            column: None,
            starting: 12.0,
            snapshot: Some(0),
        }
    }

    const fn since(mut self, major: u8, minor: u8) -> Self {
        self.since = (major, minor);
        self
    }

    const fn package(mut self, name: &'static str) -> Self {
        self.package = Some(name);
        self
    }

    const fn column(mut self, column: Column) -> Self {
        self.column = Some(column);
        self
    }

    /// For one that imports, compiles or makes interpreters after the recording has begun.
    const fn starting(mut self, samples: f64) -> Self {
        self.starting = samples;
        self
    }

    const fn snapshot(mut self, burn: u32) -> Self {
        self.snapshot = Some(burn);
        self
    }

    const fn live_only(mut self) -> Self {
        self.snapshot = None;
        self
    }

    /// The program with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn named(name: &str) -> anyhow::Result<&'static Self> {
        let found = CASES.iter().find(|case| case.name == name);
        found.with_context(|| format!("no case {name:?}"))
    }

    /// The name of its snapshots: two programs have the name of another workload.
    #[must_use]
    pub fn snapshot_name(&self) -> &'static str {
        match self.name {
            "recursion" => "recursion_matrix",
            "generators" => "generators_matrix",
            name => name,
        }
    }

    /// Its file.
    #[must_use]
    pub fn script(&self) -> PathBuf {
        script(&format!("matrix/{}", self.name))
    }

    /// Whether the language of this version is enough for it.
    #[must_use]
    pub fn is_for(&self, version: (u8, u8)) -> bool {
        version >= self.since
    }

    /// Why this interpreter cannot run it; `None` where it is to run.
    #[must_use]
    pub fn excuse(&self, python: &Python) -> Option<String> {
        let (major, minor) = self.since;
        if !self.is_for((python.version.0, python.version.1)) {
            return Some(format!("{}: needs Python {major}.{minor}", self.name));
        }
        let reason = self
            .package
            .and_then(|package| packages::missing(package, python))?;
        Some(format!("{}: {reason}", self.name))
    }

    /// Starts it without waiting until it is ready.
    ///
    /// # Errors
    /// When it does not start.
    pub fn spawn(&self, python: &Python) -> anyhow::Result<Workload> {
        Workload::spawn(python, &self.script(), &[SECONDS], &self.modules(python)?)
    }

    /// Folders of the packages that it imports.
    ///
    /// # Errors
    /// When they cannot be installed.
    pub fn modules(&self, python: &Python) -> anyhow::Result<Vec<PathBuf>> {
        self.package
            .map(|package| packages::folder(package, python))
            .into_iter()
            .collect()
    }
}

/// CPU time that a program burned at one place.
#[derive(Clone, Debug, Deserialize)]
pub struct Burn {
    /// Process.
    pub pid: u32,
    /// Thread.
    pub tid: u32,
    /// The thread's name, where the program gave it one.
    pub thread_name: Option<String>,
    /// Whether the place is C code that has released the GIL.
    pub releases_gil: bool,
    /// Newest frame first.
    pub stack: Vec<TrueFrame>,
    /// CPU seconds, by the program's own clock.
    pub seconds: f64,
}

/// What kind of interpreter ran a program, as it says.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Build {
    /// Major and minor.
    pub version: (u8, u8),
    /// Built without the GIL.
    pub free_threaded: bool,
    /// On musl instead of glibc.
    pub musl: bool,
    /// The interpreter is in the executable, not in a shared library.
    #[serde(rename = "static")]
    pub is_static: bool,
}

/// All burns, those that children and other interpreters reported included.
fn burns(facts: &Facts) -> anyhow::Result<Vec<Burn>> {
    let mut burns = Vec::new();
    for name in facts.0.keys().filter(|name| name.starts_with("burns")) {
        burns.extend(facts.get::<Vec<Burn>>(name)?);
    }
    anyhow::ensure!(!burns.is_empty(), "the program burned nothing");
    Ok(burns)
}

/// Compares the samples of a recording with what programs say that they burned: every burn has its samples, with its
/// stack, in its process and thread. The recording was made with [`OPTIONS`].
///
/// # Errors
/// What was found instead.
pub fn check_burns(facts: &Facts, recorded: &Recorded) -> anyhow::Result<String> {
    verdict::on_everything(&burns(facts)?, recorded)
}

/// A program that ran on an interpreter.
struct Run {
    case: &'static Case,
    python: &'static Python,
    outcome: anyhow::Result<Facts>,
}

/// Runs programs on every interpreter at the same time, in one recording, and compares all samples with what they say.
///
/// # Panics
/// With every program that failed, and the interpreter it failed on.
pub fn check(names: &[&str]) {
    check_at(RATE_HZ, names);
}

/// As [`check`], at another rate: 2,000 frames are 32 KiB, which user space must read in time.
///
/// # Panics
/// As [`check`].
pub fn check_at(rate_hz: u32, names: &[&str]) {
    check_with(names, rate_hz, &[], |run, recorded| {
        let (build, verdicts) = match &run.outcome {
            Ok(facts) => (
                facts.get("build")?,
                verdict::all(&burns(facts)?, recorded, run.case.starting),
            ),
            Err(error) => anyhow::bail!("{error:#}"),
        };
        let qualified = |facts: &Facts| facts.get::<Vec<String>>("qualified").unwrap_or_default();
        let is_qualified = run
            .outcome
            .as_ref()
            .is_ok_and(|facts| !qualified(facts).is_empty());
        for (aspect, verdict) in &verdicts {
            let column = match aspect {
                Aspect::Function => Column::Function,
                Aspect::File => Column::File,
                Aspect::Line => Column::Line,
                Aspect::Everything => {
                    for column in run
                        .case
                        .columns_of_its_own(is_qualified)
                        .chain(build_columns(build))
                    {
                        record_cell(run.python, build, column, run.case.name, verdict.is_ok())?;
                    }
                    continue;
                }
            };
            record_cell(run.python, build, column, run.case.name, verdict.is_ok())?;
        }
        let everything = verdicts
            .into_iter()
            .find(|(aspect, _)| *aspect == Aspect::Everything);
        everything.context("a verdict on everything")?.1
    });
}

impl Case {
    fn columns_of_its_own(&self, is_qualified: bool) -> impl Iterator<Item = Column> {
        self.column
            .into_iter()
            .filter(move |column| *column != Column::QualifiedName || is_qualified)
    }
}

/// Columns that say that a build with this property passed.
fn build_columns(build: Build) -> impl Iterator<Item = Column> {
    [
        (Column::FreeThreaded, build.free_threaded),
        (Column::Musl, build.musl),
        (Column::Static, build.is_static),
    ]
    .into_iter()
    .filter_map(|(column, has)| has.then_some(column))
}

/// Runs programs as [`check`] does, recorded with `--gil`: burns that hold the GIL keep their samples, others lose them.
///
/// # Panics
/// As [`check`].
pub fn check_gil_state(names: &[&str]) {
    check_with(names, RATE_HZ, &["--gil"], |run, recorded| {
        let facts = match &run.outcome {
            Ok(facts) => facts,
            Err(error) => anyhow::bail!("{error:#}"),
        };
        let verdict = verdict::by_gil_state(&burns(facts)?, recorded);
        record_cell(
            run.python,
            facts.get("build")?,
            Column::GilState,
            run.case.name,
            verdict.is_ok(),
        )?;
        verdict
    });
}

fn check_with(
    names: &[&str],
    rate_hz: u32,
    options: &[&str],
    verdict: impl Fn(&Run, &Recorded) -> anyhow::Result<String>,
) {
    let _alone = alone();
    let cases: Vec<&'static Case> = names
        .iter()
        .map(|name| Case::named(name))
        .collect::<anyhow::Result<_>>()
        .expect("known cases");
    let (runs, recorded) = record(&cases, rate_hz, options).expect("the recording works");
    let outcomes = runs
        .iter()
        .map(|run| {
            let verdict = verdict(run, &recorded).with_context(|| match &run.outcome {
                Ok(_) => "wrong",
                Err(_) => "did not run",
            });
            (format!("{} on {}", run.case.name, run.python), verdict)
        })
        .collect();
    judge(outcomes);
}

fn record(cases: &[&'static Case], rate_hz: u32, options: &[&str]) -> anyhow::Result<(Vec<Run>, Recorded)> {
    let mut running = Vec::new();
    for python in python::all() {
        for case in cases {
            match case.excuse(python) {
                Some(reason) => eprintln!("  not on {python}: {reason}"),
                None => running.push((*case, python, case.spawn(python))),
            }
        }
    }
    let mut arguments: Vec<String> = OPTIONS
        .iter()
        .chain(options)
        .map(|text| (*text).to_owned())
        .collect();
    arguments.extend(["-r".to_owned(), rate_hz.to_string()]);
    for (_, _, workload) in &mut running {
        let ready = workload
            .as_mut()
            .map(|workload| workload.wait_for("ready").map(|_| ()));
        match ready {
            Ok(Ok(())) => {}
            Ok(Err(error)) => *workload = Err(error),
            Err(_) => {}
        }
        if let Ok(workload) = workload {
            arguments.extend(["-p".to_owned(), workload.pid().to_string()]);
        }
    }
    let recording = Recording::start(arguments)?;
    for workload in running
        .iter_mut()
        .filter_map(|(_, _, workload)| workload.as_mut().ok())
    {
        // One that has ended is found out below.
        let _ = workload.release();
    }
    let finished: Vec<_> = running
        .into_iter()
        .map(|(case, python, workload)| {
            // Kept alive until the recording ends.
            let ended = workload.and_then(|mut workload| Ok((workload.finish()?.clone(), workload)));
            (case, python, ended)
        })
        .collect();
    let recorded = recording.stop()?;
    let runs = finished
        .into_iter()
        .map(|(case, python, ended)| Run {
            case,
            python,
            outcome: ended.map(|(facts, _)| facts),
        })
        .collect();
    Ok((runs, recorded))
}

/// Names of the programs in the folder, for a test that none is forgotten.
///
/// # Errors
/// When the folder cannot be read.
pub fn files() -> anyhow::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(crate::workload::folder().join("matrix"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "py") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.remove("__init__");
    Ok(names)
}
