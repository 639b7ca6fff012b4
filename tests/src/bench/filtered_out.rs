//! What an interrupt costs in a Python process that a filter leaves out, beside one in a process without Python.
//!
//! Both kinds of program keep every CPU busy in turn, while the other kind is stopped; so the difference of two windows that
//! follow each other is that of the two kinds.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use profiler_common::contract::process::{PROCESS_EXCLUDED, PROCESS_PYTHON};
use pyebpf::kernel::Kernel;
use pyebpf::processes::filter::{Condition, Filter, Rule};
use pyebpf::processes::tracker::{Target, Tracker};
use rustix::process::{Pid, Signal, kill_process};

use super::bpf_stats::BpfStats;
use super::{kernel_half, median};
use crate::python;

/// Samples per second: high, so that a short window gives many.
const RATE_HZ: u32 = 997;
/// Pairs of windows.
const PAIRS: usize = 15;

/// One row.
pub(super) fn run(window: Duration) -> anyhow::Result<()> {
    let python = python::newest();
    let mut in_python = python.command();
    in_python.args(["-c", "while True: pass"]);
    let mut in_shell = Command::new("sh");
    in_shell.args(["-c", "while :; do :; done"]);
    let excluded = Busy::start(&in_python)?;
    let foreign = Busy::start(&in_shell)?;
    let (mut kernel, mut rings) = Kernel::load(&kernel_half::options(false))?;
    enter(&mut kernel, &excluded, &foreign)?;

    let _stats = BpfStats::enable();
    let mut pairs = Vec::new();
    let sampler = pyebpf::sources::start_cpu(&mut kernel, RATE_HZ)?;
    for _ in 0..PAIRS {
        let measure = |busy: &Busy| {
            busy.signal(Signal::CONT)?;
            // Until the other kind has left the CPUs.
            std::thread::sleep(window / 10);
            let before = BpfStats::read(&kernel);
            std::thread::sleep(window);
            let cost = BpfStats::per_run(before, BpfStats::read(&kernel));
            busy.signal(Signal::STOP)?;
            anyhow::Ok(cost)
        };
        pairs.push((measure(&foreign)?, measure(&excluded)?));
        rings.samples.drain(usize::MAX, |_| ());
    }
    drop(sampler);
    let of = |value: fn(&(f64, f64)) -> f64| median(&mut pairs.iter().map(value).collect::<Vec<_>>());
    println!(
        "An interrupt by `bpf_stats`, {RATE_HZ} Hz, medians of {PAIRS} pairs of windows, {python}\n\n\
         | in a process without Python ns | in one that is filtered out ns | difference ns | out / without |\n\
         |---:|---:|---:|---:|\n| {:.0} | {:.0} | {:+.0} | {:.2} |",
        of(|pair| pair.0),
        of(|pair| pair.1),
        of(|pair| pair.1 - pair.0),
        of(|pair| pair.1 / pair.0),
    );
    Ok(())
}

/// Lets the kernel half know both kinds, as a recording would that leaves the Python programs out.
fn enter(kernel: &mut Kernel, excluded: &Busy, foreign: &Busy) -> anyhow::Result<()> {
    let rule = |pid: u32| Rule {
        option: "exclude-pid",
        value: pid.to_string(),
        condition: Condition::Pid(pid),
    };
    let filter = Filter {
        include: Vec::new(),
        exclude: excluded.pids().map(rule).collect(),
    };
    let target = Target::Processes {
        pids: excluded.pids().chain(foreign.pids()).collect(),
        follow_children: false,
    };
    Tracker::new(target, filter).scan(kernel);
    let has = |pid: u32, flag: u32| {
        let key = kernel.current_process(pid);
        let entry = key.and_then(|key| kernel.process(key));
        entry.is_some_and(|entry| entry.flags & flag != 0)
    };
    ensure!(
        excluded.pids().all(|pid| has(pid, PROCESS_EXCLUDED)),
        "the Python programs are not left out"
    );
    ensure!(
        !foreign
            .pids()
            .any(|pid| has(pid, PROCESS_EXCLUDED | PROCESS_PYTHON)),
        "the shell is taken for Python"
    );
    Ok(())
}

/// A program on each CPU, before everything else there; stopped when not asked for, killed when dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn start(command: &Command) -> anyhow::Result<Self> {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut busy = Self(Vec::new());
        for cpu in 0..cpus {
            let child = Command::new("nice")
                .args(["-n", "-20", "taskset", "-c", &cpu.to_string()])
                .arg(command.get_program())
                .args(command.get_args())
                .stdin(Stdio::null())
                .spawn()
                .context("starting a busy program")?;
            busy.0.push(child);
        }
        // Until each has become what it is.
        std::thread::sleep(Duration::from_millis(500));
        busy.signal(Signal::STOP)?;
        Ok(busy)
    }

    fn pids(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(Child::id)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        for child in &self.0 {
            kill_process(Pid::from_child(child), signal).context("a busy program has ended")?;
        }
        Ok(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // Already gone is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
