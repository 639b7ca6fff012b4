//! Compares the offsets in `profiler-user/src/language/python/layout` with CPython's headers. Run by `cargo xtask layouts`,
//! when a version joins or a new release of one appears.

use std::path::PathBuf;

use tests::layouts;

const USAGE: &str = "usage: layouts [FOLDER OF Python.h]...

Says which numbers differ, and fails if any does; without a folder, for all headers of this machine. For a version
without a data file it prints every number.";

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument.starts_with('-')) {
        println!("{USAGE}");
        return Ok(());
    }
    let folders: Vec<PathBuf> = if arguments.is_empty() {
        layouts::installed_headers()
    } else {
        arguments.iter().map(PathBuf::from).collect()
    };
    anyhow::ensure!(
        !folders.is_empty(),
        "there are no headers of CPython here\n{USAGE}"
    );
    let mut differences = 0;
    for folder in &folders {
        println!("{}", folder.display());
        for comparison in layouts::compare(folder)? {
            println!("{comparison}");
            differences += comparison.differences().count();
        }
    }
    anyhow::ensure!(differences == 0, "{differences} numbers differ");
    Ok(())
}
