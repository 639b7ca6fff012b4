//! Records the snapshots of `tests/snapshots` from the interpreters of this machine. Run by `cargo xtask snapshot`, when
//! an interpreter or a workload joins, or the walker reads something new; needs no BPF.

use std::path::PathBuf;

use anyhow::Context as _;
use tests::matrix::CASES;
use tests::python::{self, Python, Trait};
use tests::snapshot::{self, Snapshot, WORKLOADS, recorder};
use tests::workload;

const USAGE: &str = "usage: record-snapshot [--print] [PART OF A NAME]...

Records every snapshot whose name (`3.11.7-pyenv-known_stack`) contains one of the parts; all without a part.
With --print, a summary of the snapshots that exist.";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments
        .iter()
        .any(|argument| argument == "-h" || argument == "--help")
    {
        println!("{USAGE}");
        return Ok(());
    }
    if arguments.first().is_some_and(|argument| argument == "--print") {
        return print();
    }
    anyhow::ensure!(
        !arguments.iter().any(|argument| argument.starts_with('-')),
        "{USAGE}"
    );
    record(&arguments)
}

/// Records from copies of the workloads in a folder whose name says nothing about this machine.
fn record(parts: &[String]) -> anyhow::Result<()> {
    let folder = std::env::temp_dir().join("pyebpf-workloads");
    std::fs::create_dir_all(&folder)?;
    for python in python::all().iter().filter(|python| is_recorded(python)) {
        for planned in planned(python)? {
            let full_name = format!("{python}-{}", planned.name);
            if !parts.is_empty() && !parts.iter().any(|part| full_name.contains(part.as_str())) {
                continue;
            }
            let copy = folder.join(planned.name).with_extension("py");
            std::fs::copy(&planned.script, &copy)?;
            std::fs::copy(workload::script("truth"), folder.join("truth.py"))?;
            let arguments: Vec<&str> = planned.arguments.iter().map(String::as_str).collect();
            // The copy of `truth.py` comes first: it is on the stack of some.
            let modules: Vec<PathBuf> = [folder.clone()].into_iter().chain(planned.modules).collect();
            let record = || recorder::record(python, planned.name, &copy, &arguments, &modules);
            // A program may be stopped between two collections of garbage.
            let snapshot = record()
                .or_else(|_| record())
                .or_else(|_| record())
                .or_else(|_| record())
                .with_context(|| full_name.clone())?;
            let path = snapshot.save()?;
            println!("{}: {} bytes", path.display(), path.metadata()?.len());
        }
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// One interpreter of each version, with and without the GIL: what else tells them apart is not in what the walker reads.
fn is_recorded(python: &Python) -> bool {
    let is_of_this_version =
        |other: &&Python| (other.version.0, other.version.1) == (python.version.0, python.version.1);
    let pyenv_has_it = python::all()
        .iter()
        .filter(is_of_this_version)
        .any(Python::is_of_pyenv);
    let is_plain_root = python.root().is_some() && !python.is(Trait::Jit) && !python.is(Trait::Debug);
    python.is_of_pyenv() || (is_plain_root && !pyenv_has_it) || python.is(Trait::FreeThreaded)
}

/// What is recorded on an interpreter.
struct Planned {
    name: &'static str,
    script: PathBuf,
    arguments: Vec<String>,
    modules: Vec<PathBuf>,
}

fn planned(python: &Python) -> anyhow::Result<Vec<Planned>> {
    let mut planned = Vec::new();
    for (name, script, arguments) in WORKLOADS.iter().filter(|_| python.version >= snapshot::SINCE) {
        planned.push(Planned {
            name,
            script: workload::script(script),
            arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
            modules: Vec::new(),
        });
    }
    for case in CASES {
        if let (Some(burn), None) = (case.snapshot, case.excuse(python)) {
            planned.push(Planned {
                name: case.snapshot_name(),
                script: case.script(),
                arguments: vec!["0".to_owned(), burn.to_string()],
                modules: case.modules(python)?,
            });
        }
    }
    Ok(planned)
}

fn print() -> anyhow::Result<()> {
    for snapshot in Snapshot::all()? {
        println!(
            "{}: {} frames, {} bytes of memory",
            snapshot.name(),
            snapshot.stack.len(),
            snapshot.memory.known().count()
        );
    }
    Ok(())
}
