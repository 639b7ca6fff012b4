//! Programs that read what pyebpf writes: the real readers of its formats. Where one is missing, its test says so and is
//! skipped, or fails when `PYEBPF_REQUIRE_PYTHONS=1` promised everything; `cargo xtask test` installs them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use crate::folded::{Frame, Stack};
use crate::matrix::packages;
use crate::python::{self, Python, Trait};

/// Whether `program` is on the path; says what is skipped without it.
///
/// # Panics
/// When it is missing and was promised.
#[must_use]
pub fn is_here(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return true;
    }
    let is_required = std::env::var_os(python::REQUIRE).is_some_and(|value| value == "1");
    assert!(!is_required, "{program} is missing: cargo xtask test installs it");
    eprintln!("SKIPPED: {program}, which reads the file, is not on this machine");
    false
}

/// What the program writes to stdout.
///
/// # Errors
/// When it cannot be started or fails, with what it wrote to stderr.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// An interpreter that has wheels of everything: one in the middle of the supported versions, with glibc and the GIL.
///
/// # Errors
/// When there is none.
pub fn common_python() -> anyhow::Result<&'static Python> {
    let mut pythons = python::all().iter();
    let is_common = |python: &&Python| {
        (3, 10, 0) <= python.version
            && python.version < (3, 14, 0)
            && python.root().is_none()
            && !python.is(Trait::FreeThreaded)
    };
    pythons.find(is_common).context("no Python from 3.10 to 3.13")
}

/// Runs a script of that interpreter with packages on its path, and gives what it prints.
///
/// # Errors
/// When a package cannot be had, or the script fails.
pub fn python(packages: &[&str], script: &str, arguments: &[&Path]) -> anyhow::Result<String> {
    let python = common_python()?;
    let mut folders = Vec::new();
    for package in packages {
        folders.push(packages::folder(package, python)?);
    }
    let mut command = python.command();
    command.args(["-c", script]).args(arguments);
    if !folders.is_empty() {
        command.env("PYTHONPATH", std::env::join_paths(folders)?);
    }
    output(&mut command)
}

/// Fails with both when they differ.
///
/// # Errors
/// When they differ.
pub fn ensure_same<T: PartialEq + std::fmt::Debug>(read: &T, recorded: &T, what: &str) -> anyhow::Result<()> {
    ensure!(read == recorded, "{what}: read {read:?}\nrecorded {recorded:?}");
    Ok(())
}

/// Name, file and line of a frame; 0 where there is no line.
pub type Line = (String, String, u64);

/// Stacks, outermost frame first, and their numbers.
pub type Stacks = BTreeMap<Vec<Line>, u64>;

/// The same of folded stacks.
#[must_use]
pub fn stacks_of_folded(stacks: Vec<Stack>) -> Stacks {
    let line = |frame: Frame| {
        let line = frame.line.unwrap_or(0).into();
        (frame.name, frame.file.unwrap_or_default(), line)
    };
    let stacks = stacks.into_iter();
    stacks
        .map(|stack| (stack.frames.into_iter().map(line).collect(), stack.count))
        .collect()
}

/// How often each function is innermost, by name and file.
#[must_use]
pub fn own(stacks: &Stacks) -> BTreeMap<(String, String), u64> {
    let mut own = BTreeMap::new();
    for (stack, count) in stacks {
        if let Some((name, file, _)) = stack.last() {
            *own.entry((name.clone(), file.clone())).or_default() += count;
        }
    }
    own
}

/// How often each function is on the stack.
#[must_use]
pub fn inclusive(stacks: &Stacks) -> BTreeMap<(String, String), u64> {
    let mut inclusive = BTreeMap::new();
    for (stack, count) in stacks {
        let functions = stack.iter().map(|(name, file, _)| (name.clone(), file.clone()));
        for function in functions.collect::<BTreeSet<_>>() {
            *inclusive.entry(function).or_default() += count;
        }
    }
    inclusive
}

/// What `go tool pprof -raw` prints: samples with numbers of locations, then the locations.
///
/// # Errors
/// What is not understood.
pub fn stacks_of_go(text: &str) -> anyhow::Result<Stacks> {
    let (samples, rest) = text.split_once("\nLocations\n").context("locations")?;
    let (locations, _) = rest.split_once("\nMappings").unwrap_or((rest, ""));
    let mut lines: BTreeMap<&str, Line> = BTreeMap::new();
    for location in locations.lines() {
        let (id, place) = location
            .split_once(": 0x0 ")
            .with_context(|| location.to_owned())?;
        // M=MAPPING NAME FILE:LINE:COLUMN s=FIRST(SYSTEM NAME); one mapping is made up where a file has none.
        let place = place.strip_prefix("M=1 ").unwrap_or(place);
        let (place, _) = place.rsplit_once(" s=").with_context(|| location.to_owned())?;
        let (place, _column) = place.rsplit_once(':').with_context(|| location.to_owned())?;
        let (place, line) = place.rsplit_once(':').with_context(|| location.to_owned())?;
        let (name, file) = place
            .trim()
            .split_once(' ')
            .with_context(|| location.to_owned())?;
        lines.insert(id.trim(), (name.to_owned(), file.to_owned(), line.parse()?));
    }
    let mut stacks = Stacks::new();
    for sample in samples.lines() {
        let Some((numbers, ids)) = sample.split_once(": ") else {
            continue;
        };
        let mut numbers = numbers.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(count)), Some(Ok(_ns)), None) = (numbers.next(), numbers.next(), numbers.next()) else {
            continue;
        };
        let stack = ids.split_whitespace().rev();
        let stack: Option<Vec<Line>> = stack.map(|id| lines.get(id).cloned()).collect();
        *stacks.entry(stack.context("known locations")?).or_default() += count;
    }
    Ok(stacks)
}

/// What a processed profile of the Firefox Profiler says: its tables followed from samples to names, as its viewer does. Rows
/// without a stack are pauses.
///
/// # Errors
/// What is not understood.
pub fn stacks_of_firefox(profile: &Value) -> anyhow::Result<Stacks> {
    let shared = &profile["shared"];
    let row = |table: &str, column: &str, at: usize| -> Option<usize> {
        usize::try_from(shared[table][column][at].as_u64()?).ok()
    };
    let text = |at: usize| shared["stringArray"][at].as_str().map(str::to_owned);
    let line = |frame: usize| -> Option<Line> {
        let function = row("frameTable", "func", frame)?;
        let source = row("funcTable", "source", function);
        let file = source.and_then(|source| text(row("sources", "filename", source)?));
        let line = row("frameTable", "line", frame).unwrap_or(0);
        let name = text(row("funcTable", "name", function)?)?;
        Some((name, file.unwrap_or_default(), line as u64))
    };
    let mut stacks = Stacks::new();
    for thread in profile["threads"].as_array().context("threads")? {
        let column = |name: &str| thread["samples"][name].as_array().context("a column");
        for (stack, weight) in column("stack")?.iter().zip(column("weight")?) {
            let mut next = stack.as_u64().and_then(|at| usize::try_from(at).ok());
            if next.is_none() {
                continue;
            }
            let mut frames = Vec::new();
            while let Some(at) = next {
                frames.push(row("stackTable", "frame", at).and_then(line).context("a frame")?);
                next = row("stackTable", "prefix", at);
            }
            frames.reverse();
            *stacks.entry(frames).or_default() += weight.as_u64().context("a number of samples")?;
        }
    }
    Ok(stacks)
}
