//! One recording in two files: one that another program is to read, and folded stacks to compare with.

use std::path::PathBuf;

use anyhow::ensure;
use tempfile::TempDir;

use crate::folded::Folded;
use crate::profiler::{Finished, Pyebpf};
use crate::python;
use crate::reader::{self, Stacks};
use crate::workload::{Workload, script};

/// Both files of a recording; they are gone when this is dropped.
#[derive(Debug)]
pub struct Both {
    /// What is to be read.
    pub file: PathBuf,
    /// The stacks of the other file, with whole file names.
    pub stacks: Stacks,
    /// What pyebpf said.
    pub finished: Finished,
    /// The recorded process.
    pub pid: u32,
    _folder: TempDir,
}

/// Records a program whose call chains change into a file with this name, for a second.
///
/// # Errors
/// When the program does not run, or the recording fails or has too few stacks.
pub fn record_both(name: &str, options: &[&str]) -> anyhow::Result<Both> {
    let folder = tempfile::tempdir()?;
    let (file, folded) = (folder.path().join(name), folder.path().join("out.txt"));
    let mut workload = Workload::start(python::newest(), &script("split"), &["100"])?;
    workload.release()?;
    let pid = workload.pid();
    let mut arguments = vec!["record", "-d", "1", "-r", "499", "--full-filenames", "-p"];
    let texts = [
        pid.to_string(),
        file.to_string_lossy().into(),
        folded.to_string_lossy().into(),
    ];
    arguments.extend([&*texts[0], "-o", &*texts[1], "-o", &*texts[2]]);
    arguments.extend(options);
    let finished = Pyebpf::new(arguments)?.run()?.success()?;
    let stacks = Folded::parse(&std::fs::read_to_string(&folded)?)?.stacks;
    let stacks = reader::stacks_of_folded(stacks);
    ensure!(stacks.len() >= 3, "a program with three functions: {stacks:?}");
    Ok(Both {
        file,
        stacks,
        finished,
        pid,
        _folder: folder,
    })
}
