//! A live process's memory that notes every byte read of it, and the making of a [`Snapshot`].

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use profiler_common::memory::{Fault, Memory, RemoteAddr};
use pyebpf::language::python::{Finding, Inspector};
use pyebpf::proc::memory::ProcMemory;
use rustix::process::Signal;

use super::image::{Image, read_words};
use super::{Snapshot, layout, walk};
use crate::python::Python;
use crate::workload::Workload;

/// Passes reads on, and keeps what they returned.
#[derive(Debug)]
struct Recorder {
    memory: ProcMemory,
    image: RefCell<Image>,
}

impl Recorder {
    fn read(&self, addr: RemoteAddr, out: &mut [u8]) -> Result<(), Fault> {
        self.memory.read(addr, out)?;
        self.image.borrow_mut().write(addr, out);
        Ok(())
    }
}

impl Memory for Recorder {
    fn read_words<const N: usize>(&self, addr: RemoteAddr, out: &mut [u64; N]) -> Result<(), Fault> {
        read_words(|bytes| self.read(addr, bytes), out, 8 * N)
    }

    fn read_words_prefix<const N: usize>(
        &self,
        addr: RemoteAddr,
        out: &mut [u64; N],
        bytes: u32,
    ) -> Result<(), Fault> {
        read_words(|buffer| self.read(addr, buffer), out, bytes as usize)
    }

    fn read_bytes<const N: usize>(&self, addr: RemoteAddr, out: &mut [u8; N], len: u32) -> Result<(), Fault> {
        let len = (len as usize).min(N);
        self.read(addr, &mut out[..len])
    }
}

/// Runs the program `script` until it reports its stack, stops it there, and records what a walk reads.
///
/// # Errors
/// When the program fails, or the walk does not find the stack that the program reported: such a snapshot would prove
/// nothing.
pub fn record(
    python: &Python,
    workload: &str,
    script: &Path,
    arguments: &[&str],
    modules: &[PathBuf],
) -> anyhow::Result<Snapshot> {
    // Recorded again, a snapshot differs only where the interpreter does.
    let mut running = Workload::start_at_fixed_addresses(python, script, arguments, modules)?;
    running.release()?;
    let facts = running.wait_for("stack")?.clone();
    // Into the loop or the call after the report. Stopped or not, it then stays on one line.
    std::thread::sleep(std::time::Duration::from_millis(50));
    running.signal(Signal::STOP)?;
    running.wait_until_still()?;

    let Finding::Python(interpreter) = Inspector::default().inspect(running.pid())? else {
        anyhow::bail!("{python} is not recognised");
    };
    let version = (python.version.0, python.version.1);
    anyhow::ensure!(
        interpreter.layout == layout(version, interpreter.is_free_threaded)?,
        "the interpreter has another layout than its version: snapshots hold no layout"
    );
    let recorder = Recorder {
        memory: ProcMemory::open(running.pid()).context("opening its memory")?,
        image: RefCell::default(),
    };
    let mut snapshot = Snapshot {
        python: python.slug().to_owned(),
        workload: workload.to_owned(),
        version,
        free_threaded: interpreter.is_free_threaded,
        lookup: interpreter.lookup,
        // On x86-64 `pthread_self()` is the thread pointer.
        thread_pointer: facts.get("thread")?,
        stack: facts.get("stack")?,
        memory: Image::default(),
    };
    // Once as if another thread held the GIL, so that both ways to the thread state are in the snapshot.
    let by_key = walk::by_key_only(&interpreter.lookup);
    walk::walk(&recorder, &by_key, &interpreter.layout, snapshot.thread_pointer);
    let walked = walk::walk(
        &recorder,
        &snapshot.lookup,
        &interpreter.layout,
        snapshot.thread_pointer,
    );
    let named = walk::name(&recorder, &interpreter.layout, &walked);
    snapshot.memory = recorder.image.into_inner();
    walk::compare(&walked, &named, &snapshot.stack)?;
    Ok(snapshot)
}
