//! Records the snapshots of `tests/snapshots` from the interpreters of this machine. Run by `cargo xtask snapshot`, when
//! an interpreter or a workload joins, or the walker reads something new; needs no BPF.

use anyhow::Context as _;
use tests::python;
use tests::snapshot::{Snapshot, WORKLOADS, recorder};
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
    for python in python::all().iter().filter(|python| python.is_of_pyenv()) {
        for (name, script, arguments) in WORKLOADS {
            let full_name = format!("{python}-{name}");
            if !parts.is_empty() && !parts.iter().any(|part| full_name.contains(part.as_str())) {
                continue;
            }
            let copy = folder.join(script).with_extension("py");
            std::fs::copy(workload::script(script), &copy)?;
            let snapshot =
                recorder::record(python, name, &copy, arguments).with_context(|| full_name.clone())?;
            let path = snapshot.save()?;
            println!("{}: {} bytes", path.display(), path.metadata()?.len());
        }
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
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
